//! What arrives is what was sent, or nothing is stored.

use std::time::Duration;

use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, ChecksumType};
use aws_sdk_s3::{Client, primitives::ByteStream};
use testkit::server::{Algorithm, Fault};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{KIB, config, crc64, pattern, refusal, start};

#[tokio::test]
async fn a_wrong_checksum_of_any_kind_stores_nothing() {
    let (server, client) = start().await;
    let put = || {
        client
            .put_object()
            .bucket("test")
            .key("k")
            .body(b"hello".to_vec().into())
    };
    let of = |algorithm: Algorithm| algorithm.of(b"other");
    for (request, code) in [
        (put().checksum_crc32(of(Algorithm::Crc32)), "BadDigest"),
        (put().checksum_crc32_c(of(Algorithm::Crc32c)), "BadDigest"),
        (
            put().checksum_crc64_nvme(of(Algorithm::Crc64Nvme)),
            "BadDigest",
        ),
        (put().checksum_sha1(of(Algorithm::Sha1)), "BadDigest"),
        (put().checksum_sha256(of(Algorithm::Sha256)), "BadDigest"),
        (put().content_md5("rL0Y20zC+Fzt72VPzMSk2A=="), "BadDigest"),
        (put().content_md5("nonsense"), "InvalidDigest"),
        (put().checksum_crc32("nonsense"), "InvalidRequest"),
        (
            put().checksum_crc64_nvme(of(Algorithm::Crc32)),
            "InvalidRequest",
        ),
    ] {
        assert_eq!(refusal(request.send().await), (400, code.into()));
        assert!(server.keys().is_empty());
    }
}

#[tokio::test]
async fn a_right_checksum_is_echoed_and_kept() {
    let (_server, client) = start().await;
    let sha256 = Algorithm::Sha256.of(b"hello");
    let put = client
        .put_object()
        .bucket("test")
        .key("k")
        .body(b"hello".to_vec().into());
    let put = put
        .checksum_sha256(&sha256)
        .content_md5("XUFAKrxLKna5cZ2REBfFkg==")
        .send()
        .await
        .unwrap();
    assert_eq!(put.checksum_sha256(), Some(sha256.as_str()));
    assert_eq!(put.checksum_crc64_nvme(), None, "one checksum an object");
    let got = client
        .get_object()
        .bucket("test")
        .key("k")
        .checksum_mode(ChecksumMode::Enabled);
    let got = got.send().await.unwrap();
    assert_eq!(got.checksum_sha256(), Some(sha256.as_str()));
    assert_eq!(got.checksum_type(), Some(&ChecksumType::FullObject));
}

#[tokio::test]
async fn two_checksums_are_one_too_many() {
    let (_server, client) = start().await;
    let put = client
        .put_object()
        .bucket("test")
        .key("k")
        .body(b"hello".to_vec().into());
    let put = put
        .checksum_crc32(Algorithm::Crc32.of(b"hello"))
        .checksum_crc64_nvme(crc64(b"hello"));
    assert_eq!(refusal(put.send().await), (400, "InvalidRequest".into()));
}

