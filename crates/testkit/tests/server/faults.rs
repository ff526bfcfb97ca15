//! Faults strike when and as told, and nothing else changes.

use std::time::{Duration, Instant};

use aws_sdk_s3::config::Credentials;
use testkit::server::Fault;

use crate::support::{KIB, Multipart, config, crc64, no_answer, pattern, refusal, start};

#[tokio::test]
async fn an_answer_of_choice_for_one_part_some_times() {
    let (server, client) = start().await;
    let upload = Multipart::create(&client).await;
    let fault = server.inject(
        Fault::on("UploadPart")
            .part(3)
            .times(2)
            .respond(503, "SlowDown"),
    );
    upload.sent(1, b"x").await;
    for _ in 0..2 {
        let refused = upload.part(3, pattern(500 * KIB)).send().await;
        assert_eq!(refusal(refused), (503, "SlowDown".into()));
    }
    assert!(fault.is_used_up());
    upload.sent(3, b"x").await;
    assert_eq!(fault.count(), 2);
    assert_eq!(server.stats().faults_injected, 2);
    assert_eq!(
        server.stats().connections_opened,
        1,
        "the body was read to its end"
    );
    let statuses: Vec<_> = server
        .log_of("UploadPart")
        .iter()
        .map(|r| r.status)
        .collect();
    assert_eq!(statuses, [200, 503, 503, 200]);
}

#[tokio::test]
async fn faults_can_wait_stay_and_be_taken_back() {
    let (server, client) = start().await;
    let fault = server.inject(
        Fault::on("PutObject")
            .key("k")
            .after(1)
            .always()
            .respond(500, "InternalError"),
    );
    let put = |key: &str| client.put_object().bucket("test").key(key).send();
    put("k").await.unwrap();
    for _ in 0..3 {
        put("other").await.unwrap();
        assert_eq!(refusal(put("k").await).0, 500);
    }
    fault.remove();
    put("k").await.unwrap();
    assert_eq!(fault.count(), 3);
}

#[tokio::test]
async fn an_early_answer_does_not_wait_for_the_body() {
    let (server, client) = start().await;
    let _fault = server.inject(Fault::on("PutObject").respond_early(503, "SlowDown"));
    let put = client
        .put_object()
        .bucket("test")
        .key("k")
        .body(pattern(8 << 20).into());
    // The client may see the answer or the closed connection.
    assert!(put.send().await.is_err());
    let record = &server.log_of("PutObject")[0];
    assert_eq!((record.status, record.received), (503, 0));
}

#[tokio::test]
async fn a_reset_before_the_body_does_no_work() {
    let (server, client) = start().await;
    let _fault = server.inject(Fault::on("PutObject").reset_before_body());
    let put = || {
        client
            .put_object()
            .bucket("test")
            .key("k")
            .body(pattern(100 * KIB).into())
            .send()
    };
    no_answer(put().await);
    assert!(server.object("k").is_none());
    let record = &server.log_of("PutObject")[0];
    assert_eq!((record.status, record.received), (0, 0));
    assert!(record.finished_at.is_some());
    put().await.unwrap();
}

#[tokio::test]
async fn a_reset_amid_the_body_does_no_work() {
    let (server, client) = start().await;
    let _fault = server.inject(Fault::on("PutObject").reset_after_bytes(100_000));
    let put = || {
        client
            .put_object()
            .bucket("test")
            .key("k")
            .body(pattern(8 << 20).into())
            .send()
    };
    no_answer(put().await);
    assert!(server.object("k").is_none());
    let received = server.log_of("PutObject")[0].received;
    assert!((100_000..8 << 20).contains(&received), "{received}");
    put().await.unwrap();
}

#[tokio::test]
async fn a_reset_after_the_body_loses_only_the_reply() {
    let (server, client) = start().await;
    let upload = Multipart::create(&client).await;
    let part = upload.sent(1, b"hello").await;
    let fault = server.inject(Fault::on("CompleteMultipartUpload").reset_after_body());
    no_answer(upload.complete(vec![part]).send().await);
    assert_eq!(fault.count(), 1);
    assert_eq!(server.object("k").unwrap().bytes(), &b"hello"[..]);
    assert!(server.uploads().is_empty());
}

#[tokio::test]
async fn a_completion_may_fail_with_status_200() {
    let (server, client) = start().await;
    let upload = Multipart::create(&client).await;
    let part = upload.sent(1, b"hello").await;
    let _fault = server.inject(Fault::on("CompleteMultipartUpload").complete_200_with_error());
    let refused = upload.complete(vec![part.clone()]).send().await;
    assert_eq!(refusal(refused).1, "InternalError");
    assert_eq!(server.log_of("CompleteMultipartUpload")[0].status, 200);
    assert!(server.object("k").is_none());
    upload.complete(vec![part]).send().await.unwrap();
}

