//! When an object becomes visible, and that only one of many can be the first.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use backend_fs::FileSystemObjectStore;
use common::strace::traced;
use common::{MIB, Place, child_mode, child_of, create_only, names, pattern};
use tokio::sync::Barrier;
use tokio::task::JoinHandle;
use writer_core::{
    Condition, Crc64Nvme, ErrorKind, ObjectMetadata, ObjectStore, Result, WriterOptions,
};

#[tokio::test]
async fn the_old_object_is_there_until_finish() {
    let place = Place::new();
    let uri = place.uri("object");
    place.store.put(&uri, "old".into()).await.unwrap();
    let mut writer = place.store.create_writer(&uri, None).await.unwrap();
    let data = pattern(3 * MIB + 17);
    for chunk in data.chunks(100_000) {
        writer.write_chunk(chunk).await.unwrap();
        assert_eq!(fs::read(place.path("object")).unwrap(), b"old");
    }
    let receipt = writer.finish().await.unwrap();
    assert_eq!(fs::read(place.path("object")).unwrap(), data);
    assert_eq!(receipt.size, data.len() as u64);
    assert_eq!(receipt.condition, None);
    assert_eq!(names(place.directory.path()), ["object"]);

    let stat = place.store.stat(&uri).await.unwrap();
    assert_eq!(stat.e_tag, receipt.e_tag);
    assert_eq!(stat.last_modified, receipt.last_modified);
    assert!(receipt.e_tag.is_some() && receipt.last_modified.is_some());
    assert_eq!(place.store.budget().used(), 0);
}

#[tokio::test]
async fn a_checksum_is_that_of_all_bytes_in_order() {
    let place = Place::new();
    let checked = || WriterOptions::default().with_part_size(1);
    for (name, pieces) in [
        ("one", vec!["123456789"]),
        ("many", vec!["12", "345", "6789"]),
    ] {
        let writer = place
            .store
            .create_writer(&place.uri(name), Some(checked()))
            .await;
        let mut writer = writer.unwrap();
        for piece in pieces {
            writer.write_chunk(piece.as_bytes()).await.unwrap();
        }
        let receipt = writer.finish().await.unwrap();
        // The check value of CRC-64/NVME, from the catalogue of parametrised CRC algorithms.
        assert_eq!(receipt.checksum, Some(Crc64Nvme(0xae8b_1486_0a79_9888)));
    }
    let options = checked().with_checksums(false);
    let writer = place
        .store
        .create_writer(&place.uri("one"), Some(options))
        .await
        .unwrap();
    assert_eq!(writer.finish().await.unwrap().checksum, None);
}

