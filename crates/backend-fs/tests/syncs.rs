//! Many writers that finish together: what is synced when, as the kernel saw it, and what happens
//! to whom if that fails.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use backend_fs::FileSystemObjectStore;
use common::strace::{Call, calls, traced};
use common::{child_of, names, pattern};
use tokio::sync::Barrier;
use tokio::task::JoinHandle;
use writer_core::{ErrorKind, ObjectMetadata, Result};

const WRITERS: usize = 24;

/// Finishes many objects of `directory` at the same moment.
async fn finish_together(directory: &Path) -> Vec<Result<ObjectMetadata>> {
    let store = FileSystemObjectStore::new().unwrap();
    let barrier = Arc::new(Barrier::new(WRITERS));
    let writers: Vec<JoinHandle<Result<ObjectMetadata>>> = (0..WRITERS)
        .map(|n| {
            let path = directory.join(format!("object-{n:02}"));
            let (store, barrier) = (store.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                let mut writer = store.create_writer_at(&path, None).await?;
                writer.write_owned(pattern(16 << 10).into()).await?;
                barrier.wait().await;
                let receipt = writer.finish().await;
                // A mark in the log: there is no such file, and nobody minds.
                let _ = fs::remove_dir(path.with_extension("finished"));
                receipt
            })
        })
        .collect();
    let mut results = Vec::new();
    for writer in writers {
        results.push(writer.await.unwrap());
    }
    results
}

#[test]
fn writers_of_one_directory_share_its_syncs_and_none_returns_before_its_own() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().canonicalize().unwrap().join("objects");
    fs::create_dir(&directory).unwrap();
    let trace = "fsync,rename,rmdir";
    // Syncs take as long as on a slow disk.
    let slow = ["-e", "inject=fsync:delay_enter=20000"];
    let Some(log) = traced("child_finishes_many", "", &directory, trace, &slow) else {
        return;
    };
    let calls = calls(&log);
    let find = |parts: &[&str]| {
        let has_all = |call: &&Call| parts.iter().all(|part| call.text.contains(part));
        let found = calls.iter().find(has_all);
        found.unwrap_or_else(|| panic!("no {parts:?} in\n{log}"))
    };
    let entry = format!("<{}>", directory.display());
    let of_directory = |call: &&Call| call.text.starts_with("fsync") && call.text.contains(&entry);
    let directory_syncs: Vec<&Call> = calls.iter().filter(of_directory).collect();
    for n in 0..WRITERS {
        let name = format!("object-{n:02}");
        let data = find(&["fsync(", &format!("/.{name}.")]);
        let rename = find(&["rename(", &format!("/{name}\"")]);
        let finished = find(&["rmdir(", &format!("/{name}.finished")]);
        assert!(data.end < rename.begin, "{name}\n{log}");
        let covers = |sync: &&Call| rename.end < sync.begin && sync.end < finished.begin;
        assert!(directory_syncs.iter().any(covers), "{name}\n{log}");
    }
    let shared = directory_syncs.len() < WRITERS / 2;
    assert!(shared, "{} syncs\n{log}", directory_syncs.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child_finishes_many() {
    let Some(directory) = child_of() else { return };
    for result in finish_together(&directory).await {
        result.unwrap();
    }
}

#[test]
fn a_directory_that_can_not_be_synced_fails_everyone_who_waits() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().canonicalize().unwrap().join("objects");
    fs::create_dir(&directory).unwrap();
    // Of all syncs, those of the directory itself.
    let path = directory.to_str().unwrap();
    let broken = ["-P", path, "-e", "inject=fsync:error=EIO:delay_enter=50000"];
    let Some(log) = traced("child_is_refused", "", &directory, "fsync", &broken) else {
        return;
    };
    let failures = log.matches("EIO").count();
    assert!((1..WRITERS / 2).contains(&failures), "{failures}\n{log}");
    // They are in their places; that this is not certain to last is what the errors say.
    assert_eq!(names(&directory).len(), WRITERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child_is_refused() {
    let Some(directory) = child_of() else { return };
    for (n, result) in finish_together(&directory).await.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Ambiguous, "{error}");
        let uri = format!("file://{}/object-{n:02}", directory.display());
        assert_eq!(error.uri(), Some(uri.as_str()));
    }
}
