//! What is left of a write that did not come to its end: nothing.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backend_fs::FileSystemObjectStore;
use common::{
    MIB, Mount, Place, child, child_mode, child_of, create_only, listing, names, pattern,
};
use writer_core::{ErrorKind, ObjectStore, Segment, WriterOptions};

fn both() -> [WriterOptions; 2] {
    [WriterOptions::default(), create_only()]
}

#[tokio::test]
async fn cancel_and_drop_leave_what_was_there() {
    let place = Place::new();
    place
        .store
        .put(&place.uri("kept/object"), "old".into())
        .await
        .unwrap();
    let before = place.listing();
    for options in both() {
        for written in [0, 10, 5 * MIB] {
            for name in ["kept/new", "made/deep/down/new"] {
                let uri = place.uri(name);
                let open = || place.store.create_writer(&uri, Some(options.clone()));
                let mut writer = open().await.unwrap();
                writer.write_chunk(&pattern(written)).await.unwrap();
                writer.cancel().await.unwrap();
                assert_eq!(place.listing(), before);

                let mut writer = open().await.unwrap();
                writer.write_owned(pattern(written).into()).await.unwrap();
                drop(writer);
                assert_eq!(place.listing(), before);
            }
        }
    }
    place.store.close().await.unwrap();
    assert_eq!(place.store.budget().used(), 0);
}

#[tokio::test]
async fn a_create_that_is_dropped_leaves_nothing() {
    let place = Place::new();
    fs::create_dir(place.path("made")).unwrap();
    for n in 0..50 {
        // Of two writers that find a directory missing, one makes it and both may use it; if both
        // fail it may stay. So each has its own here.
        let uri = place.uri(&format!("made/{n}/object"));
        let mut create = place.store.create_writer(&uri, None);
        let waker = std::task::Waker::noop();
        let _pending = create
            .as_mut()
            .poll(&mut std::task::Context::from_waker(waker));
        drop(create);
    }
    place.store.close().await.unwrap();
    assert!(names(&place.path("made")).is_empty());
}

#[tokio::test]
async fn directories_that_another_writer_uses_stay() {
    let place = &Place::new();
    for options in both() {
        let open = |name: &str| {
            let uri = place.uri(name);
            let options = Some(options.clone());
            async move { place.store.create_writer(&uri, options).await.unwrap() }
        };
        let first = open("made/by/first").await;
        let mut second = open("made/by/second").await;
        second.write_chunk(b"bytes").await.unwrap();
        first.cancel().await.unwrap();
        second.finish().await.unwrap();
        assert_eq!(fs::read(place.path("made/by/second")).unwrap(), b"bytes");
        place
            .store
            .delete(&place.uri("made/by/second"))
            .await
            .unwrap();
        fs::remove_dir_all(place.path("made")).unwrap();
    }
}

#[tokio::test]
async fn a_wrong_size_fails_and_leaves_nothing() {
    let place = Place::new();
    let sized = || Some(WriterOptions::default().with_expected_size(1_000_000));
    let uri = place.uri("made/object");
    let mut writer = place.store.create_writer(&uri, sized()).await.unwrap();
    writer.write_chunk(&pattern(900_000)).await.unwrap();
    let error = writer.finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.uri(), Some(uri.as_str()));
    assert!(place.listing().is_empty());

    let mut writer = place.store.create_writer(&uri, sized()).await.unwrap();
    let error = writer.write_chunk(&pattern(1_000_001)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(place.listing().is_empty());
    let again = writer.finish().await.unwrap_err();
    assert_eq!(again.to_string(), error.to_string());
    place.store.close().await.unwrap();
}

#[tokio::test]
async fn a_size_that_is_kept_is_fine() {
    let place = Place::new();
    for size in [0, 1, 256 << 10, 3 * MIB + 1] {
        let uri = place.uri("object");
        let options = WriterOptions::default().with_expected_size(size as u64);
        let mut writer = place
            .store
            .create_writer(&uri, Some(options))
            .await
            .unwrap();
        let data = pattern(size);
        for chunk in data.chunks(70_000) {
            writer.write_chunk(chunk).await.unwrap();
        }
        assert_eq!(writer.finish().await.unwrap().size, size as u64);
        assert_eq!(fs::read(place.path("object")).unwrap(), data);
    }
}