#[tokio::test]
async fn an_empty_object_is_one() {
    let place = Place::new();
    let writer = place
        .store
        .create_writer(&place.uri("a/b/empty"), None)
        .await
        .unwrap();
    let receipt = writer.finish().await.unwrap();
    assert_eq!((receipt.size, receipt.parts), (0, Some(1)));
    assert_eq!(fs::read(place.path("a/b/empty")).unwrap(), b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_that_create_one_wins() {
    let place = Arc::new(Place::new());
    for round in 0..20 {
        // A directory that all of them find missing.
        let uri = place.uri(&format!("{round}/object"));
        let barrier = Arc::new(Barrier::new(8));
        let racers: Vec<JoinHandle<Result<(i32, ObjectMetadata)>>> = (0..8)
            .map(|n| {
                let (uri, barrier) = (uri.clone(), Arc::clone(&barrier));
                let store = FileSystemObjectStore::with_memory(1 << 20).unwrap();
                tokio::spawn(async move {
                    let writer = store.create_writer(&uri, Some(create_only())).await;
                    barrier.wait().await;
                    let mut writer = writer?;
                    writer.write_owned(format!("writer {n}").into()).await?;
                    let receipt = writer.finish().await?;
                    Ok((n, receipt))
                })
            })
            .collect();
        let mut winners: Vec<i32> = Vec::new();
        for racer in racers {
            match racer.await.unwrap() {
                Ok((n, receipt)) => {
                    assert_eq!(receipt.condition, Some(Condition::Enforced));
                    winners.push(n);
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:?}"),
            }
        }
        assert_eq!(winners.len(), 1);
        let object = fs::read_to_string(place.path(&format!("{round}/object"))).unwrap();
        assert_eq!(object, format!("writer {}", winners[0]));
        assert_eq!(names(&place.path(&round.to_string())), ["object"]);
    }
}

#[tokio::test]
async fn create_only_fails_at_once_where_it_can() {
    let place = Place::new();
    let uri = place.uri("object");
    place.store.put(&uri, "old".into()).await.unwrap();
    let error = place
        .store
        .create_writer(&uri, Some(create_only()))
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(error.uri(), Some(uri.as_str()));
}

#[tokio::test]
async fn create_only_fails_at_the_end_if_another_was_first() {
    let place = Place::new();
    let uri = place.uri("object");
    let mut writer = place
        .store
        .create_writer(&uri, Some(create_only()))
        .await
        .unwrap();
    writer.write_chunk(b"late").await.unwrap();
    place.store.put(&uri, "first".into()).await.unwrap();
    let error = writer.finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::read(place.path("object")).unwrap(), b"first");
    assert_eq!(names(place.directory.path()), ["object"]);
}

#[tokio::test]
async fn a_device_that_comes_in_between_is_not_replaced() {
    let place = Place::new();
    let writer = place
        .store
        .create_writer(&place.uri("object"), None)
        .await
        .unwrap();
    let status = Command::new("mkfifo").arg(place.path("object")).status();
    assert!(status.unwrap().success());
    let error = writer.finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert_eq!(names(place.directory.path()), ["object"]);
}

/// `finish` is polled once and dropped after a while that grows from round to round.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finish_that_is_dropped_leaves_the_old_object_or_the_new_one() {
    let place = Place::new();
    let uri = place.uri("made/object");
    let (old, new) = (pattern(MIB / 2), pattern(MIB));
    let (mut kept, mut replaced) = (0, 0);
    for round in 0..60 {
        place.store.put(&uri, old.clone().into()).await.unwrap();
        let mut writer = place.store.create_writer(&uri, None).await.unwrap();
        writer.write_owned(new.clone().into()).await.unwrap();
        let mut finish = writer.finish();
        let mut context = Context::from_waker(Waker::noop());
        let first = finish.as_mut().poll(&mut context);
        drop(first);
        tokio::time::sleep(Duration::from_micros(round * 100)).await;
        drop(finish);
        place.store.close().await.unwrap();
        let now = fs::read(place.path("made/object")).unwrap();
        assert!(now == old || now == new);
        if now == old {
            kept += 1;
        } else {
            replaced += 1;
        }
        assert_eq!(names(&place.path("made")), ["object"]);
    }
    println!("{kept} times the old object, {replaced} times the new one");
}

#[test]
fn a_runtime_is_asked_for_and_not_needed_to_clean_up() {
    let place = Place::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let uri = place.uri("a/object");
    let mut writer = runtime
        .block_on(place.store.create_writer(&uri, None))
        .unwrap();
    runtime.block_on(writer.write_chunk(&pattern(MIB))).unwrap();
    drop(runtime);
    drop(writer);
    assert!(place.listing().is_empty());

    let mut create = place.store.create_writer(&uri, None);
    let polled = create
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    let std::task::Poll::Ready(Err(error)) = polled else {
        panic!("expected an error");
    };
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// What is synced when, as the kernel saw it.
#[test]
fn data_is_synced_before_and_the_directory_after_the_object_appears() {
    for (mode, publish) in [("replace", "rename("), ("create", "linkat(")] {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().canonicalize().unwrap().join("objects");
        fs::create_dir(&directory).unwrap();
        let calls = "mkdir,fsync,fdatasync,rename,linkat";
        let Some(log) = traced("child_is_traced", mode, &directory, calls, &[]) else {
            return;
        };
        let at = |what: &str, from: usize| {
            let found = log[from..].find(what);
            from + found.unwrap_or_else(|| panic!("no {what} after byte {from} of\n{log}"))
        };
        let directory = directory.display();
        let made = at(&format!("mkdir(\"{directory}/new\""), 0);
        let parent = at(&format!("<{directory}>)"), made);
        let published = at(publish, parent);
        let data = log[..published].rfind("sync(").unwrap();
        let line = log[data..].lines().next().unwrap();
        // A staging file, or one without a name: `/dir/#123 (deleted)`.
        assert!(line.contains(&format!("<{directory}/new/")), "{line}");
        assert!(data > parent);
        at(&format!("<{directory}/new>)"), published);
    }
}

#[tokio::test]
async fn child_is_traced() {
    let Some(directory) = child_of() else { return };
    let options = match child_mode().as_str() {
        "create" => create_only(),
        _ => WriterOptions::default(),
    };
    let store = FileSystemObjectStore::new().unwrap();
    let path = directory.join("new/object");
    let mut writer = store
        .create_writer(path.to_str().unwrap(), Some(options))
        .await
        .unwrap();
    writer.write_chunk(&pattern(MIB)).await.unwrap();
    writer.finish().await.unwrap();
}
