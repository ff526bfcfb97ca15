//! Faults of the network and of the service: survived, or told, and nothing left behind.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use backend_s3::{
    MultipartUploadConfig, PayloadSigning, RetryPolicy, S3Config, S3ObjectStore,
    StreamingMultipartSink,
};
use common::{PART, config, open, options, random, server, store};
use testkit::server::{Fault, TestServer};
use writer_core::{ErrorKind, IfExists, ObjectStore, Segment};

#[tokio::test]
async fn a_part_that_fails_for_good_fails_the_next_write_and_leaves_nothing() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let fault = server.inject(
        Fault::on("UploadPart")
            .part(2)
            .always()
            .respond(403, "AccessDenied"),
    );
    let mut writer = open(&store, "key", options()).await;
    let error = loop {
        if let Err(error) = writer.write_chunk(&random(5, PART as usize)).await {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    assert_eq!(error.part(), Some(2));
    assert_eq!(error.uri(), Some("s3://test/key"));
    let again = writer.write_chunk(b"x").await.unwrap_err();
    assert_eq!(again.to_string(), error.to_string());
    let last = writer.finish().await.unwrap_err();
    assert_eq!(last.kind(), ErrorKind::AccessDenied);
    assert!(fault.count() > 0);
    assert!(server.uploads().is_empty() && server.keys().is_empty());
}

#[tokio::test]
async fn passing_faults_are_survived() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let faults = [
        Fault::on("CreateMultipartUpload").respond(503, "SlowDown"),
        Fault::on("UploadPart")
            .part(1)
            .times(2)
            .respond(500, "InternalError"),
        Fault::on("UploadPart").part(2).reset_before_body(),
        Fault::on("UploadPart").part(3).reset_after_body(),
        Fault::on("UploadPart").part(4).flip_bit(),
        Fault::on("CompleteMultipartUpload").complete_200_with_error(),
    ]
    .map(|fault| server.inject(fault));
    let data = random(6, 5 * PART as usize);
    let config = MultipartUploadConfig::from(options());
    let mut sink = StreamingMultipartSink::new(&store, "test", "key", config).unwrap();
    sink.write(&data).await.unwrap();
    let info = sink.finish().await.unwrap();
    assert_eq!(server.object("key").unwrap().bytes(), data);
    for fault in &faults {
        assert!(fault.count() > 0, "{fault:?} was not injected");
    }
    assert_eq!(info.retries, 7);
    assert!(server.uploads().is_empty());
}

#[tokio::test]
async fn a_lost_answer_to_complete_is_looked_up() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let fault = server.inject(Fault::on("CompleteMultipartUpload").reset_after_body());
    let data = random(7, 2 * PART as usize);
    let mut writer = open(&store, "key", options()).await;
    writer.write_chunk(&data).await.unwrap();
    let receipt = writer.finish().await.unwrap();
    assert_eq!(fault.count(), 1);
    assert_eq!(
        receipt.e_tag.unwrap(),
        server.object("key").unwrap().etag.trim_matches('"')
    );
}

#[tokio::test]
async fn a_service_that_echoes_another_checksum_is_not_believed() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    server.inject(
        Fault::on("UploadPart")
            .part(2)
            .always()
            .wrong_checksum_echo(),
    );
    let mut writer = open(&store, "key", options()).await;
    let _ = writer.write_chunk(&random(8, 3 * PART as usize)).await;
    let error = writer.finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ChecksumMismatch);
    assert!(server.object("key").is_none() && server.uploads().is_empty());
}

