//! Objects in one piece: what is put is what is got.

use aws_sdk_s3::types::{ChecksumMode, ObjectCannedAcl, ServerSideEncryption, StorageClass};
use testkit::server::{ETags, TestServer};

use crate::support::{client, crc64, pattern, refusal, start};

#[tokio::test]
async fn what_is_put_is_got_with_all_its_headers() {
    let (server, client) = start().await;
    let put = client
        .put_object()
        .bucket("test")
        .key("dir/a key é")
        .body(b"hello".to_vec().into())
        .content_type("text/plain")
        .cache_control("max-age=60")
        .content_encoding("gzip")
        .content_disposition("attachment")
        .content_language("de")
        .storage_class(StorageClass::StandardIa)
        .metadata("Color", "blue")
        .send()
        .await
        .unwrap();
    assert_eq!(
        put.e_tag(),
        Some("\"5d41402abc4b2a76b9719d911017c592\""),
        "the MD5"
    );
    assert_eq!(
        put.checksum_crc64_nvme(),
        Some(crc64(b"hello").as_str()),
        "computed unasked"
    );

    let got = client
        .get_object()
        .bucket("test")
        .key("dir/a key é")
        .send()
        .await
        .unwrap();
    assert_eq!(got.content_length(), Some(5));
    assert_eq!(got.content_type(), Some("text/plain"));
    assert_eq!(got.cache_control(), Some("max-age=60"));
    assert_eq!(got.content_encoding(), Some("gzip"));
    assert_eq!(got.content_disposition(), Some("attachment"));
    assert_eq!(got.content_language(), Some("de"));
    assert_eq!(got.storage_class(), Some(&StorageClass::StandardIa));
    assert_eq!(got.metadata().unwrap()["color"], "blue");
    assert_eq!(got.checksum_crc64_nvme(), None, "not asked for");
    assert_eq!(got.e_tag(), put.e_tag());
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"hello");

    let stored = server.object("dir/a key é").unwrap();
    assert_eq!(stored.bytes(), &b"hello"[..]);
    assert_eq!(stored.crc64nvme().unwrap(), crc64(b"hello"));
    assert_eq!(server.keys(), ["dir/a key é"]);
}

#[tokio::test]
async fn a_head_tells_size_type_and_checksum() {
    let (_server, client) = start().await;
    client
        .put_object()
        .bucket("test")
        .key("k")
        .body(vec![1; 7].into())
        .customize()
        .mutate_request(|request| drop(request.headers_mut().remove("content-type")))
        .send()
        .await
        .unwrap();
    let head = client
        .head_object()
        .bucket("test")
        .key("k")
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_length(), Some(7));
    assert_eq!(
        head.content_type(),
        Some("binary/octet-stream"),
        "what AWS says by default"
    );
    assert_eq!(head.checksum_crc64_nvme(), Some(crc64(&[1; 7]).as_str()));
    assert!(head.last_modified().is_some());
}

#[tokio::test]
async fn ranges_count_from_both_ends() {
    let (_server, client) = start().await;
    client
        .put_object()
        .bucket("test")
        .key("k")
        .body(b"0123456789".to_vec().into())
        .send()
        .await
        .unwrap();
    for (range, expected, content_range) in [
        ("bytes=0-3", "0123", "bytes 0-3/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=8-100", "89", "bytes 8-9/10"),
    ] {
        let got = client
            .get_object()
            .bucket("test")
            .key("k")
            .range(range)
            .send()
            .await
            .unwrap();
        assert_eq!(got.content_range(), Some(content_range));
        assert_eq!(
            got.body.collect().await.unwrap().to_vec(),
            expected.as_bytes()
        );
    }
    let beyond = client
        .get_object()
        .bucket("test")
        .key("k")
        .range("bytes=10-")
        .send()
        .await;
    assert_eq!(refusal(beyond), (416, "InvalidRange".into()));
}

#[tokio::test]
async fn an_empty_object_is_an_object() {
    let (server, client) = start().await;
    client
        .put_object()
        .bucket("test")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(server.object("k").unwrap().size, 0);
    let got = client
        .get_object()
        .bucket("test")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let (_server, client) = start().await;
    let no_key = client.get_object().bucket("test").key("k").send().await;
    assert_eq!(refusal(no_key), (404, "NoSuchKey".into()));
    let no_bucket = client.put_object().bucket("nowhere").key("k").send().await;
    assert_eq!(refusal(no_bucket), (404, "NoSuchBucket".into()));
    assert_eq!(
        refusal(client.head_object().bucket("test").key("k").send().await).0,
        404
    );
    assert_eq!(
        refusal(client.head_bucket().bucket("nowhere").send().await).0,
        404
    );
}

#[tokio::test]
async fn deleting_needs_no_object() {
    let (server, client) = start().await;
    client
        .put_object()
        .bucket("test")
        .key("k")
        .send()
        .await
        .unwrap();
    for _ in 0..2 {
        client
            .delete_object()
            .bucket("test")
            .key("k")
            .send()
            .await
            .unwrap();
        assert!(server.object("k").is_none());
    }
}

#[tokio::test]
async fn a_copy_keeps_bytes_and_headers() {
    let (server, client) = start().await;
    let put = client
        .put_object()
        .bucket("test")
        .key("a")
        .content_type("text/plain");
    put.body(b"hello".to_vec().into()).send().await.unwrap();
    client
        .copy_object()
        .copy_source("test/a")
        .bucket("test")
        .key("b")
        .send()
        .await
        .unwrap();
    let copy = server.object("b").unwrap();
    assert_eq!(copy.bytes(), &b"hello"[..]);
    assert_eq!(copy.attributes.content_type, "text/plain");
}

