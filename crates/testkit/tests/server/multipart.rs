//! The rules of a multipart upload.

use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedPart};
use testkit::server::{Algorithm, ChecksumKind, TestServer};

use crate::support::{KIB, Multipart, client, crc64, pattern, refusal, start};

const PART: usize = 64 * KIB;

#[tokio::test]
async fn parts_in_any_order_become_the_object() {
    let (server, client) = start().await;
    let upload = Multipart::create(&client).await;
    let body = pattern(2 * PART + 10);
    let third = upload.sent(7, &body[2 * PART..]).await;
    let first = upload.sent(1, &body[..PART]).await;
    let second = upload.sent(2, &body[PART..2 * PART]).await;
    assert!(server.object("k").is_none(), "not before the end");
    assert_eq!(server.uploads()[0].parts.len(), 3);

    let done = upload
        .complete(vec![first, second, third])
        .mpu_object_size(body.len() as i64)
        .checksum_crc64_nvme(crc64(&body))
        .send()
        .await
        .unwrap();
    assert_eq!(done.checksum_crc64_nvme(), Some(crc64(&body).as_str()));
    assert_eq!(done.checksum_type(), Some(&ChecksumType::FullObject));
    assert!(done.e_tag().unwrap().ends_with("-3\""));

    let stored = server.object("k").unwrap();
    assert_eq!(stored.bytes(), body);
    assert_eq!(stored.part_sizes, [PART as u64, PART as u64, 10]);
    assert!(server.uploads().is_empty());
    let got = client
        .get_object()
        .bucket("test")
        .key("k")
        .range("bytes=65530-65545")
        .send()
        .await;
    assert_eq!(
        got.unwrap().body.collect().await.unwrap().to_vec(),
        body[65530..65546]
    );
}