#[tokio::test]
async fn a_silent_service_gets_signed_payloads() {
    let server = server().start().await.unwrap();
    let config = config(&server).with_payload_signing(PayloadSigning::Never);
    let store = S3ObjectStore::connect(config).await.unwrap();
    server.inject(Fault::on("UploadPart").always().omit_checksum_echo());
    let data = random(9, 3 * PART as usize);
    let mut writer = open(&store, "key", options()).await;
    writer.write_chunk(&data).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(server.object("key").unwrap().bytes(), data);
    for number in 1..=3 {
        let log = server.log_of("UploadPart");
        let last = log
            .iter()
            .rfind(|request| request.part_number == Some(number));
        let hash = last.unwrap().header("x-amz-content-sha256").unwrap();
        assert_eq!(hash.len(), 64, "part {number} was sent unsigned: {hash}");
    }
}

#[tokio::test]
async fn a_silent_service_is_found_out_once_and_create_only_is_never_sent_twice() {
    let server = server().start().await.unwrap();
    let config = config(&server).with_payload_signing(PayloadSigning::Never);
    let store = S3ObjectStore::connect(config).await.unwrap();
    server.inject(Fault::on("PutObject").always().omit_checksum_echo());
    let create_only = options().with_if_exists(IfExists::Fail);
    let mut writer = open(&store, "first", create_only).await;
    writer.write_chunk(b"content").await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(server.stats().requests_of("PutObject"), 1);
    for key in ["second", "third"] {
        let uri = format!("s3://test/{key}");
        store.put(&uri, "content".into()).await.unwrap();
    }
    // One of them was sent unsigned, and again; from then on the store knows.
    assert_eq!(server.stats().requests_of("PutObject"), 4);
}

/// When every answer is lost, the object is looked at before anything is said.
#[tokio::test]
async fn lost_answers_are_resolved_or_called_ambiguous() {
    let parts = 2 * PART as usize;
    for (operation, len) in [("PutObject", 10), ("CompleteMultipartUpload", parts)] {
        for (denied, expected) in [(false, None), (true, Some(ErrorKind::Ambiguous))] {
            let server = server().repeat_complete(true).start().await.unwrap();
            let store = store(&server).await;
            if denied {
                server.deny("HeadObject");
            }
            let fault = server.inject(Fault::on(operation).always().reset_after_body());
            let mut writer = open(&store, "key", options()).await;
            writer.write_chunk(&random(19, len)).await.unwrap();
            let finished = writer.finish().await;
            assert!(fault.count() > 0);
            assert!(server.object("key").is_some());
            assert_eq!(
                finished.as_ref().err().map(|error| error.kind()),
                expected,
                "{operation}: {finished:?}"
            );
        }
    }
}

/// A store that waits for answers for half a second, twice.
async fn impatient(server: &TestServer) -> S3ObjectStore {
    let retry = RetryPolicy::default()
        .with_max_attempts(2)
        .with_backoff(Duration::from_millis(1), Duration::from_millis(1));
    let config = config(server)
        .with_retry(retry)
        .with_stall_timeout(Duration::from_millis(100));
    S3ObjectStore::connect(config).await.unwrap()
}

/// A service that is slow may do what nobody waits for any more.
#[tokio::test]
async fn what_may_still_be_done_is_not_called_a_failure() {
    let server = server().start().await.unwrap();
    server.insert("key", "old");
    let store = impatient(&server).await;
    let late = Fault::on("PutObject").always();
    server.inject(late.late_work(Duration::from_secs(4)));
    let put = store.put("s3://test/key", "new".into()).await;
    assert_eq!(server.object("key").unwrap().bytes(), "old");
    let error = put.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous, "{error}");
    server.settled().await;
    assert_eq!(server.object("key").unwrap().bytes(), "new");
}

