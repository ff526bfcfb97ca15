//! An object of the service, read as other code reads.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{PART, random, server, store};
use testkit::server::{Fault, TestServer};
use tokio::io::AsyncReadExt as _;
use writer_core::{ByteRange, Error, ErrorKind, ObjectStore};
use writer_tokio::{AsyncObjectReader, ReadOptions, read_in_parts};

const LEN: usize = 3 * PART as usize + 7;

/// What `docs/migrating.md` shows.
#[tokio::test]
async fn an_object_is_copied_in_three_lines() -> std::io::Result<()> {
    let server = TestServer::builder().bucket("bucket").start().await?;
    let store = store(&server).await;
    let (data, mut output) = (random(1, LEN), Vec::new());
    server.insert("key", data.clone());
    let stored = store.get("s3://bucket/key", ByteRange::Full).await?;
    let mut input = AsyncObjectReader::new(stored);
    tokio::io::copy(&mut input, &mut output).await?;
    assert!(output == data);
    Ok(())
}

#[tokio::test]
async fn an_object_is_copied_whole_and_in_ranges() {
    let server = server().start().await.unwrap();
    let store = Arc::new(store(&server).await);
    let data = random(1, LEN);
    server.insert("key", data.clone());
    let uri = "s3://test/key";
    for range in [ByteRange::Full, ByteRange::From(5), ByteRange::Last(1)] {
        let (start, len) = range.resolve(LEN as u64).unwrap();
        let mut input = AsyncObjectReader::new(store.get(uri, range).await.unwrap());
        assert_eq!(input.metadata().size, LEN as u64);
        let mut output = Vec::new();
        let copied = tokio::io::copy(&mut input, &mut output).await.unwrap();
        assert_eq!(copied, len);
        assert!(output == data[start as usize..], "{range:?}");
    }
    let options = ReadOptions::default().with_part_size(PART);
    let parts = read_in_parts(store, uri, ByteRange::Full, options).await;
    let mut output = Vec::new();
    let mut input = AsyncObjectReader::new(parts.unwrap());
    tokio::io::copy_buf(&mut input, &mut output).await.unwrap();
    assert!(output == data);
}

/// What breaks off for good must not look like an end.
#[tokio::test]
async fn an_object_that_breaks_off_is_an_error() {
    let server = server().start().await.unwrap();
    let store = Arc::new(store(&server).await);
    server.insert("key", random(1, LEN));
    let late = server.inject(
        Fault::on("GetObject")
            .after(1)
            .always()
            .respond(403, "AccessDenied"),
    );
    let options = ReadOptions::default()
        .with_part_size(PART)
        .with_max_concurrency(1);
    let reader = read_in_parts(store, "s3://test/key", ByteRange::Full, options).await;
    let mut input = AsyncObjectReader::new(reader.unwrap());
    let mut output = Vec::new();
    let error = input.read_to_end(&mut output).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    assert_eq!(Error::from(error).kind(), ErrorKind::AccessDenied);
    assert_eq!(output.len() as u64, PART);
    assert!(late.count() > 0);
}