#[tokio::test]
async fn an_aws_chunked_body_with_a_trailing_checksum_is_understood() {
    let (server, _) = start().await;
    let client = with_default_checksums(&server);
    let body = pattern(300 * KIB);
    let put = client
        .put_object()
        .bucket("test")
        .key("k")
        .content_encoding("gzip");
    let put = put.body(streamed(&body)).send().await.unwrap();
    assert_eq!(
        put.checksum_crc32(),
        Some(Algorithm::Crc32.of(&body).as_str())
    );
    let stored = server.object("k").unwrap();
    assert_eq!(stored.bytes(), body);
    assert_eq!(
        stored.attributes.content_encoding.as_deref(),
        Some("gzip"),
        "without aws-chunked"
    );
    let record = &server.log_of("PutObject")[0];
    assert_eq!(
        record.header("x-amz-content-sha256"),
        Some("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
    );
    assert_eq!(record.header("x-amz-trailer"), Some("x-amz-checksum-crc32"));
    assert!(record.received > body.len() as u64, "framing included");
}

#[tokio::test]
async fn a_flipped_bit_is_found_however_the_body_is_protected() {
    let (server, client) = start().await;
    let chunked = with_default_checksums(&server);
    let body = pattern(100 * KIB);
    let crc = crc64(&body);
    let put = || client.put_object().bucket("test").key("k");
    for (request, code) in [
        (
            put().body(streamed(&body)).checksum_crc64_nvme(&crc),
            "BadDigest",
        ),
        // In memory, the SDK signs the body's SHA-256.
        (put().body(body.clone().into()), "XAmzContentSHA256Mismatch"),
        (
            chunked
                .put_object()
                .bucket("test")
                .key("k")
                .body(streamed(&body)),
            "BadDigest",
        ),
    ] {
        let fault = server.inject(Fault::on("PutObject").flip_bit());
        assert_eq!(refusal(request.send().await), (400, code.into()));
        assert_eq!(fault.count(), 1);
        assert!(server.keys().is_empty());
    }
    // Where nothing protects it, it goes through: the fault is real.
    let _fault = server.inject(Fault::on("PutObject").flip_bit());
    let unsigned = put().body(streamed(&body)).send().await;
    unsigned.unwrap();
    assert_ne!(server.object("k").unwrap().bytes(), body);
}

#[tokio::test]
async fn a_body_cut_short_stores_nothing() {
    let (server, client) = start().await;
    let presigned = client
        .put_object()
        .bucket("test")
        .key("k")
        .presigned(PresigningConfig::expires_in(Duration::from_secs(60)).unwrap())
        .await
        .unwrap();
    let path = presigned.uri().strip_prefix(server.endpoint()).unwrap();
    for (declared, expected) in [(5, "200 OK"), (6, "")] {
        let mut socket = TcpStream::connect(server.address()).await.unwrap();
        let head = format!(
            "PUT {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {declared}\r\nconnection: close\r\n\r\nhello",
            server.address()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer).await;
        assert!(answer.contains(expected), "{answer}");
        assert_eq!(server.object("k").is_some(), declared == 5);
        client
            .delete_object()
            .bucket("test")
            .key("k")
            .send()
            .await
            .unwrap();
    }
    let statuses: Vec<_> = server
        .log_of("PutObject")
        .iter()
        .map(|record| record.status)
        .collect();
    assert!(matches!(statuses[..], [200, 0 | 400]), "{statuses:?}");
}

#[tokio::test]
async fn a_checksum_that_was_announced_must_come() {
    let (_server, client) = start().await;
    let put = client
        .put_object()
        .bucket("test")
        .key("k")
        .body(b"hello".to_vec().into());
    let put = put.customize().mutate_request(|request| {
        request
            .headers_mut()
            .insert("x-amz-sdk-checksum-algorithm", "CRC32");
    });
    assert_eq!(refusal(put.send().await), (400, "InvalidRequest".into()));
}

/// What the SDK does if one leaves it alone: a CRC32 in a trailer.
fn with_default_checksums(server: &testkit::server::TestServer) -> Client {
    let config =
        config(server).request_checksum_calculation(RequestChecksumCalculation::WhenSupported);
    Client::from_conf(config.build())
}

#[tokio::test]
async fn a_bit_flips_where_it_should() {
    let (server, client) = start().await;
    let sent = pattern(300 * KIB);
    for at in [0, 1, 200_000, sent.len() - 1] {
        let fault = server.inject(Fault::on("PutObject").flip_bit_at(at as u64));
        let put = client.put_object().bucket("test").key("k");
        put.body(streamed(&sent)).send().await.unwrap();
        assert_eq!(fault.count(), 1);
        let stored = server.object("k").unwrap().bytes();
        let differ = |i: &usize| stored[*i] != sent[*i];
        assert_eq!((0..sent.len()).filter(differ).collect::<Vec<_>>(), [at]);
    }
}

/// A body that the SDK cannot hash in advance, so it is sent unsigned.
fn streamed(bytes: &[u8]) -> ByteStream {
    let body = http_body_util::Full::new(bytes::Bytes::copy_from_slice(bytes));
    ByteStream::from_body_1_x(body)
}

#[tokio::test]
async fn every_algorithm_of_the_sdk_agrees_with_ours() {
    let (server, _) = start().await;
    let client = with_default_checksums(&server);
    for algorithm in [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ] {
        let put = client
            .put_object()
            .bucket("test")
            .key("k")
            .checksum_algorithm(algorithm);
        put.body(pattern(1000).into()).send().await.unwrap();
    }
}
