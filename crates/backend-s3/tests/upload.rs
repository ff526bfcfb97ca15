//! Uploads against a server on a real socket: what is sent, when, and what stays.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use backend_s3::{MultipartUploadConfig, PayloadSigning, S3ObjectStore, StreamingMultipartSink};
use common::{PART, config, open, options, random, server, store};
use writer_core::{ErrorKind, IfExists, ObjectStore, Segment};

async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    for _ in 0..500 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn one_part_is_one_request() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    for (key, len) in [("empty", 0), ("one", 1), ("part", PART as usize)] {
        let data = random(1, len);
        let mut writer = store
            .create_writer(&format!("s3://test/{key}"), Some(options()))
            .await
            .unwrap();
        writer.write_chunk(&data).await.unwrap();
        let receipt = writer.finish().await.unwrap();
        assert_eq!(receipt.size, len as u64);
        assert_eq!(receipt.parts, Some(1));
        assert_eq!(server.object(key).unwrap().bytes(), data);
    }
    assert_eq!(server.stats().requests_of("PutObject"), 3);
    assert_eq!(server.log().len(), 3);
}

#[tokio::test]
async fn parts_leave_while_the_producer_idles() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let data = random(2, 3 * PART as usize + 7);
    let mut writer = open(&store, "key", options()).await;
    writer.write_chunk(&data[..PART as usize]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(
        server.log().is_empty(),
        "a full part may be the whole object"
    );
    writer.write_chunk(&data[PART as usize..]).await.unwrap();
    eventually("three parts arrive before finish", || {
        server
            .uploads()
            .iter()
            .any(|upload| upload.parts.len() == 3)
    })
    .await;
    assert!(server.object("key").is_none());
    let receipt = writer.finish().await.unwrap();
    assert_eq!(receipt.parts, Some(4));
    let object = server.object("key").unwrap();
    assert_eq!(object.bytes(), data);
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &data);
    assert_eq!(receipt.checksum.unwrap().0, crc);
    assert_eq!(server.stats().requests_of("HeadObject"), 0);
}

#[tokio::test]
async fn a_known_length_creates_with_the_first_byte() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let options = options().with_expected_size(3 * PART);
    let mut writer = open(&store, "key", options).await;
    writer.write_chunk(b"x").await.unwrap();
    eventually("Create", || {
        server.stats().requests_of("CreateMultipartUpload") == 1
    })
    .await;
    writer.cancel().await.unwrap();
    assert!(server.uploads().is_empty());
}

#[tokio::test]
async fn a_file_is_sent_without_being_held() {
    let server = server().start().await.unwrap();
    let store = S3ObjectStore::connect(config(&server).with_memory(1 << 20))
        .await
        .unwrap();
    let data = random(3, 20 * (1 << 20) + 3);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&data).unwrap();
    let len = data.len() as u64;
    let mut writer = store
        .create_writer("s3://test/key", Some(options().with_expected_size(len)))
        .await
        .unwrap();
    writer
        .write_owned(Segment::file(Arc::new(file), 0..len))
        .await
        .unwrap();
    writer.finish().await.unwrap();
    assert_eq!(server.object("key").unwrap().bytes(), data);
    assert_eq!(store.budget().peak(), 0);
}

#[tokio::test]
async fn a_file_that_changes_meanwhile_is_not_published() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    for (key, len) in [("multi", 5 * PART), ("single", 100)] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&random(4, len as usize)).unwrap();
        let mut writer = store
            .create_writer(&format!("s3://test/{key}"), Some(options()))
            .await
            .unwrap();
        let shared = Arc::new(file.try_clone().unwrap());
        writer
            .write_owned(Segment::file(shared, 0..len))
            .await
            .unwrap();
        file.write_all(b"more").unwrap();
        let error = writer.finish().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SourceChanged, "{error}");
    }
    assert!(server.keys().is_empty() && server.uploads().is_empty());
}

