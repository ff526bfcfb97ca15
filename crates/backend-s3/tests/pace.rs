//! How many requests are on their way, and what happens when one of them hangs.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use backend_s3::{PayloadSigning, RetryPolicy, S3ObjectStore};
use common::{PART, config, open, options, random, server};
use testkit::server::{ETags, Fault, TestServer};

async fn unsigned(server: &TestServer) -> S3ObjectStore {
    let config = config(server).with_payload_signing(PayloadSigning::Never);
    S3ObjectStore::connect(config).await.unwrap()
}

/// A client as it comes, to meddle with uploads.
fn client(server: &TestServer) -> Client {
    let credentials =
        Credentials::new(server.access_key(), server.secret_key(), None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(server.endpoint())
        .region(Region::new(server.region().to_owned()))
        .credentials_provider(credentials)
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

/// The id of the one upload, once so many parts of it are stored.
async fn stored_upload(server: &TestServer, parts: usize) -> String {
    loop {
        let uploads = server.uploads();
        if let Some(upload) = uploads.first().filter(|upload| upload.parts.len() == parts) {
            return upload.upload_id.clone();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Stores part 2 of the one upload again, once all three of its parts are there.
async fn upload_part_2(server: &TestServer, bytes: Vec<u8>) {
    let id = stored_upload(server, 3).await;
    client(server)
        .upload_part()
        .bucket("test")
        .key("key")
        .upload_id(&id)
        .part_number(2)
        .body(bytes.into())
        .checksum_algorithm(aws_sdk_s3::types::ChecksumAlgorithm::Crc64Nvme)
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_part_that_hangs_at_the_end_is_sent_a_second_time() {
    let server = server().start().await.unwrap();
    let store = unsigned(&server).await;
    let hang = Fault::on("UploadPart")
        .part(19)
        .delay(Duration::from_secs(60));
    let hang = server.inject(hang);
    let data = random(41, 20 * PART as usize);
    let start = Instant::now();
    let mut writer = open(&store, "key", options()).await;
    writer.write_chunk(&data).await.unwrap();
    writer.finish().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(hang.count(), 1);
    assert_eq!(server.object("key").unwrap().bytes(), data);
    assert_eq!(server.log_of("UploadPart").len(), 21, "and no other one");
}

#[tokio::test]
async fn a_second_request_that_fails_does_not_spoil_the_first() {
    let server = server().start().await.unwrap();
    let store = unsigned(&server).await;
    let slow = Fault::on("UploadPart")
        .part(19)
        .delay(Duration::from_secs(5));
    let slow = server.inject(slow);
    let refuse = Fault::on("UploadPart").part(19).always();
    let refuse = server.inject(refuse.respond(403, "AccessDenied"));
    let data = random(42, 20 * PART as usize);
    let mut writer = open(&store, "key", options()).await;
    writer.write_chunk(&data).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!((slow.count(), refuse.count()), (1, 1));
    assert_eq!(server.object("key").unwrap().bytes(), data);
}

/// As a request that was sent twice may do, when the first one arrives after the second.
#[tokio::test]
async fn an_etag_that_has_changed_is_looked_up() {
    let server = server().etags(ETags::Random).start().await.unwrap();
    let store = unsigned(&server).await;
    server.inject(Fault::on("CompleteMultipartUpload").delay(Duration::from_secs(1)));
    let data = random(43, 3 * PART as usize);
    let mut writer = open(&store, "key", options()).await;
    writer.write_chunk(&data).await.unwrap();
    let finish = tokio::spawn(async move { writer.finish().await });
    upload_part_2(&server, data[PART as usize..2 * PART as usize].to_vec()).await;
    finish.await.unwrap().unwrap();
    assert_eq!(server.object("key").unwrap().bytes(), data);
    assert_eq!(server.log_of("ListParts").len(), 1);
}

#[tokio::test]
async fn other_bytes_under_another_etag_are_not_taken() {
    let server = server().etags(ETags::Random).start().await.unwrap();
    let store = unsigned(&server).await;
    server.inject(Fault::on("CompleteMultipartUpload").delay(Duration::from_secs(1)));
    let data = random(44, 3 * PART as usize);
    let mut writer = open(&store, "key", options()).await;
    writer.write_chunk(&data).await.unwrap();
    let finish = tokio::spawn(async move { writer.finish().await });
    upload_part_2(&server, random(45, PART as usize)).await;
    let error = finish.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("InvalidPart"), "{error}");
    assert!(server.object("key").is_none() && server.uploads().is_empty());
}

/// Without fewer requests, eight attempts are used up long before the burst is over.
#[tokio::test]
async fn a_service_that_asks_to_slow_down_gets_fewer_requests() {
    let server = server().start().await.unwrap();
    let retry =
        RetryPolicy::default().with_backoff(Duration::from_millis(5), Duration::from_millis(20));
    let config = config(&server)
        .with_payload_signing(PayloadSigning::Never)
        .with_retry(retry);
    let store = S3ObjectStore::connect(config).await.unwrap();
    let too_many = Fault::on("UploadPart").times(150);
    let too_many = server.inject(too_many.respond_early(503, "SlowDown"));
    let data = random(46, 200 * PART as usize);
    let mut writer = open(&store, "key", options()).await;
    writer.write_chunk(&data).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(too_many.count(), 150);
    assert_eq!(server.object("key").unwrap().bytes(), data);
}

#[tokio::test]
async fn all_writers_share_one_limit() {
    let server = server().start().await.unwrap();
    let config = config(&server).with_max_in_flight(3);
    let store = S3ObjectStore::connect(config).await.unwrap();
    let hold = server.hold("UploadPart");
    let mut writers = Vec::new();
    for key in 0..4 {
        let mut writer = open(&store, &key.to_string(), options()).await;
        let data = random(47 + key, 4 * PART as usize);
        writer.write_chunk(&data).await.unwrap();
        writers.push(writer);
    }
    hold.wait_for(3).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.stats().requests_of("UploadPart"), 3);
    hold.release();
    for writer in writers {
        writer.finish().await.unwrap();
    }
    assert_eq!(server.keys().len(), 4);
}
