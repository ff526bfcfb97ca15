//! Whom a store trusts.

#![allow(clippy::unwrap_used)]

mod common;

use backend_s3::S3ObjectStore;
use common::{PART, config, open, options, random, server};
use writer_core::{ByteRange, ErrorKind, ObjectStore as _, Segment};

#[tokio::test]
async fn over_tls_nothing_is_hashed_twice() {
    let server = server().tls().start().await.unwrap();
    let store = S3ObjectStore::connect(config(&server)).await.unwrap();
    let data = random(50, 3 * PART as usize);
    let mut writer = open(&store, "key", options()).await;
    writer.write_chunk(&data).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(server.object("key").unwrap().bytes(), data);
    for request in server.log_of("UploadPart") {
        let hash = request.header("x-amz-content-sha256");
        assert_eq!(hash, Some("UNSIGNED-PAYLOAD"));
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_said_at_once() {
    let server = server().tls().start().await.unwrap();
    let mut stranger = config(&server);
    stranger.ca_bundle = None;
    let store = S3ObjectStore::connect(stranger).await.unwrap();
    let put = store.put("s3://test/key", "data".into());
    let error = put.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied, "{error}");
    assert_eq!(error.attempts(), None, "another attempt is in vain");
    let text = error.to_string();
    assert!(text.contains("127.0.0.1 is not trusted"), "{text}");
    assert!(text.contains("AWS_CA_BUNDLE"), "{text}");
}

#[tokio::test]
async fn a_bundle_that_is_none_is_refused() {
    let server = server().start().await.unwrap();
    let empty = tempfile::NamedTempFile::new().unwrap();
    for (path, expected) in [
        ("/nowhere.pem".as_ref(), "/nowhere.pem"),
        (empty.path(), "no certificate"),
    ] {
        let config = config(&server).with_ca_bundle(path);
        let error = S3ObjectStore::connect(config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn any_certificate_is_taken_only_where_that_is_asked_for() {
    let server = server().tls().start().await.unwrap();
    let mut careless = config(&server);
    careless.ca_bundle = None;
    let careless = careless.with_danger_accept_invalid_certs(true);
    let store = S3ObjectStore::connect(careless).await.unwrap();
    let data = random(51, 3 * PART as usize);
    let mut writer = open(&store, "key", options()).await;
    writer.write_chunk(&data).await.unwrap();
    writer.finish().await.unwrap();
    let mut reader = store.get("s3://test/key", ByteRange::Full).await.unwrap();
    let mut read = Vec::new();
    while let Some(chunk) = reader.next_chunk().await.unwrap() {
        let Segment::Memory(bytes) = chunk else {
            panic!("{chunk:?}");
        };
        read.extend_from_slice(bytes.as_ref());
    }
    assert_eq!(read, data);
}