#[tokio::test]
async fn payloads_are_signed_as_asked() {
    for (signing, unsigned) in [
        (PayloadSigning::Auto, false),
        (PayloadSigning::Always, false),
        (PayloadSigning::Never, true),
    ] {
        let server = server().start().await.unwrap();
        let config = config(&server).with_payload_signing(signing);
        let store = S3ObjectStore::connect(config).await.unwrap();
        let mut writer = open(&store, "key", options()).await;
        writer
            .write_chunk(&random(10, 2 * PART as usize))
            .await
            .unwrap();
        writer.finish().await.unwrap();
        for request in server.log_of("UploadPart") {
            let hash = request.header("x-amz-content-sha256").unwrap();
            assert_eq!(hash == "UNSIGNED-PAYLOAD", unsigned, "{signing:?}: {hash}");
        }
        for request in server.log_of("CompleteMultipartUpload") {
            assert!(request.header("x-amz-checksum-crc64nvme").is_some());
        }
    }
}

#[tokio::test]
async fn checksums_can_be_off() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let options = options().with_checksums(false);
    let data = random(11, 2 * PART as usize);
    let mut writer = open(&store, "key", options).await;
    writer.write_chunk(&data).await.unwrap();
    let receipt = writer.finish().await.unwrap();
    assert_eq!(receipt.checksum, None);
    assert_eq!(server.object("key").unwrap().bytes(), data);
    for request in server.log_of("UploadPart") {
        assert!(request.header("x-amz-checksum-crc64nvme").is_none());
        assert!(request.header("x-amz-checksum-crc32").is_none());
        assert!(request.header("x-amz-trailer").is_none());
    }
}

#[tokio::test]
async fn a_dropped_writer_is_aborted_and_close_waits_for_it() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let hold = server.hold("UploadPart");
    let mut writer = open(&store, "key", options()).await;
    writer
        .write_chunk(&random(12, 4 * PART as usize))
        .await
        .unwrap();
    hold.wait_for(3).await;
    drop(writer);
    hold.release();
    store.close().await.unwrap();
    assert!(server.uploads().is_empty());
    assert_eq!(store.budget().used(), 0);
}

#[tokio::test]
async fn a_drop_can_leave_the_upload_if_asked_to() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let config = MultipartUploadConfig::from(options()).with_abort_on_drop(false);
    let mut sink = StreamingMultipartSink::new(&store, "test", "key", config).unwrap();
    sink.write(&random(13, 3 * PART as usize)).await.unwrap();
    eventually("parts", || {
        server
            .uploads()
            .iter()
            .any(|upload| upload.parts.len() == 3)
    })
    .await;
    drop(sink);
    store.close().await.unwrap();
    assert_eq!(server.uploads().len(), 1);
}

