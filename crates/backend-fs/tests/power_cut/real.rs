//! The same on file systems as they are: one that is shut down keeps what it had written by then.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backend_fs::FileSystemObjectStore;
use writer_core::ObjectStore;

use crate::common::{Mount, names, pattern};

const ROUNDS: u64 = 15;

/// Objects with a number, each longer or shorter than the one before.
fn version(number: usize) -> Vec<u8> {
    let mut bytes = format!("{number}\n").into_bytes();
    bytes.extend(pattern(200_000 + number * 7_919 % 400_000));
    bytes
}

/// The number of an object that is whole.
fn version_of(bytes: &[u8]) -> usize {
    let digits = bytes.split(|byte| *byte == b'\n').next().unwrap();
    let number = std::str::from_utf8(digits)
        .ok()
        .and_then(|d| d.parse().ok());
    let number = number.unwrap_or_else(|| panic!("{} bytes of something else", bytes.len()));
    assert!(bytes == version(number), "version {number} is torn");
    number
}

/// Which versions of an object there may be.
struct Told {
    /// Told before the power failed: this one is stored, if no later one is.
    before: usize,
    /// Told at all: XFS has a directory synced that was shut down.
    at_all: usize,
}

/// Replaces an object again and again, until the power fails after a while. `None` if the power
/// can't be cut here.
async fn write_until_the_power_fails(mount: &Mount, after: Duration) -> Option<Told> {
    let store = FileSystemObjectStore::with_memory(4 << 20).unwrap();
    let path = mount.path().join("object");
    store.put_at(&path, version(0).into()).await.unwrap();
    let told = Arc::new(AtomicUsize::new(0));
    let tell = Arc::clone(&told);
    let writing = tokio::spawn(async move {
        for number in 1.. {
            if store.put_at(&path, version(number).into()).await.is_err() {
                break;
            }
            tell.store(number, Ordering::SeqCst);
        }
        let _what_it_could_not_remove = store.close().await;
    });
    tokio::time::sleep(after).await;
    let before = told.load(Ordering::SeqCst);
    if !mount.cut_power() {
        writing.abort();
        return None;
    }
    writing.await.unwrap();
    let at_all = told.load(Ordering::SeqCst);
    Some(Told { before, at_all })
}

async fn survives(mkfs: &[&str], len: u64) {
    let place = tempfile::tempdir().unwrap();
    let image = place.path().join("image");
    let (mut told_last, mut later, mut debris) = (0, 0, 0);
    for round in 0..ROUNDS {
        let Some(mount) = Mount::of_image(mkfs, &image, len) else {
            return;
        };
        let after = Duration::from_micros(5_000 + round * 3_300);
        let Some(told) = write_until_the_power_fails(&mount, after).await else {
            return;
        };
        drop(mount);
        let mount = Mount::again(&image).unwrap();
        let directory = mount.path();
        let found = version_of(&fs::read(directory.join("object")).unwrap());
        let possible = told.before..=told.at_all + 1;
        assert!(possible.contains(&found), "{found}, not in {possible:?}");
        let before = staging(directory);
        let store = FileSystemObjectStore::with_memory(1 << 20).unwrap();
        let next = store.put_at(&directory.join("next"), "x".into()).await;
        next.unwrap();
        assert_eq!(staging(directory), 0);
        told_last += usize::from(found == told.before);
        later += usize::from(found > told.before);
        debris += usize::from(before > 0);
    }
    println!(
        "{}: {ROUNDS} power cuts: {told_last} times the object that was told last, {later} \
         times a later one, {debris} times a staging file that was swept",
        mkfs[0]
    );
}

fn staging(directory: &Path) -> usize {
    let names = names(directory);
    names.iter().filter(|name| name.contains("staging")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ext4_keeps_what_was_told() {
    survives(&["mkfs.ext4", "-q", "-F"], 24 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xfs_keeps_what_was_told() {
    survives(&["mkfs.xfs", "-q", "-f"], 320 << 20).await;
}