#[tokio::test]
async fn too_much_metadata_or_body_is_refused() {
    let server = TestServer::builder()
        .max_part_size(10)
        .start()
        .await
        .unwrap();
    let client = client(&server);
    let large = client
        .put_object()
        .bucket("test")
        .key("k")
        .body(pattern(11).into())
        .send()
        .await;
    assert_eq!(refusal(large), (400, "EntityTooLarge".into()));
    let put = client.put_object().bucket("test").key("k");
    let wordy = put.metadata("x", "y".repeat(2048)).send().await;
    assert_eq!(refusal(wordy), (400, "MetadataTooLarge".into()));
    assert!(server.keys().is_empty());
}

#[tokio::test]
async fn random_etags_are_no_md5() {
    let server = TestServer::builder()
        .etags(ETags::Random)
        .start()
        .await
        .unwrap();
    let client = client(&server);
    let mut etags = Vec::new();
    for _ in 0..2 {
        let put = client
            .put_object()
            .bucket("test")
            .key("k")
            .body(b"hello".to_vec().into());
        etags.push(put.send().await.unwrap().e_tag.unwrap());
    }
    assert_ne!(etags[0], etags[1]);
    assert_eq!(etags[0].len(), 34, "of the form of an MD5");
}

#[tokio::test]
async fn buckets_come_and_go() {
    let (_server, client) = start().await;
    client
        .create_bucket()
        .bucket("another")
        .send()
        .await
        .unwrap();
    let again = client.create_bucket().bucket("another").send().await;
    assert_eq!(refusal(again), (409, "BucketAlreadyOwnedByYou".into()));
    let listed = client.list_buckets().send().await.unwrap();
    let names: Vec<_> = listed.buckets().iter().filter_map(|b| b.name()).collect();
    assert_eq!(names, ["another", "test"]);
    client
        .put_object()
        .bucket("another")
        .key("k")
        .send()
        .await
        .unwrap();
    let full = client.delete_bucket().bucket("another").send().await;
    assert_eq!(refusal(full), (409, "BucketNotEmpty".into()));
    client
        .delete_object()
        .bucket("another")
        .key("k")
        .send()
        .await
        .unwrap();
    client
        .delete_bucket()
        .bucket("another")
        .send()
        .await
        .unwrap();
    assert_eq!(
        refusal(client.head_bucket().bucket("another").send().await).0,
        404
    );
}

#[tokio::test]
async fn tags_are_counted_and_listed_and_limited() {
    let (_server, client) = start().await;
    let put = |tagging: String| {
        let put = client.put_object().bucket("test").key("k");
        put.tagging(tagging).send()
    };
    put("a=b%20c&%C3%BC=".into()).await.unwrap();
    let head = client.head_object().bucket("test").key("k").send();
    assert_eq!(head.await.unwrap().tag_count(), Some(2));
    let got = client.get_object().bucket("test").key("k").send();
    assert_eq!(got.await.unwrap().tag_count(), Some(2));
    let listed = client.get_object_tagging().bucket("test").key("k").send();
    let listed = listed.await.unwrap();
    let tags: Vec<_> = listed
        .tag_set()
        .iter()
        .map(|tag| (tag.key(), tag.value()))
        .collect();
    assert_eq!(tags, [("a", "b c"), ("ü", "")]);
    let eleven = (0..11)
        .map(|n| format!("k{n}=v"))
        .collect::<Vec<_>>()
        .join("&");
    for wrong in [
        eleven,
        format!("{}=v", "k".repeat(129)),
        format!("k={}", "v".repeat(257)),
        "=v".into(),
    ] {
        assert_eq!(
            refusal(put(wrong.clone()).await),
            (400, "InvalidTag".into()),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn encryption_is_said_by_every_answer() {
    let (server, client) = start().await;
    let put = || client.put_object().bucket("test").key("k");
    let kms = put()
        .server_side_encryption(ServerSideEncryption::AwsKms)
        .ssekms_key_id("alias/key")
        .bucket_key_enabled(true);
    let kms = kms.send().await.unwrap();
    assert_eq!(
        kms.server_side_encryption(),
        Some(&ServerSideEncryption::AwsKms)
    );
    assert_eq!(kms.ssekms_key_id(), Some("alias/key"));
    assert_eq!(kms.bucket_key_enabled(), Some(true));
    let head = client
        .head_object()
        .bucket("test")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(
        head.server_side_encryption(),
        Some(&ServerSideEncryption::AwsKms)
    );
    assert_eq!(
        server.object("k").unwrap().attributes.bucket_key,
        Some(true)
    );

    let unknown = put()
        .server_side_encryption(ServerSideEncryption::from("rot13"))
        .send();
    assert_eq!(refusal(unknown.await), (400, "InvalidArgument".into()));
    let key_of_none = put().ssekms_key_id("alias/key").send();
    assert_eq!(refusal(key_of_none.await), (400, "InvalidArgument".into()));
    let class = put().storage_class(StorageClass::from("SOMEWHERE")).send();
    assert_eq!(refusal(class.await), (400, "InvalidStorageClass".into()));
    let acl = put().acl(ObjectCannedAcl::from("everybody")).send();
    assert_eq!(refusal(acl.await), (400, "InvalidArgument".into()));
}