#[tokio::test]
async fn held_parts_leave_with_flush_and_a_full_budget_says_so() {
    let server = server().start().await.unwrap();
    let store = S3ObjectStore::connect(config(&server).with_memory(1 << 20))
        .await
        .unwrap();
    let config = MultipartUploadConfig::from(options()).with_auto_flush(false);
    let mut sink = StreamingMultipartSink::new(&store, "test", "key", config).unwrap();
    let data = random(14, 3 << 20);
    let chunk = 100_000;
    let mut flushes = 0;
    for piece in data.chunks(chunk) {
        if let Err(error) = sink.write(piece).await {
            assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
            assert!(error.message().contains("flush"), "{error}");
            if flushes == 0 {
                assert!(server.log_of("UploadPart").is_empty());
            }
            flushes += 1;
            sink.flush();
            // What is in flight comes back.
            while sink.write(piece).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    assert!(flushes > 0);
    sink.finish().await.unwrap();
    assert_eq!(server.object("key").unwrap().bytes(), data);
    assert!(store.budget().peak() <= 1 << 20);
}

#[tokio::test]
async fn create_only_leaves_the_old_object() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    for len in [10, 2 * PART as usize] {
        let uri = format!("s3://test/{len}");
        store.put(&uri, "old".into()).await.unwrap();
        let options = options().with_if_exists(IfExists::Fail);
        let mut writer = store.create_writer(&uri, Some(options)).await.unwrap();
        writer.write_chunk(&random(15, len)).await.unwrap();
        let error = writer.finish().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        assert_eq!(server.object(&len.to_string()).unwrap().bytes(), "old");
    }
    assert!(server.uploads().is_empty());
}

#[tokio::test]
async fn write_only_credentials_are_enough() {
    let server = server()
        .deny("HeadObject")
        .deny("GetObject")
        .deny("ListParts")
        .deny("ListObjectsV2")
        .start()
        .await
        .unwrap();
    let store = store(&server).await;
    let mut writer = open(&store, "key", options()).await;
    writer
        .write_chunk(&random(16, 3 * PART as usize))
        .await
        .unwrap();
    writer.finish().await.unwrap();
    let mut writer = open(&store, "other", options()).await;
    writer
        .write_chunk(&random(16, 3 * PART as usize))
        .await
        .unwrap();
    writer.cancel().await.unwrap();
    assert!(server.uploads().is_empty());
}

/// The stalled-stream protection of the SDK would fail these parts within seconds: each of them
/// gets 20 kB/s of the line.
#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_parts_over_ten_megabits_do_not_time_out() {
    let server = server().bandwidth(10_000_000 / 8).start().await.unwrap();
    let store = store(&server).await;
    let part = 256 * 1024;
    let data = random(17, 64 * part);
    let options = options()
        .with_part_size(part as u64)
        .with_expected_size(data.len() as u64);
    let mut writer = open(&store, "key", options).await;
    writer.write_owned(data.clone().into()).await.unwrap();
    let receipt = writer.finish().await.unwrap();
    assert_eq!(receipt.parts, Some(64));
    assert!(server.stats().max_concurrent_requests >= 60);
    assert_eq!(server.object("key").unwrap().bytes(), data);
    assert_eq!(
        server.stats().requests_of("UploadPart"),
        64,
        "no part was sent twice"
    );
}

#[tokio::test]
async fn wrong_credentials_and_buckets_are_told_apart() {
    let server = server().start().await.unwrap();
    let wrong = config(&server).with_credentials(server.access_key(), "wrong");
    let store = S3ObjectStore::connect(wrong).await.unwrap();
    let error = store.put("s3://test/key", "x".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied, "{error}");
    let store = common::store(&server).await;
    let error = store
        .put("s3://nobucket/key", "x".into())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.message().contains("NoSuchBucket"), "{error}");
}

#[test]
fn a_sink_outside_of_a_runtime_is_refused() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(server().start()).unwrap();
    let store = runtime.block_on(store(&server));
    let config = MultipartUploadConfig::default();
    let error = StreamingMultipartSink::new(&store, "test", "key", config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// Objects of one part wait for `finish`: waiting for their memory would never end.
#[tokio::test(flavor = "multi_thread")]
async fn many_small_objects_of_known_size_can_be_open_in_one_task() {
    let server = server().start().await.unwrap();
    let config = config(&server).with_memory(1 << 20);
    let store = S3ObjectStore::connect(config).await.unwrap();
    let data = random(18, PART as usize);
    let mut writers = Vec::new();
    for key in 0..40 {
        let uri = format!("s3://test/{key}");
        let options = options().with_expected_size(PART);
        let mut writer = store.create_writer(&uri, Some(options)).await.unwrap();
        let write = writer.write_chunk(&data);
        let written = tokio::time::timeout(Duration::from_secs(20), write).await;
        written.expect("dead-locked").unwrap();
        writers.push(writer);
    }
    for writer in writers {
        writer.finish().await.unwrap();
    }
    assert_eq!(server.keys().len(), 40);
}