struct Rude(AtomicUsize);

impl AsRef<[u8]> for Rude {
    fn as_ref(&self) -> &[u8] {
        static BYTES: [u8; 1 << 20] = [7; 1 << 20];
        // The first call asks for the length.
        let calls = self.0.fetch_add(1, Ordering::Relaxed);
        assert!(calls == 0, "this owner does not give its bytes");
        &BYTES
    }
}

#[tokio::test]
async fn an_owner_that_panics_fails_the_write_and_not_the_program() {
    let place = Place::new();
    let mut writer = place
        .store
        .create_writer(&place.uri("made/object"), None)
        .await
        .unwrap();
    let _may_succeed = writer
        .write_owned(Segment::from(Rude(AtomicUsize::new(0))))
        .await;
    let error = writer.finish().await.unwrap_err();
    assert!(
        error.message().contains("does not give its bytes"),
        "{error}"
    );
    assert!(place.listing().is_empty());
    place.store.close().await.unwrap();
    assert_eq!(place.store.budget().used(), 0);
}

#[tokio::test]
async fn the_directory_that_vanishes_fails_the_write() {
    let place = Place::new();
    fs::create_dir(place.path("gone")).unwrap();
    let writer = place
        .store
        .create_writer(&place.uri("gone/object"), None)
        .await
        .unwrap();
    fs::remove_dir_all(place.path("gone")).unwrap();
    assert_eq!(
        writer.finish().await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert!(place.listing().is_empty());
}

#[tokio::test]
async fn a_thousand_writers_fed_in_turn_share_a_small_budget() {
    let place = Place::new();
    let store = FileSystemObjectStore::with_memory(1 << 20).unwrap();
    let mut writers = Vec::new();
    for n in 0..200 {
        let uri = place.uri(&format!("{n}"));
        writers.push(store.create_writer(&uri, None).await.unwrap());
    }
    let data = pattern(100_000);
    for chunk in data.chunks(10_000) {
        for writer in &mut writers {
            writer.write_chunk(chunk).await.unwrap();
        }
    }
    for (n, writer) in writers.into_iter().enumerate() {
        writer.finish().await.unwrap();
        assert_eq!(fs::read(place.path(&n.to_string())).unwrap(), data);
    }
    assert_eq!(store.budget().used(), 0);
}

const STALE: &str = ".object.0123456789abcdef.s3dlio-staging";

#[tokio::test]
async fn a_stale_staging_file_is_swept_and_a_live_one_is_not() {
    let place = Place::new();
    let other = FileSystemObjectStore::with_memory(1 << 20).unwrap();
    let mut live = other.create_writer(&place.uri("live"), None).await.unwrap();
    live.write_chunk(b"alive").await.unwrap();
    fs::write(place.path(STALE), b"left by a crash").unwrap();
    let strangers = [
        ".object.s3dlio-staging",
        "x.0123456789abcdef.s3dlio-staging",
        "object.tmp",
    ];
    for name in strangers {
        fs::write(place.path(name), b"not ours").unwrap();
    }
    fs::create_dir(place.path(".d.0123456789abcdef.s3dlio-staging")).unwrap();

    place
        .store
        .put(&place.uri("next"), "x".into())
        .await
        .unwrap();
    assert!(!place.path(STALE).exists());
    assert!(place.path(".d.0123456789abcdef.s3dlio-staging").exists());
    for name in strangers {
        assert!(place.path(name).exists(), "{name}");
    }
    live.finish().await.unwrap();
    assert_eq!(fs::read(place.path("live")).unwrap(), b"alive");

    // Once for each directory and store.
    fs::write(place.path(STALE), b"left by a crash").unwrap();
    place
        .store
        .put(&place.uri("next"), "y".into())
        .await
        .unwrap();
    assert!(place.path(STALE).exists());
    other.put(&place.uri("sub/next"), "y".into()).await.unwrap();
    let third = FileSystemObjectStore::with_memory(1 << 20).unwrap();
    third.put(&place.uri("next"), "z".into()).await.unwrap();
    assert!(!place.path(STALE).exists());
}

#[tokio::test]
async fn what_a_killed_process_leaves_is_swept_by_the_next_writer() {
    for (mode, left) in [("replace", 2), ("create", 1)] {
        let place = Place::new();
        place
            .store
            .put(&place.uri("object"), "old".into())
            .await
            .unwrap();
        let mut child = child("child_writes_until_it_is_killed", place.directory.path())
            .env("CHILD_MODE", mode)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("in mid-write")));
        assert_eq!(names(place.directory.path()).len(), left);

        // Its writer lives, so its file stays.
        let store = FileSystemObjectStore::with_memory(1 << 20).unwrap();
        store.put(&place.uri("object"), "old".into()).await.unwrap();
        assert_eq!(names(place.directory.path()).len(), left);

        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(names(place.directory.path()).len(), left);
        let store = FileSystemObjectStore::with_memory(1 << 20).unwrap();
        let writer = store
            .create_writer(&place.uri("other"), None)
            .await
            .unwrap();
        writer.cancel().await.unwrap();
        assert_eq!(names(place.directory.path()), ["object"]);
        assert_eq!(fs::read(place.path("object")).unwrap(), b"old");
    }
}