#[tokio::test]
async fn the_etag_is_the_md5_of_the_md5s() {
    let (server, client) = start().await;
    let upload = Multipart::create(&client).await;
    let part = upload.sent(1, b"hello").await;
    assert_eq!(part.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    upload.complete(vec![part]).send().await.unwrap();
    assert_eq!(
        server.object("k").unwrap().etag,
        "62109206880d38a4010a98e11243924a-1"
    );
}

#[tokio::test]
async fn a_part_sent_again_replaces_the_first() {
    let (server, client) = start().await;
    let upload = Multipart::create(&client).await;
    let stale = upload.sent(1, b"old").await;
    let fresh = upload.sent(1, b"new").await;
    assert_eq!(
        refusal(upload.complete(vec![stale]).send().await),
        (400, "InvalidPart".into())
    );
    upload.complete(vec![fresh]).send().await.unwrap();
    assert_eq!(server.object("k").unwrap().bytes(), &b"new"[..]);
}

#[tokio::test]
async fn part_numbers_go_from_one_to_ten_thousand() {
    let (_server, client) = start().await;
    let upload = Multipart::create(&client).await;
    for number in [0, -1, 10_001] {
        let refused = upload.part(number, b"x").send().await;
        assert_eq!(
            refusal(refused),
            (400, "InvalidArgument".into()),
            "{number}"
        );
    }
    upload.part(10_000, b"x").send().await.unwrap();
}

#[tokio::test]
async fn only_the_last_part_may_be_small() {
    let (server, client) = start().await;
    let upload = Multipart::create(&client).await;
    let small = upload.sent(1, pattern(PART - 1)).await;
    let last = upload.sent(2, b"x").await;
    let refused = upload.complete(vec![small, last.clone()]).send().await;
    assert_eq!(refusal(refused), (400, "EntityTooSmall".into()));
    assert!(server.object("k").is_none());
    let large = upload.sent(1, pattern(PART)).await;
    upload.complete(vec![large, last]).send().await.unwrap();
}

#[tokio::test]
async fn a_part_may_be_too_large() {
    let server = TestServer::builder()
        .max_part_size(100)
        .start()
        .await
        .unwrap();
    let client = client(&server);
    let upload = Multipart::create(&client).await;
    let refused = upload.part(1, pattern(101)).send().await;
    assert_eq!(refusal(refused), (400, "EntityTooLarge".into()));
    upload.part(1, pattern(100)).send().await.unwrap();
    assert_eq!(server.uploads()[0].parts[0].size, 100);
}

#[tokio::test]
async fn the_list_of_parts_must_be_right() {
    let (server, client) = start().await;
    let upload = Multipart::create(&client).await;
    let one = upload.sent(1, pattern(PART)).await;
    let two = upload.sent(2, b"end").await;
    let wrong = CompletedPart::builder()
        .part_number(2)
        .e_tag("\"0123\"")
        .build();
    let absent = CompletedPart::builder()
        .part_number(3)
        .e_tag(two.e_tag().unwrap())
        .build();
    let no_etag = CompletedPart::builder().part_number(1).build();
    for (parts, code) in [
        (vec![two.clone(), one.clone()], "InvalidPartOrder"),
        (vec![one.clone(), one.clone()], "InvalidPartOrder"),
        (vec![one.clone(), wrong], "InvalidPart"),
        (vec![one.clone(), absent], "InvalidPart"),
        (vec![no_etag], "MalformedXML"),
        (vec![], "MalformedXML"),
    ] {
        assert_eq!(
            refusal(upload.complete(parts).send().await),
            (400, code.into())
        );
        assert!(server.object("k").is_none());
    }
    upload.complete(vec![one, two]).send().await.unwrap();
}

#[tokio::test]
async fn the_size_and_the_checksum_of_the_whole_must_be_right() {
    let (server, client) = start().await;
    let upload = Multipart::create(&client).await;
    let part = upload.sent(1, b"hello").await;
    let complete = || upload.complete(vec![part.clone()]);
    let size = complete().mpu_object_size(6).send().await;
    assert_eq!(refusal(size), (400, "InvalidRequest".into()));
    let value = complete().checksum_crc64_nvme(crc64(b"jello")).send().await;
    assert_eq!(refusal(value), (400, "BadDigest".into()));
    let algorithm = complete()
        .checksum_crc32(Algorithm::Crc32.of(b"hello"))
        .send()
        .await;
    assert_eq!(refusal(algorithm), (400, "InvalidRequest".into()));
    let kind = complete()
        .checksum_type(ChecksumType::Composite)
        .send()
        .await;
    assert_eq!(refusal(kind), (400, "InvalidRequest".into()));
    assert!(server.object("k").is_none());
    complete()
        .mpu_object_size(5)
        .checksum_crc64_nvme(crc64(b"hello"))
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_declared_crc64nvme_is_computed_for_parts_without_one() {
    let (server, client) = start().await;
    let upload = declared(&client, ChecksumAlgorithm::Crc64Nvme, None).await;
    let silent = upload.part(1, pattern(PART)).send().await.unwrap();
    assert_eq!(
        silent.checksum_crc64_nvme(),
        Some(crc64(&pattern(PART)).as_str())
    );
    let spoken = upload
        .part(2, b"end")
        .checksum_crc64_nvme(crc64(b"end"))
        .send()
        .await
        .unwrap();
    assert_eq!(spoken.checksum_crc64_nvme(), Some(crc64(b"end").as_str()));
    let wrong = upload
        .part(3, b"end")
        .checksum_crc64_nvme(crc64(b"END"))
        .send()
        .await;
    assert_eq!(refusal(wrong), (400, "BadDigest".into()));
    let pending = &server.uploads()[0];
    assert_eq!(pending.declared, Some(Algorithm::Crc64Nvme));
    assert_eq!(pending.checksum_kind, ChecksumKind::FullObject);
    assert_eq!(pending.parts.len(), 2, "the wrong one is not stored");
    assert_eq!(
        pending.parts[1].checksum.as_deref(),
        Some(crc64(b"end").as_str())
    );
}

#[tokio::test]
async fn a_part_with_another_checksum_than_declared_is_refused() {
    let (_server, client) = start().await;
    let crc32 = Algorithm::Crc32.of(b"x");
    let undeclared = Multipart::create(&client).await;
    let crc64nvme = declared(&client, ChecksumAlgorithm::Crc64Nvme, None).await;
    for upload in [undeclared, crc64nvme] {
        let refused = upload.part(1, b"x").checksum_crc32(&crc32).send().await;
        assert_eq!(refusal(refused), (400, "InvalidRequest".into()));
        upload.part(1, b"x").send().await.unwrap();
    }
}

#[tokio::test]
async fn a_composite_checksum_needs_that_of_every_part() {
    let (server, client) = start().await;
    let upload = declared(&client, ChecksumAlgorithm::Sha256, None).await;
    let silent = upload.part(1, b"x").send().await;
    assert_eq!(refusal(silent), (400, "InvalidRequest".into()));
    let sum = Algorithm::Sha256.of(b"x");
    let sent = upload
        .part(1, b"x")
        .checksum_sha256(&sum)
        .send()
        .await
        .unwrap();
    let part = CompletedPart::builder()
        .part_number(1)
        .e_tag(sent.e_tag().unwrap());
    let without = upload.complete(vec![part.clone().build()]).send().await;
    assert_eq!(refusal(without), (400, "InvalidRequest".into()));
    let wrong = part
        .clone()
        .checksum_sha256(Algorithm::Sha256.of(b"y"))
        .build();
    assert_eq!(
        refusal(upload.complete(vec![wrong]).send().await),
        (400, "InvalidPart".into())
    );
    let done = upload
        .complete(vec![part.checksum_sha256(sum).build()])
        .send()
        .await
        .unwrap();
    assert!(done.checksum_sha256().unwrap().ends_with("-1"));
    assert_eq!(done.checksum_type(), Some(&ChecksumType::Composite));
    assert_eq!(
        server.object("k").unwrap().checksum.unwrap().kind,
        ChecksumKind::Composite
    );
}

#[tokio::test]
async fn a_crc32_may_be_of_the_full_object() {
    let (_server, client) = start().await;
    let upload = declared(
        &client,
        ChecksumAlgorithm::Crc32,
        Some(ChecksumType::FullObject),
    )
    .await;
    let one = upload.sent(1, pattern(PART)).await;
    let two = upload.sent(2, b"end").await;
    let whole = Algorithm::Crc32.of(&[&pattern(PART)[..], b"end"].concat());
    let done = upload
        .complete(vec![one, two])
        .checksum_crc32(&whole)
        .send()
        .await
        .unwrap();
    assert_eq!(done.checksum_crc32(), Some(whole.as_str()));
}

#[tokio::test]
async fn some_algorithms_go_with_one_kind_only() {
    let (server, client) = start().await;
    for (algorithm, kind) in [
        (ChecksumAlgorithm::Crc64Nvme, ChecksumType::Composite),
        (ChecksumAlgorithm::Sha256, ChecksumType::FullObject),
    ] {
        let create = client.create_multipart_upload().bucket("test").key("k");
        let refused = create
            .checksum_algorithm(algorithm)
            .checksum_type(kind)
            .send()
            .await;
        assert_eq!(refusal(refused), (400, "InvalidRequest".into()));
    }
    let create = client.create_multipart_upload().bucket("test").key("k");
    let refused = create.checksum_type(ChecksumType::FullObject).send().await;
    assert_eq!(
        refusal(refused),
        (400, "InvalidRequest".into()),
        "a kind of what?"
    );
    assert!(server.uploads().is_empty());
}

#[tokio::test]
async fn an_upload_that_ended_is_gone() {
    let (server, client) = start().await;
    let aborted = Multipart::create(&client).await;
    let part = aborted.sent(1, b"x").await;
    let abort = || {
        client
            .abort_multipart_upload()
            .bucket("test")
            .key("k")
            .upload_id(&aborted.id)
    };
    abort().send().await.unwrap();
    assert!(server.uploads().is_empty());
    assert_eq!(refusal(abort().send().await), (404, "NoSuchUpload".into()));
    assert_eq!(
        refusal(aborted.part(1, b"x").send().await),
        (404, "NoSuchUpload".into())
    );
    assert_eq!(
        refusal(aborted.complete(vec![part]).send().await),
        (404, "NoSuchUpload".into())
    );

    let completed = Multipart::create(&client).await;
    let part = completed.sent(1, b"x").await;
    completed.complete(vec![part.clone()]).send().await.unwrap();
    assert_eq!(
        refusal(completed.complete(vec![part]).send().await),
        (404, "NoSuchUpload".into())
    );
}

#[tokio::test]
async fn a_part_that_arrives_after_the_abort_is_not_kept() {
    let (server, client) = start().await;
    let upload = Multipart::create(&client).await;
    server.set_bandwidth(200 * KIB as u64);
    let send = tokio::spawn(upload.part(1, pattern(60 * KIB)).send());
    while server.stats().bytes_received == 0 {
        tokio::task::yield_now().await;
    }
    let abort = client
        .abort_multipart_upload()
        .bucket("test")
        .key("k")
        .upload_id(&upload.id);
    abort.send().await.unwrap();
    assert_eq!(refusal(send.await.unwrap()), (404, "NoSuchUpload".into()));
    assert!(server.uploads().is_empty());
}

#[tokio::test]
async fn a_completion_may_be_repeated_where_the_server_is_told_so() {
    let server = TestServer::builder()
        .repeat_complete(true)
        .start()
        .await
        .unwrap();
    let client = client(&server);
    let upload = Multipart::create(&client).await;
    let part = upload.sent(1, b"x").await;
    let first = upload.complete(vec![part.clone()]).send().await.unwrap();
    let again = upload.complete(vec![part.clone()]).send().await.unwrap();
    assert_eq!(first.e_tag(), again.e_tag());
    client
        .put_object()
        .bucket("test")
        .key("k")
        .send()
        .await
        .unwrap();
    let late = upload.complete(vec![part]).send().await;
    assert_eq!(
        refusal(late),
        (404, "NoSuchUpload".into()),
        "another object took its place"
    );
}

#[tokio::test]
async fn the_headers_of_the_object_are_those_of_its_creation() {
    let (server, client) = start().await;
    let create = client
        .create_multipart_upload()
        .bucket("test")
        .key("k")
        .content_type("text/csv");
    let created = create.metadata("a", "b").send().await.unwrap();
    let upload = Multipart {
        client: &client,
        id: created.upload_id.unwrap(),
    };
    let part = upload.sent(1, b"x").await;
    upload.complete(vec![part]).send().await.unwrap();
    let attributes = server.object("k").unwrap().attributes;
    assert_eq!(attributes.content_type, "text/csv");
    assert_eq!(attributes.metadata["a"], "b");
}

async fn declared(
    client: &aws_sdk_s3::Client,
    algorithm: ChecksumAlgorithm,
    kind: Option<ChecksumType>,
) -> Multipart<'_> {
    let create = client.create_multipart_upload().bucket("test").key("k");
    let create = create.checksum_algorithm(algorithm).set_checksum_type(kind);
    Multipart {
        client,
        id: create.send().await.unwrap().upload_id.unwrap(),
    }
}
