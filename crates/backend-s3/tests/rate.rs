//! How fast bodies leave.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backend_s3::S3ObjectStore;
use common::{PART, config, open, options, random, server};
use testkit::server::Fault;
use writer_core::{ErrorKind, Segment};

/// Bytes a second: a part takes an eighth of one.
const RATE: u64 = 8 * PART;

#[tokio::test]
async fn all_bodies_share_one_rate() {
    let server = server().start().await.unwrap();
    let config = config(&server).with_max_bytes_per_second(RATE);
    let store = S3ObjectStore::connect(config).await.unwrap();
    let data = random(60, 6 * PART as usize);
    let start = Instant::now();
    let mut first = open(&store, "first", options()).await;
    let mut second = open(&store, "second", options()).await;
    first.write_chunk(&data).await.unwrap();
    second
        .write_chunk(&data[..4 * PART as usize])
        .await
        .unwrap();
    let (first, second) = tokio::join!(first.finish(), second.finish());
    first.unwrap();
    second.unwrap();
    // Ten parts, but for what may leave in the first moment.
    assert!(
        start.elapsed() > Duration::from_millis(1150),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(server.object("first").unwrap().bytes(), data);
}

#[tokio::test]
async fn files_and_what_is_sent_again_count_too() {
    let server = server().start().await.unwrap();
    let config = config(&server).with_max_bytes_per_second(RATE);
    let store = S3ObjectStore::connect(config).await.unwrap();
    let again = server.inject(
        Fault::on("UploadPart")
            .part(2)
            .times(2)
            .respond(500, "InternalError"),
    );
    let data = random(61, 6 * PART as usize);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&data).unwrap();
    let start = Instant::now();
    let range = Segment::file(Arc::new(file), 0..data.len() as u64);
    let mut writer = open(&store, "key", options()).await;
    writer.write_owned(range).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(again.count(), 2);
    assert!(
        start.elapsed() > Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(server.object("key").unwrap().bytes(), data);
}

/// Bodies that wait for their turn for longer than the time-out are not stalled.
#[tokio::test]
async fn to_wait_for_a_turn_is_not_to_stall() {
    let server = server().start().await.unwrap();
    let config = config(&server)
        .with_max_bytes_per_second(7 * PART)
        .with_stall_timeout(Duration::from_secs(3));
    let store = S3ObjectStore::connect(config).await.unwrap();
    let data = random(62, 64 * PART as usize);
    let mut writer = open(&store, "key", options()).await;
    writer.write_chunk(&data).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(server.log_of("UploadPart").len(), 64, "none was sent twice");
}

#[tokio::test]
async fn no_rate_at_all_is_refused() {
    let server = server().start().await.unwrap();
    let config = config(&server).with_max_bytes_per_second(0);
    let error = S3ObjectStore::connect(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
