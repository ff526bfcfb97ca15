//! A server that keeps no bodies.

use testkit::server::{ETags, TestServer};

use crate::support::{KIB, Multipart, client, crc64, pattern, refusal};

#[tokio::test]
async fn a_discarded_object_is_known_but_not_got() {
    let server = TestServer::builder()
        .discard(true)
        .min_part_size(1)
        .start()
        .await
        .unwrap();
    let client = client(&server);
    let upload = Multipart::create(&client).await;
    let body = pattern(200 * KIB);
    let (a, b) = body.split_at(100 * KIB);
    let parts = vec![upload.sent(1, a).await, upload.sent(2, b).await];
    let done = upload
        .complete(parts)
        .checksum_crc64_nvme(crc64(&body))
        .send()
        .await
        .unwrap();
    assert_eq!(done.checksum_crc64_nvme(), Some(crc64(&body).as_str()));
    let head = client
        .head_object()
        .bucket("test")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_length(), Some(body.len() as i64));
    assert_eq!(server.object("k").unwrap().crc64nvme(), Some(crc64(&body)));
    let get = client.get_object().bucket("test").key("k").send().await;
    assert_eq!(refusal(get), (501, "NotImplemented".into()));
}

#[tokio::test]
async fn without_hashing_clients_are_believed() {
    let server = TestServer::builder()
        .discard(true)
        .hashing(false)
        .etags(ETags::Random)
        .start()
        .await
        .unwrap();
    let client = client(&server);
    let claimed = crc64(b"something else");
    let put = client
        .put_object()
        .bucket("test")
        .key("k")
        .body(b"hello".to_vec().into());
    let put = put.checksum_crc64_nvme(&claimed).send().await.unwrap();
    assert_eq!(put.checksum_crc64_nvme(), Some(claimed.as_str()));
    let silent = client
        .put_object()
        .bucket("test")
        .key("k")
        .send()
        .await
        .unwrap();
    let computed = silent.checksum_crc64_nvme();
    assert_eq!(computed, Some(&*crc64(b"")), "what nobody claims");

    let created = client.create_multipart_upload().bucket("test").key("k");
    let created = created.checksum_algorithm(aws_sdk_s3::types::ChecksumAlgorithm::Crc64Nvme);
    let upload = Multipart {
        client: &client,
        id: created.send().await.unwrap().upload_id.unwrap(),
    };
    let part = upload
        .part(1, b"hello")
        .checksum_crc64_nvme(&claimed)
        .send()
        .await
        .unwrap();
    let listed = aws_sdk_s3::types::CompletedPart::builder().part_number(1);
    let parts = vec![listed.e_tag(part.e_tag().unwrap()).build()];
    let wrong = upload
        .complete(parts.clone())
        .checksum_crc64_nvme(crc64(b"hello"))
        .send()
        .await;
    assert_eq!(
        refusal(wrong),
        (400, "BadDigest".into()),
        "what parts claim is still combined"
    );
    upload
        .complete(parts)
        .checksum_crc64_nvme(claimed)
        .send()
        .await
        .unwrap();
}