#[tokio::test]
async fn child_writes_until_it_is_killed() {
    let Some(directory) = child_of() else { return };
    let (name, options) = match child_mode().as_str() {
        "create" => ("new", create_only()),
        _ => ("object", WriterOptions::default()),
    };
    let store = FileSystemObjectStore::new().unwrap();
    let writer = store
        .create_writer_at(&directory.join(name), Some(options))
        .await;
    let mut writer = writer.unwrap();
    writer.write_chunk(&pattern(3 * MIB)).await.unwrap();
    println!("in mid-write");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_full_disk_is_said_and_left_as_it_was() {
    let Some(mount) = Mount::of_tmpfs("1m") else {
        return;
    };
    full_disk(mount.path(), true).await;
}

async fn full_disk(directory: &std::path::Path, noticed_early: bool) {
    let store = FileSystemObjectStore::with_memory(4 << 20).unwrap();
    let path = directory.join("object");
    store.put_at(&path, "old".into()).await.unwrap();
    let before = listing(directory);
    for options in both() {
        let path = directory.join(if options == create_only() {
            "new"
        } else {
            "object"
        });
        // Of unknown size: the write that does not fit, or the next.
        let uri = path.to_str().unwrap();
        let mut writer = store
            .create_writer(uri, Some(options.clone()))
            .await
            .unwrap();
        let chunk = pattern(100_000);
        let mut error = None;
        for _ in 0..200 {
            if let Err(failed) = writer.write_chunk(&chunk).await {
                error = Some(failed);
                break;
            }
        }
        let error = error.unwrap();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error:?}");
        assert_eq!(error.uri(), Some(uri));
        // Removed as soon as it is known, so that others may have the space.
        assert_eq!(listing(directory), before);
        let again = writer.finish().await.unwrap_err();
        assert_eq!(again.to_string(), error.to_string());

        if !noticed_early {
            continue;
        }
        // Of known size: with the first bytes, long before the disk is full.
        let options = options.with_expected_size(8 << 20);
        let mut writer = store.create_writer(uri, Some(options)).await.unwrap();
        let mut written = 0;
        while writer.write_chunk(b"x").await.is_ok() {
            written += 1;
            assert!(written < 1_000, "not noticed");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(
            writer.finish().await.unwrap_err().kind(),
            ErrorKind::StorageFull
        );
        store.close().await.unwrap();
        assert_eq!(listing(directory), before);
    }
    assert_eq!(fs::read(&path).unwrap(), b"old");
    store.put_at(&path, pattern(200_000).into()).await.unwrap();
}

/// The same where no file system can be mounted: files may not grow beyond a limit.
#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk() {
    let directory = tempfile::tempdir().unwrap();
    let program = child("child_has_small_files_only", directory.path());
    // In units of 512 bytes: 1 MiB. Without the trap, the signal would kill the program.
    let script = "trap '' XFSZ; ulimit -f 2048; exec \"$0\" \"$@\"";
    let status = Command::new("sh")
        .args(["-c", script])
        .arg(program.get_program())
        .args(program.get_args())
        .env("CHILD_OF", directory.path())
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
}

#[tokio::test]
async fn child_has_small_files_only() {
    let Some(directory) = child_of() else { return };
    // Room that is made beforehand is not in the file, so the limit does not apply to it.
    full_disk(&directory, false).await;
}