#[tokio::test]
async fn the_echo_of_a_checksum_may_be_missing_or_wrong() {
    let (server, client) = start().await;
    let upload = Multipart::create(&client).await;
    let right = crc64(b"hello");
    let part = || upload.part(1, b"hello").send();
    let _fault = server.inject(Fault::on("UploadPart").omit_checksum_echo());
    assert_eq!(part().await.unwrap().checksum_crc64_nvme(), None);
    let _fault = server.inject(Fault::on("UploadPart").wrong_checksum_echo());
    let wrong = part().await.unwrap().checksum_crc64_nvme.unwrap();
    assert_ne!(wrong, right);
    assert_eq!(wrong.len(), right.len());
    let sent = upload.sent(1, b"hello").await;

    let _fault = server.inject(Fault::on("CompleteMultipartUpload").wrong_checksum_echo());
    let done = upload.complete(vec![sent]).send().await.unwrap();
    assert_eq!(done.checksum_crc64_nvme(), Some(wrong.as_str()));
    assert_eq!(
        server.object("k").unwrap().crc64nvme(),
        Some(right),
        "only the echo is wrong"
    );

    let _fault = server.inject(Fault::on("PutObject").omit_checksum_echo());
    let put = client
        .put_object()
        .bucket("test")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (put.checksum_crc64_nvme(), put.checksum_type()),
        (None, None)
    );
}

#[tokio::test]
async fn a_delay_delays() {
    let (server, client) = start().await;
    let delay = Duration::from_millis(300);
    let _fault = server.inject(Fault::on("PutObject").delay(delay));
    let started = Instant::now();
    client
        .put_object()
        .bucket("test")
        .key("k")
        .send()
        .await
        .unwrap();
    assert!(started.elapsed() >= delay);
    let started = Instant::now();
    client
        .put_object()
        .bucket("test")
        .key("k")
        .send()
        .await
        .unwrap();
    assert!(started.elapsed() < delay);
}

#[tokio::test]
async fn answers_are_held_until_they_are_released() {
    let (server, client) = start().await;
    let upload = Multipart::create(&client).await;
    let hold = server.hold_part(2);
    upload.sent(1, b"x").await;
    let held = tokio::spawn(upload.part(2, b"y").send());
    hold.wait_for(1).await;
    assert_eq!(server.uploads()[0].parts.len(), 2, "the work is done");
    assert_eq!(server.stats().requests_in_flight, 1);
    assert!(server.log_of("UploadPart")[1].finished_at.is_none());
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!held.is_finished());
    hold.release();
    held.await.unwrap().unwrap();
    upload.sent(2, b"z").await;
}

#[tokio::test]
async fn an_answer_nobody_waits_for_is_not_held() {
    let (server, client) = start().await;
    let hold = server.hold("PutObject");
    let put = tokio::spawn(client.put_object().bucket("test").key("k").send());
    hold.wait_for(1).await;
    put.abort();
    while hold.held() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(server.stats().requests_in_flight, 0);
}

#[tokio::test]
async fn work_is_done_late_though_the_client_is_gone() {
    let (server, client) = start().await;
    let upload = Multipart::create(&client).await;
    let part = upload.sent(1, b"late").await;
    let delay = Duration::from_millis(300);
    server.inject(Fault::on("CompleteMultipartUpload").late_work(delay));
    let complete = upload.complete(vec![part]).send();
    let in_vain = tokio::time::timeout(Duration::from_millis(100), complete).await;
    assert!(in_vain.is_err(), "an answer came at once");
    assert!(server.object("k").is_none());
    server.settled().await;
    assert_eq!(server.object("k").unwrap().bytes(), "late");
    assert!(server.uploads().is_empty());
}

#[tokio::test]
async fn a_reply_is_late_and_the_work_is_not() {
    let (server, client) = start().await;
    server.inject(Fault::on("PutObject").late_reply(Duration::from_secs(60)));
    let put = client.put_object().bucket("test").key("k").send();
    let in_vain = tokio::time::timeout(Duration::from_millis(200), put).await;
    assert!(in_vain.is_err(), "an answer came at once");
    assert!(server.object("k").is_some());
}

#[tokio::test]
async fn replies_say_no_etag_or_another() {
    let (server, client) = start().await;
    let put = || client.put_object().bucket("test").key("k").send();
    server.inject(Fault::on("PutObject").omit_etag());
    assert_eq!(put().await.unwrap().e_tag(), None);
    server.inject(Fault::on("PutObject").other_etag());
    let said = put().await.unwrap().e_tag.unwrap();
    let kept = server.object("k").unwrap().etag;
    assert_ne!(said.trim_matches('"'), kept);
    assert_eq!(
        put().await.unwrap().e_tag().unwrap().trim_matches('"'),
        kept
    );
}

#[tokio::test]
async fn credentials_expire_when_others_are_in_force() {
    let (server, client) = start().await;
    server.insert("k", "there from the start");
    let get = || client.get_object().bucket("test").key("k").send();
    assert_eq!(get().await.unwrap().content_length(), Some(20));
    server.renew_credentials("another", "secret");
    assert_eq!(refusal(get().await), (400, "ExpiredToken".into()));
    let config = config(&server);
    let another = Credentials::new("another", "secret", None, None, "test");
    let client = aws_sdk_s3::Client::from_conf(config.credentials_provider(another).build());
    let head = client.head_object().bucket("test").key("k").send();
    head.await.unwrap();
}
