//! Replacing only what is unchanged, and the tags by which that is known.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use backend_fs::FileSystemObjectStore;
use common::{MIB, Place, child, child_of, names, pattern, strace};
use rustix::fs::FlockOperation;
use writer_core::{
    Condition, Crc64Nvme, ErrorKind, ObjectMetadata, Result, Segment, WriterOptions,
};

async fn replace(
    store: &FileSystemObjectStore,
    path: &Path,
    tag: &str,
    data: &[u8],
) -> Result<ObjectMetadata> {
    let options = WriterOptions::default().with_if_match(tag);
    let mut writer = store.create_writer_at(path, Some(options)).await?;
    writer.write_chunk(data).await?;
    writer.finish().await
}

async fn tag(store: &FileSystemObjectStore, path: &Path) -> String {
    store.stat_at(path).await.unwrap().e_tag.unwrap()
}

#[tokio::test]
async fn every_write_makes_another_tag() {
    let place = Place::new();
    let path = place.path("object");
    let mut tags = HashSet::new();
    for n in 0..500 {
        let data = format!("{n:04}").into_bytes();
        let receipt = place.store.put_at(&path, data.into()).await.unwrap();
        let tag = receipt.e_tag.unwrap();
        assert!(tags.insert(tag.clone()), "write {n} made {tag} again");
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_a_little_makes_no_older_object() {
    let place = Place::new();
    let path = place.path("object");
    place.store.put_at(&path, "old".into()).await.unwrap();
    let now = SystemTime::now();
    for (ahead, kept) in [
        (Duration::from_millis(900), true),
        (Duration::from_secs(3600), false),
    ] {
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(now + ahead).unwrap();
        let receipt = place.store.put_at(&path, "new".into()).await.unwrap();
        let is_later = receipt.last_modified.unwrap() > now + ahead;
        assert_eq!(is_later, kept, "{receipt:?}");
        let stat = place.store.stat_at(&path).await.unwrap();
        assert_eq!(stat.e_tag, receipt.e_tag);
    }
}

#[tokio::test]
async fn a_receipt_says_that_the_condition_was_kept_by_the_writers_alone() {
    let place = Place::new();
    let path = place.path("object");
    place.store.put_at(&path, "old".into()).await.unwrap();
    let current = tag(&place.store, &path).await;
    let receipt = replace(&place.store, &path, &current, b"new").await;
    let receipt = receipt.unwrap();
    assert_eq!(receipt.condition, Some(Condition::Advisory));
    assert_eq!(receipt.e_tag, Some(tag(&place.store, &path).await));
    assert_eq!(names(place.directory.path()), ["object"]);
}

#[tokio::test]
async fn what_can_not_succeed_is_refused_before_anything_is_written() {
    let place = Place::new();
    let path = place.path("object");
    place.store.put_at(&path, "old".into()).await.unwrap();
    let options = WriterOptions::default().with_if_match("1-2-3");
    let before = place.listing();
    for name in ["object", "none", "made/none"] {
        let made = place
            .store
            .create_writer_at(&place.path(name), Some(options.clone()))
            .await;
        let error = made.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::PreconditionFailed, "{error}");
        assert!(error.message().contains("1-2-3"), "{error}");
    }
    assert_eq!(place.listing(), before);
}

#[tokio::test]
async fn a_link_has_the_tag_of_what_it_points_to() {
    let place = Place::new();
    let (path, link) = (place.path("object"), place.path("link"));
    place.store.put_at(&path, "old".into()).await.unwrap();
    symlink(&path, &link).unwrap();
    let current = tag(&place.store, &link).await;
    replace(&place.store, &link, &current, b"new")
        .await
        .unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");

    // A link that comes in the place of the object is not the object.
    let current = tag(&place.store, &path).await;
    let options = WriterOptions::default().with_if_match(current);
    let opened = place.store.create_writer_at(&path, Some(options)).await;
    fs::rename(&path, place.path("moved")).unwrap();
    symlink(place.path("moved"), &path).unwrap();
    let error = opened.unwrap().finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

/// Each of many writers, in processes of their own, adds one to a number again and again.
#[test]
fn no_update_is_lost() {
    const PROCESSES: usize = 3;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("number");
    fs::write(&path, number(0)).unwrap();
    let children: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let mut child = child("child_adds", directory.path());
            child.stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut refused = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}");
        let count = said.split("refused ").nth(1).unwrap();
        refused += count.lines().next().unwrap().parse::<usize>().unwrap();
    }
    let sum = PROCESSES * TASKS * ADDS;
    assert_eq!(fs::read_to_string(&path).unwrap(), number(sum));
    assert_eq!(names(directory.path()), ["number"]);
    println!("{sum} updates, {refused} refused");
    assert!(refused > 0, "they did not meet");
}

