//! Which store a URI gets.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use testkit::MemoryStore;
use writer_core::{Error, ErrorKind, ObjectStore};
use writer_stores::{Stores, store_for};

#[cfg(feature = "fs")]
#[tokio::test]
async fn a_path_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a").display().to_string();
    let uri = format!("file://{path}");
    store_for(&path)
        .await
        .unwrap()
        .put(&path, "x".into())
        .await
        .unwrap();
    assert_eq!(
        store_for(&uri)
            .await
            .unwrap()
            .stat(&uri)
            .await
            .unwrap()
            .size,
        1
    );
}

#[tokio::test]
async fn a_backend_of_ones_own_is_found_by_its_scheme() {
    let memory = MemoryStore::new();
    let stores = Stores::new().with("Memory", Arc::new(memory.clone()));
    for uri in ["memory://a", "MEMORY://b"] {
        let store = stores.get(uri).await.unwrap();
        store.put("memory://a", "x".into()).await.unwrap();
    }
    assert_eq!(memory.stat("memory://a").await.unwrap().size, 1);
    stores.close().await.unwrap();
}

#[tokio::test]
async fn a_store_is_opened_once_and_tried_again_if_that_fails() {
    let opened = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&opened);
    let stores = Stores::new().with_open("late", move || {
        let n = count.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            match n {
                0 => Err(Error::new(ErrorKind::Unavailable, "not yet")),
                _ => Ok(Arc::new(MemoryStore::new()) as Arc<dyn ObjectStore>),
            }
        })
    });
    let error = stores.get("late://x").await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    for _ in 0..3 {
        stores.get("late://x").await.unwrap();
    }
    assert_eq!(opened.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn what_has_no_store_is_said() {
    let stores = Stores::new().with("memory", Arc::new(MemoryStore::new()));
    for (uri, expected) in [
        ("gs://b/k", "memory://"),
        ("s3:/b/k", "s3://…"),
        ("s3//b/k", "s3://…"),
        ("memory:a", "memory://…"),
    ] {
        let error = stores.get(uri).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{uri}");
        assert!(error.message().contains(expected), "{error}");
        assert_eq!(error.uri(), Some(uri));
    }
}

#[cfg(not(any(feature = "s3", feature = "fs")))]
#[tokio::test]
async fn a_backend_that_is_not_compiled_in_is_named() {
    for (uri, feature) in [("s3://b/k", "--features s3"), ("/a", "--features fs")] {
        let error = store_for(uri).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains(feature), "{error}");
    }
}
