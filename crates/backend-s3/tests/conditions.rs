//! Writes that must not replace what they should not, on services that keep conditions and on
//! those that do not.

#![allow(clippy::unwrap_used)]

mod common;

use backend_s3::{Conditions, RetryPolicy, S3Config, S3ObjectStore, ServiceProfile};
use common::{PART, config, options, random, server};
use std::time::Duration;
use testkit::server::{Fault, TestServer};
use writer_core::{
    Condition, ErrorKind, IfExists, ObjectMetadata, ObjectStore, Result, WriterOptions,
};

/// One PutObject, and an upload of three parts.
const LENGTHS: [usize; 2] = [10, 2 * PART as usize + 10];

fn create_only() -> WriterOptions {
    options().with_if_exists(IfExists::Fail)
}

async fn connect(server: &TestServer, change: impl FnOnce(S3Config) -> S3Config) -> S3ObjectStore {
    S3ObjectStore::connect(change(config(server)))
        .await
        .unwrap()
}

async fn write(
    store: &S3ObjectStore,
    data: &[u8],
    options: WriterOptions,
) -> Result<ObjectMetadata> {
    let mut writer = store.create_writer("s3://test/key", Some(options)).await?;
    writer.write_chunk(data).await?;
    writer.finish().await
}

#[tokio::test]
async fn an_unknown_service_gets_no_condition_that_it_might_ignore() {
    let server = server().ignore_conditions(true).start().await.unwrap();
    let store = connect(&server, |config| {
        config.with_service(ServiceProfile::UNKNOWN)
    })
    .await;
    for options in [create_only(), options().with_if_match("abc")] {
        let error = write(&store, b"new", options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
    assert!(server.log().is_empty());
    // Known to be one request, which this service keeps the condition of.
    let ceph = connect(&server, |config| config.with_service(ServiceProfile::CEPH)).await;
    let one = create_only().with_expected_size(3);
    let receipt = write(&ceph, b"new", one).await.unwrap();
    assert_eq!(receipt.condition, Some(Condition::Enforced));
    let error = write(&ceph, b"new", create_only()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

#[tokio::test]
async fn looking_first_protects_what_is_there() {
    let server = server().ignore_conditions(true).start().await.unwrap();
    let looking = connect(&server, |config| {
        config
            .with_service(ServiceProfile::UNKNOWN)
            .with_conditions(Conditions::CheckFirst)
    })
    .await;
    for len in LENGTHS {
        looking.delete("s3://test/key").await.unwrap();
        let old = random(1, len);
        let receipt = write(&looking, &old, create_only()).await.unwrap();
        assert_eq!(receipt.condition, Some(Condition::Advisory));
        let error = write(&looking, &random(2, len), create_only())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        let other = options().with_if_match("0123");
        let error = write(&looking, &random(2, len), other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PreconditionFailed, "{error}");
        assert_eq!(server.object("key").unwrap().bytes(), old);

        let this = options().with_if_match(receipt.e_tag.unwrap());
        write(&looking, b"new", this).await.unwrap();
        assert_eq!(server.object("key").unwrap().bytes(), "new");
    }
    assert!(server.uploads().is_empty());
    // Such a service might refuse them.
    let conditions = ["if-none-match", "if-match"];
    let log = server.log();
    let mut sent = log
        .iter()
        .flat_map(|request| conditions.map(|name| request.header(name)));
    assert!(sent.all(|header| header.is_none()));
}

#[tokio::test]
async fn what_was_replaced_since_is_not_replaced_again() {
    let server = server().start().await.unwrap();
    let store = connect(&server, |config| config).await;
    for len in LENGTHS {
        let missing = options().with_if_match("0123");
        store.delete("s3://test/key").await.unwrap();
        let error = write(&store, &random(1, len), missing).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PreconditionFailed, "{error}");

        let first = write(&store, b"first", options()).await.unwrap();
        let if_first = options().with_if_match(first.e_tag.unwrap());
        let second = random(2, len);
        let receipt = write(&store, &second, if_first.clone()).await.unwrap();
        assert_eq!(receipt.condition, Some(Condition::Enforced));
        let error = write(&store, &random(3, len), if_first).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PreconditionFailed, "{error}");
        assert_eq!(server.object("key").unwrap().bytes(), second);
    }
    assert!(server.uploads().is_empty());
}

/// The answer is lost after the object was made: the token in its metadata tells that it is ours.
#[tokio::test]
async fn a_lost_answer_to_a_conditional_write_is_resolved_by_its_token() {
    for (operation, len) in [
        ("PutObject", LENGTHS[0]),
        ("CompleteMultipartUpload", LENGTHS[1]),
    ] {
        for lost in [1, 3] {
            let server = server().start().await.unwrap();
            let store = connect(&server, |config| {
                let backoff = Duration::from_millis(1);
                let retry = RetryPolicy::default().with_backoff(backoff, backoff);
                config.with_retry(retry.with_max_attempts(3))
            })
            .await;
            let fault = server.inject(Fault::on(operation).times(lost).reset_after_body());
            let data = random(3, len);
            let receipt = write(&store, &data, create_only()).await.unwrap();
            assert_eq!(fault.count(), lost);
            assert_eq!(receipt.condition, Some(Condition::Enforced));
            assert_eq!(server.object("key").unwrap().bytes(), data);
        }
    }
}

#[tokio::test]
async fn the_token_is_the_stores_own() {
    let server = server().start().await.unwrap();
    let store = connect(&server, |config| config).await;
    let options = create_only().with_metadata("k", "v");
    let receipt = write(&store, b"content", options).await.unwrap();
    let only: Vec<_> = receipt.metadata.keys().collect();
    assert_eq!(only, ["k"]);
    assert_eq!(
        store.stat("s3://test/key").await.unwrap().metadata,
        receipt.metadata
    );
    let taken = options_with_token();
    let error = write(&store, b"content", taken).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

fn options_with_token() -> WriterOptions {
    options().with_metadata("writer-token", "mine")
}

/// Another's object of the same content is not taken for ours.
#[tokio::test]
async fn the_same_content_of_somebody_else_is_no_success() {
    for (operation, len) in [
        ("PutObject", LENGTHS[0]),
        ("CompleteMultipartUpload", LENGTHS[1]),
    ] {
        let server = server().start().await.unwrap();
        let store = connect(&server, |config| config).await;
        let data = random(4, len);
        write(&store, &data, options()).await.unwrap();
        server.inject(Fault::on(operation).times(1).reset_after_body());
        let error = write(&store, &data, create_only()).await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::AlreadyExists,
            "{operation}: {error}"
        );
    }
}

#[tokio::test]
async fn a_conflict_says_that_all_must_be_written_anew() {
    for (operation, len) in [
        ("PutObject", LENGTHS[0]),
        ("CompleteMultipartUpload", LENGTHS[1]),
    ] {
        let server = server().start().await.unwrap();
        let store = connect(&server, |config| config).await;
        let fault = server.inject(
            Fault::on(operation)
                .always()
                .respond(409, "ConditionalRequestConflict"),
        );
        let error = write(&store, &random(5, len), create_only())
            .await
            .unwrap_err();
        assert!(error.message().contains("write it anew"), "{error}");
        assert_eq!(fault.count(), 1, "it can't be tried again as it is");
        assert!(server.object("key").is_none());
        assert!(server.uploads().is_empty());
    }
}

#[tokio::test]
async fn a_service_without_crc64nvme_gets_signed_payloads_and_equal_parts() {
    let server = server().start().await.unwrap();
    let store = connect(&server, |config| config.with_service(ServiceProfile::BASIC)).await;
    for len in LENGTHS {
        let data = random(6, len);
        let receipt = write(&store, &data, options()).await.unwrap();
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &data);
        assert_eq!(receipt.checksum.unwrap().0, crc);
        assert_eq!(server.object("key").unwrap().bytes(), data);
    }
    for request in server.log() {
        let header = |name| request.header(name).map(str::to_owned);
        assert_eq!(header("x-amz-checksum-crc64nvme"), None);
        assert_eq!(header("x-amz-checksum-algorithm"), None);
        assert_ne!(header("x-amz-content-sha256").unwrap(), "UNSIGNED-PAYLOAD");
    }
}

#[tokio::test]
async fn every_request_says_whose_bucket_it_must_be_and_who_pays() {
    let server = server().start().await.unwrap();
    let store = connect(&server, |config| {
        config
            .with_expected_bucket_owner("123456789012")
            .with_requester_pays(true)
    })
    .await;
    for len in LENGTHS {
        write(&store, &random(7, len), options()).await.unwrap();
    }
    store.stat("s3://test/key").await.unwrap();
    store.uploads("s3://test/").await.unwrap();
    store.delete("s3://test/key").await.unwrap();
    let log = server.log();
    assert!(log.len() >= 8);
    for request in log {
        assert_eq!(
            request.header("x-amz-expected-bucket-owner"),
            Some("123456789012")
        );
        assert_eq!(request.header("x-amz-request-payer"), Some("requester"));
    }
}