const TASKS: usize = 3;
const ADDS: usize = 15;

/// Of one length, so that the tags tell them apart by inode and time alone.
fn number(n: usize) -> String {
    format!("{n:08}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_adds() {
    let Some(directory) = child_of() else { return };
    let path = directory.join("number");
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| tokio::spawn(add(path.clone())))
        .collect();
    let mut refused = 0;
    for task in tasks {
        refused += task.await.unwrap();
    }
    println!("refused {refused}");
}

async fn add(path: std::path::PathBuf) -> usize {
    let store = FileSystemObjectStore::with_memory(1 << 20).unwrap();
    let mut refused = 0;
    for _ in 0..ADDS {
        loop {
            let current = tag(&store, &path).await;
            let read = fs::read_to_string(&path).unwrap();
            let next = number(read.parse::<usize>().unwrap() + 1);
            match replace(&store, &path, &current, next.as_bytes()).await {
                Ok(_) => break,
                Err(error) => assert_eq!(error.kind(), ErrorKind::PreconditionFailed, "{error}"),
            }
            refused += 1;
        }
    }
    refused
}

/// A writer without condition, or a removal, that comes between the look at the tag and the
/// rename waits: else the write with the tag would undo it.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_between_the_look_and_the_rename() {
    if !strace::works() {
        return;
    }
    for removes in [false, true] {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().canonicalize().unwrap().join("objects");
        fs::create_dir(&directory).unwrap();
        let path = directory.join("object");
        fs::write(&path, "old").unwrap();
        let slow = ["-e", "inject=rename:delay_enter=250000"];
        let traced_in = directory.clone();
        let child = tokio::task::spawn_blocking(move || {
            strace::traced("child_replaces_slowly", "", &traced_in, "rename", &slow)
        });
        let lock = File::open(&directory).unwrap();
        let begun = Instant::now();
        while rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_ok() {
            rustix::fs::flock(&lock, FlockOperation::Unlock).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(30), "never locked");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let store = FileSystemObjectStore::with_memory(1 << 20).unwrap();
        if removes {
            store.delete_at(&path).await.unwrap();
        } else {
            store.put_at(&path, "second".into()).await.unwrap();
        }
        child.await.unwrap().unwrap();
        let now = fs::read(&path).ok();
        assert_eq!(now.as_deref(), (!removes).then_some(&b"second"[..]));
    }
}

#[tokio::test]
async fn child_replaces_slowly() {
    let Some(directory) = child_of() else { return };
    let store = FileSystemObjectStore::with_memory(1 << 20).unwrap();
    let path = directory.join("object");
    let current = tag(&store, &path).await;
    replace(&store, &path, &current, b"first").await.unwrap();
}

#[tokio::test]
async fn an_expected_checksum_counts_copied_ranges_and_holes() {
    let place = Place::new();
    let source = File::create_new(place.path("source")).unwrap();
    source.write_all_at(&pattern(MIB), 0).unwrap();
    source.set_len(3 * MIB as u64).unwrap();
    let source = Arc::new(File::open(place.path("source")).unwrap());
    let mut whole = pattern(MIB);
    whole.resize(3 * MIB, 0);
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &whole);
    let path = place.path("object");
    for (expected, stored) in [(crc ^ 1, false), (crc, true)] {
        let options = WriterOptions::default().with_expected_checksum(Crc64Nvme(expected));
        let opened = place.store.create_writer_at(&path, Some(options)).await;
        let mut writer = opened.unwrap();
        let range = Segment::file(Arc::clone(&source), 0..3 * MIB as u64);
        writer.write_owned(range).await.unwrap();
        let finished = writer.finish().await;
        assert_eq!(finished.is_ok(), stored);
        if let Err(error) = finished {
            assert_eq!(error.kind(), ErrorKind::ChecksumMismatch);
            assert_eq!(names(place.directory.path()), ["source"]);
        }
    }
    assert!(fs::read(&path).unwrap() == whole);
}
