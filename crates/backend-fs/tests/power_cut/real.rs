//! The same on file systems as they are: one that is shut down keeps what it had written by then.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use backend_fs::FileSystemObjectStore;
use writer_core::ObjectStore;

use crate::common::{Mount, names, pattern};

/// How often the power is cut, unless `FS_POWER_CUTS` says it.
const POWER_CUTS: u64 = 15;

/// How many objects are written side by side.
const OBJECTS: usize = 3;

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| pattern(600_000));

/// Objects with a number, each longer or shorter than the one before.
fn version(number: usize) -> Vec<u8> {
    let mut bytes = format!("{number}\n").into_bytes();
    bytes.extend(&BYTES[..200_000 + number * 7_919 % 400_000]);
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

/// Replaces several objects again and again, side by side, until the power fails after a while;
/// what was told of each. `None` if the power can't be cut here.
async fn write_until_the_power_fails(mount: &Mount, after: Duration) -> Option<Vec<Told>> {
    let store = FileSystemObjectStore::with_memory(8 << 20).unwrap();
    let mut writers = Vec::new();
    for object in 0..OBJECTS {
        let path = mount.path().join(format!("object-{object}"));
        store.put_at(&path, version(0).into()).await.unwrap();
        let told = Arc::new(AtomicUsize::new(0));
        let (store, tell) = (store.clone(), Arc::clone(&told));
        let writing = tokio::spawn(async move {
            for number in 1.. {
                if store.put_at(&path, version(number).into()).await.is_err() {
                    break;
                }
                tell.store(number, Ordering::SeqCst);
            }
        });
        writers.push((writing, told));
    }
    tokio::time::sleep(after).await;
    let told = writers.iter().map(|(_, told)| told.load(Ordering::SeqCst));
    let before: Vec<usize> = told.collect();
    let is_cut = mount.cut_power();
    let mut told = Vec::new();
    for ((writing, at_all), before) in writers.into_iter().zip(before) {
        if !is_cut {
            writing.abort();
            continue;
        }
        writing.await.unwrap();
        let at_all = at_all.load(Ordering::SeqCst);
        told.push(Told { before, at_all });
    }
    let _what_it_could_not_remove = store.close().await;
    is_cut.then_some(told)
}

async fn survives(mkfs: &[&str], len: u64) {
    let cuts = std::env::var("FS_POWER_CUTS").ok();
    let cuts: u64 = cuts.map_or(POWER_CUTS, |text| text.parse().unwrap());
    let place = tempfile::tempdir().unwrap();
    let (mut objects, mut last, mut later, mut debris) = (0, 0, 0, 0);
    for cut in 0..cuts {
        let image = place.path().join(format!("image-{cut}"));
        let Some(mount) = Mount::of_image(mkfs, &image, len) else {
            assert_eq!(cut, 0, "it was mounted before");
            return;
        };
        let after = Duration::from_micros(5_000 + cut * 3_301 % 50_000);
        let Some(told) = write_until_the_power_fails(&mount, after).await else {
            assert_eq!(cut, 0, "it was cut before");
            return;
        };
        drop(mount);
        let mount = Mount::again(&image).unwrap();
        let directory = mount.path();
        for (object, told) in told.iter().enumerate() {
            let path = directory.join(format!("object-{object}"));
            let found = version_of(&fs::read(path).unwrap());
            let possible = told.before..=told.at_all + 1;
            assert!(possible.contains(&found), "{found}, not in {possible:?}");
            objects += told.before;
            last += usize::from(found == told.before);
            later += usize::from(found > told.before);
        }
        debris += staging(directory);
        let store = FileSystemObjectStore::with_memory(1 << 20).unwrap();
        let next = store.put_at(&directory.join("next"), "x".into()).await;
        next.unwrap();
        assert_eq!(staging(directory), 0);
        drop(store);
        drop(mount);
        fs::remove_file(image).unwrap();
    }
    println!(
        "{}: {cuts} power cuts after {objects} objects: {last} times the one that was told last, \
         {later} times a later one; {debris} staging files were swept",
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