#[tokio::test]
async fn a_complete_that_is_late_is_kept_from_its_work_or_found() {
    for (late, abort_after, succeeds) in [(4_000, 0, false), (1_200, 400, true)] {
        let server = server().start().await.unwrap();
        server.insert("key", "old");
        let store = impatient(&server).await;
        let complete = Fault::on("CompleteMultipartUpload").always();
        server.inject(complete.late_work(Duration::from_millis(late)));
        let abort = Fault::on("AbortMultipartUpload").always();
        server.inject(abort.delay(Duration::from_millis(abort_after)));
        let data = random(23, 2 * PART as usize);
        let mut writer = open(&store, "key", options()).await;
        writer.write_chunk(&data).await.unwrap();
        let finished = writer.finish().await;
        server.settled().await;
        let replaced = server.object("key").unwrap().bytes() == data;
        assert_eq!((finished.is_ok(), replaced), (succeeds, succeeds));
        let kind = finished.err().map(|error| error.kind());
        assert_eq!(kind, (!succeeds).then_some(ErrorKind::Unavailable));
        assert!(server.uploads().is_empty());
    }
}

/// An answer that refuses is not a lost one: nothing needs to be looked at.
#[tokio::test]
async fn a_refusal_is_not_ambiguous_whatever_the_credentials_may() {
    let server = server().deny("HeadObject").start().await.unwrap();
    let store = store(&server).await;
    for (operation, len) in [
        ("PutObject", 10),
        ("CompleteMultipartUpload", 2 * PART as usize),
    ] {
        server.inject(Fault::on(operation).always().respond(503, "SlowDown"));
        let mut writer = open(&store, "key", options()).await;
        writer.write_chunk(&random(24, len)).await.unwrap();
        let error = writer.finish().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    assert_eq!(server.stats().requests_of("HeadObject"), 0);
}

#[tokio::test]
async fn what_an_abort_leaves_is_said() {
    let server = server().deny("AbortMultipartUpload").start().await.unwrap();
    let store = store(&server).await;
    server.inject(
        Fault::on("UploadPart")
            .part(1)
            .always()
            .respond(403, "AccessDenied"),
    );
    let mut writer = open(&store, "key", options()).await;
    let _ = writer.write_chunk(&random(20, 3 * PART as usize)).await;
    let error = writer.finish().await.unwrap_err();
    let id = server.uploads()[0].upload_id.clone();
    assert!(error.message().contains(&id), "{error}");

    let mut writer = open(&store, "other", options()).await;
    let _ = writer.write_chunk(&random(21, 3 * PART as usize)).await;
    drop(writer);
    let error = store.close().await.unwrap_err();
    assert!(error.to_string().contains("charges for it"), "{error}");
}

/// Some services still list an upload after its abort, but no part of it.
#[tokio::test]
async fn an_abort_is_believed_if_no_part_is_listed() {
    for (refused, parts_remain) in [("UploadPart", false), ("CompleteMultipartUpload", true)] {
        let server = server().start().await.unwrap();
        let store = store(&server).await;
        server.inject(Fault::on(refused).always().respond(403, "AccessDenied"));
        // Says that it is done, and does nothing.
        server.inject(
            Fault::on("AbortMultipartUpload")
                .always()
                .respond(204, "Done"),
        );
        let mut writer = open(&store, "key", options()).await;
        let _ = writer.write_chunk(&random(22, 3 * PART as usize)).await;
        let error = writer.finish().await.unwrap_err();
        let said = error.to_string().contains("parts remain");
        assert_eq!(said, parts_remain, "{refused}: {error}");
    }
}

/// A server that reads a request and closes the connection, cleanly, without an answer.
#[tokio::test]
async fn a_connection_that_is_closed_before_the_answer_is_tried_again() {
    use tokio::io::AsyncReadExt as _;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let connections = tokio::spawn(async move {
        let mut connections = 0;
        while connections < 3 {
            let (mut socket, _) = listener.accept().await.unwrap();
            connections += 1;
            let _ = socket.read(&mut [0; 1024]).await;
        }
        connections
    });
    let retry = RetryPolicy::default()
        .with_max_attempts(3)
        .with_backoff(Duration::from_millis(1), Duration::from_millis(1));
    let config = S3Config::default()
        .with_endpoint_url(endpoint)
        .with_credentials("key", "secret")
        .with_retry(retry);
    let store = S3ObjectStore::connect(config).await.unwrap();
    let error = store.stat("s3://test/key").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(error.attempts(), Some(3));
    assert_eq!(connections.await.unwrap(), 3);
}

/// That payloads are signed from now on does not make a file look changed.
#[tokio::test]
async fn a_damaged_part_of_a_file_is_sent_again_whatever_is_learnt_meanwhile() {
    let server = server().start().await.unwrap();
    let config = config(&server).with_payload_signing(PayloadSigning::Never);
    let store = S3ObjectStore::connect(config).await.unwrap();
    let damage = Fault::on("UploadPart").part(1).flip_bit();
    let damage = server.inject(damage.delay(Duration::from_millis(300)));
    server.inject(Fault::on("UploadPart").always().omit_checksum_echo());
    let data = random(22, 3 * PART as usize);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&data).unwrap();
    let range = 0..data.len() as u64;
    let mut writer = open(&store, "key", options()).await;
    let written = writer.write_owned(Segment::file(Arc::new(file), range));
    written.await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(damage.count(), 1);
    assert_eq!(server.object("key").unwrap().bytes(), data);
}

