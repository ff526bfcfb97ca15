//! Parts whose checksum is computed while they are sent, and compared with what the service says.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write as _;
use std::sync::Arc;

use backend_s3::{PayloadSigning, S3ObjectStore};
use common::{PART, config, open, options, random, server};
use testkit::server::{Algorithm, Fault, TestServer, Unasked};
use writer_core::{ErrorKind, ObjectMetadata, Result, Segment};

const PARTS: usize = 40;
const HEADER: &str = "x-amz-checksum-crc64nvme";

async fn unsigned(server: &TestServer) -> S3ObjectStore {
    let config = config(server).with_payload_signing(PayloadSigning::Never);
    S3ObjectStore::connect(config).await.unwrap()
}

/// Writes one object, half from memory and half from a file, two parts in flight.
async fn write(store: &S3ObjectStore, data: &[u8]) -> Result<ObjectMetadata> {
    let (memory, rest) = data.split_at(data.len() / 2);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(rest).unwrap();
    let rest = Segment::file(Arc::new(file), 0..rest.len() as u64);
    let mut writer = open(store, "key", options().with_max_concurrency(2)).await;
    writer.write_owned(memory.to_vec().into()).await?;
    writer.write_owned(rest).await?;
    writer.finish().await
}

fn data() -> Vec<u8> {
    random(31, PARTS * PART as usize - 7)
}

/// How many requests carried a part, and how many of them its checksum.
fn parts_sent(server: &TestServer) -> (usize, usize) {
    let log = server.log_of("UploadPart");
    let with = log
        .iter()
        .filter(|request| request.header(HEADER).is_some());
    (log.len(), with.count())
}

fn assert_stored(server: &TestServer, data: &[u8], receipt: &ObjectMetadata) {
    assert_eq!(server.object("key").unwrap().bytes(), data);
    let expected = Algorithm::Crc64Nvme.of(data);
    let complete = server.log_of("CompleteMultipartUpload");
    assert_eq!(complete.last().unwrap().header(HEADER), Some(&*expected));
    let stored = server.object("key").unwrap().checksum.unwrap();
    assert_eq!(stored.value, expected);
    assert!(receipt.checksum.is_some());
}

#[tokio::test]
async fn a_service_that_hashes_by_itself_needs_no_second_pass() {
    let server = server().start().await.unwrap();
    let store = unsigned(&server).await;
    let data = data();
    let receipt = write(&store, &data).await.unwrap();
    assert_stored(&server, &data, &receipt);
    let (sent, with_checksum) = parts_sent(&server);
    assert_eq!((sent, with_checksum), (PARTS, 0));
    server.clear_log();
    let receipt = write(&store, &data).await.unwrap();
    assert_stored(&server, &data, &receipt);
    assert_eq!(parts_sent(&server), (PARTS, 0), "a store remembers");
}

#[tokio::test]
async fn a_service_that_wants_checksums_gets_them() {
    for unasked in [Unasked::Silent, Unasked::Refused] {
        let server = server().unasked(unasked).start().await.unwrap();
        let store = unsigned(&server).await;
        let data = data();
        let receipt = write(&store, &data).await.unwrap();
        assert_stored(&server, &data, &receipt);
        let (sent, with_checksum) = parts_sent(&server);
        assert_eq!(with_checksum, PARTS, "{unasked:?}");
        // No more go in vain than are in flight.
        assert!(sent > PARTS && sent <= PARTS + 2, "{unasked:?}: {sent}");
        server.clear_log();
        write(&store, &data).await.unwrap();
        assert_eq!(
            parts_sent(&server),
            (PARTS, PARTS),
            "{unasked:?}: a store remembers"
        );
        for request in server.log_of("UploadPart") {
            let hash = request.header("x-amz-content-sha256");
            assert_eq!(
                hash,
                Some("UNSIGNED-PAYLOAD"),
                "{unasked:?}: no need to sign"
            );
        }
    }
}

#[tokio::test]
async fn a_service_that_promises_nothing_gets_checksums_at_once() {
    let server = server().promises_full_object(false).start().await.unwrap();
    let store = unsigned(&server).await;
    let data = data();
    let receipt = write(&store, &data).await.unwrap();
    assert_stored(&server, &data, &receipt);
    assert_eq!(parts_sent(&server), (PARTS, PARTS));
}

#[tokio::test]
async fn a_part_that_is_damaged_on_its_way_is_sent_again() {
    let server = server().start().await.unwrap();
    let store = unsigned(&server).await;
    let data = data();
    write(&store, &data).await.unwrap();
    server.clear_log();
    let from_memory = server.inject(Fault::on("UploadPart").part(3).flip_bit());
    let from_file = server.inject(Fault::on("UploadPart").part(PARTS as i32 - 1).flip_bit());
    let receipt = write(&store, &data).await.unwrap();
    assert_eq!((from_memory.count(), from_file.count()), (1, 1));
    assert_eq!(parts_sent(&server), (PARTS + 2, 0));
    assert_stored(&server, &data, &receipt);
}

#[tokio::test]
async fn a_part_that_always_arrives_damaged_fails_the_upload() {
    let server = server().start().await.unwrap();
    let store = unsigned(&server).await;
    write(&store, &data()).await.unwrap();
    let before = server.object("key").unwrap().etag;
    server.inject(Fault::on("UploadPart").part(3).always().flip_bit());
    let error = write(&store, &data()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ChecksumMismatch, "{error}");
    assert_eq!((error.part(), error.attempts()), (Some(3), Some(8)));
    assert!(server.uploads().is_empty());
    assert_eq!(server.object("key").unwrap().etag, before);
}

#[tokio::test]
async fn a_passing_fault_decides_nothing() {
    let server = server().start().await.unwrap();
    let store = unsigned(&server).await;
    let fault = Fault::on("UploadPart").part(1).times(2);
    let fault = server.inject(fault.respond_early(503, "SlowDown"));
    let data = data();
    let receipt = write(&store, &data).await.unwrap();
    assert_eq!(fault.count(), 2);
    assert_stored(&server, &data, &receipt);
    server.clear_log();
    write(&store, &data).await.unwrap();
    assert_eq!(parts_sent(&server), (PARTS, 0));
}

#[tokio::test]
async fn a_refusal_for_another_reason_is_not_taken_for_a_wish() {
    let server = server().start().await.unwrap();
    let store = unsigned(&server).await;
    let fault = Fault::on("UploadPart").part(1).always();
    let fault = server.inject(fault.respond(403, "AccessDenied"));
    let error = write(&store, &data()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied, "{error}");
    assert_eq!(fault.count(), 1);
}