/// An upload whose id nobody heard is looked for and removed, and no other is touched.
#[tokio::test]
async fn a_lost_answer_to_create_leaves_no_upload() {
    for lost in [1, 8] {
        let server = server().start().await.unwrap();
        let store = store(&server).await;
        let others = store.keeping_parts();
        let mut other = open(&others, "key", options()).await;
        other
            .write_chunk(&random(30, 2 * PART as usize + 1))
            .await
            .unwrap();
        while server
            .uploads()
            .first()
            .is_none_or(|one| one.parts.len() < 2)
        {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let fault = server.inject(
            Fault::on("CreateMultipartUpload")
                .times(lost)
                .reset_after_body(),
        );
        let data = random(31, 3 * PART as usize);
        let mut writer = open(&store, "key", options()).await;
        let written = writer.write_chunk(&data).await;
        let finished = written.and(writer.finish().await.map(drop));
        assert_eq!(fault.count(), lost);
        assert_eq!(finished.is_ok(), lost == 1, "{finished:?}");
        let left = server.uploads();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(left[0].parts.len(), 2);
        other.cancel().await.unwrap();
    }
}

/// Of several that a lost answer may have left, somebody else may be at one.
#[tokio::test]
async fn an_upload_of_somebody_else_is_not_taken_for_a_lost_one() {
    let server = server().start().await.unwrap();
    let (store, other) = (store(&server).await, store(&server).await);
    let slow = options().with_expected_size(2 * PART);
    let mut theirs = open(&other, "key", slow).await;
    theirs.write_chunk(b"x").await.unwrap();
    while server.uploads().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    server.inject(
        Fault::on("CreateMultipartUpload")
            .times(1)
            .reset_after_body(),
    );
    let mut writer = open(&store, "key", options()).await;
    let ours = random(32, 2 * PART as usize);
    writer.write_chunk(&ours).await.unwrap();
    writer.finish().await.unwrap();
    let rest = random(33, 2 * PART as usize - 1);
    theirs.write_chunk(&rest).await.unwrap();
    theirs.finish().await.unwrap();
    assert_eq!(server.object("key").unwrap().bytes()[1..], rest);
}

/// Whoever claims success for what it has not received has not stored it.
#[tokio::test]
async fn an_early_success_is_not_believed() {
    let server = server().start().await.unwrap();
    let config = config(&server).with_payload_signing(PayloadSigning::Always);
    let store = S3ObjectStore::connect(config).await.unwrap();
    let fault = server.inject(Fault::on("PutObject").times(2).respond_early(200, "Ok"));
    let data = random(34, 32 << 20);
    let options = options().with_part_size(64 << 20);
    let mut writer = open(&store, "key", options).await;
    writer.write_owned(data.clone().into()).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(fault.count(), 2);
    assert!(server.object("key").unwrap().bytes() == data);
}
