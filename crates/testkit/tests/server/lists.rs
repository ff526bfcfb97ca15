//! Listings, and that their pages fit together.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use crate::support::{Multipart, refusal, start};

#[tokio::test]
async fn pages_of_objects_fit_together() {
    let (server, client) = start().await;
    let keys: Vec<String> = (0..7).map(|i| format!("a/{i}")).collect();
    for key in keys.iter().chain(&["b".to_owned()]) {
        client
            .put_object()
            .bucket("test")
            .key(key)
            .send()
            .await
            .unwrap();
    }
    let mut pages = client
        .list_objects_v2()
        .bucket("test")
        .prefix("a/")
        .max_keys(3)
        .into_paginator()
        .send();
    let mut sizes = Vec::new();
    let mut listed = Vec::new();
    while let Some(page) = pages.next().await.transpose().unwrap() {
        assert_eq!(page.key_count(), Some(page.contents().len() as i32));
        sizes.push(page.contents().len());
        listed.extend(
            page.contents()
                .iter()
                .map(|object| object.key().unwrap().to_owned()),
        );
    }
    assert_eq!(sizes, [3, 3, 1]);
    assert_eq!(listed, keys);
    assert_eq!(server.keys().len(), 8);
}

#[tokio::test]
async fn a_delimiter_rolls_keys_up() {
    let (_server, client) = start().await;
    for key in ["a", "dir/1", "dir/2", "dir/sub/3", "other/4", "z"] {
        client
            .put_object()
            .bucket("test")
            .key(key)
            .send()
            .await
            .unwrap();
    }
    let mut entries = Vec::new();
    let mut token = None;
    loop {
        let list = client
            .list_objects_v2()
            .bucket("test")
            .delimiter("/")
            .max_keys(1);
        let page = list.set_continuation_token(token).send().await.unwrap();
        entries.extend(
            page.contents()
                .iter()
                .filter_map(|o| o.key().map(str::to_owned)),
        );
        entries.extend(
            page.common_prefixes()
                .iter()
                .filter_map(|p| p.prefix().map(str::to_owned)),
        );
        token = page.next_continuation_token().map(str::to_owned);
        assert_eq!(page.is_truncated(), Some(token.is_some()));
        if token.is_none() {
            break;
        }
    }
    assert_eq!(entries, ["a", "dir/", "other/", "z"]);

    let inside = client
        .list_objects_v2()
        .bucket("test")
        .prefix("dir/")
        .delimiter("/")
        .send()
        .await
        .unwrap();
    assert_eq!(inside.contents().len(), 2);
    assert_eq!(inside.common_prefixes()[0].prefix(), Some("dir/sub/"));
}

#[tokio::test]
async fn the_first_version_of_the_list_works_too() {
    let (_server, client) = start().await;
    for key in ["a", "b", "c"] {
        client
            .put_object()
            .bucket("test")
            .key(key)
            .send()
            .await
            .unwrap();
    }
    let page = client
        .list_objects()
        .bucket("test")
        .marker("a")
        .max_keys(1)
        .send()
        .await
        .unwrap();
    assert_eq!(page.contents()[0].key(), Some("b"));
    assert_eq!(page.is_truncated(), Some(true));
}

#[tokio::test]
async fn a_made_up_token_is_refused() {
    let (_server, client) = start().await;
    let list = client
        .list_objects_v2()
        .bucket("test")
        .continuation_token("§")
        .send()
        .await;
    assert_eq!(refusal(list), (400, "InvalidArgument".into()));
}

#[tokio::test]
async fn pages_of_parts_fit_together() {
    let (_server, client) = start().await;
    let upload = Multipart::create(&client).await;
    for number in [9, 2, 4, 1, 7] {
        upload.sent(number, vec![0; number as usize]).await;
    }
    let list = client
        .list_parts()
        .bucket("test")
        .key("k")
        .upload_id(&upload.id)
        .max_parts(2);
    let mut pages = list.into_paginator().send();
    let mut listed = Vec::new();
    while let Some(page) = pages.next().await.transpose().unwrap() {
        assert!(page.parts().len() <= 2);
        for part in page.parts() {
            assert!(part.e_tag().is_some() && part.checksum_crc64_nvme().is_some());
            assert_eq!(part.size(), part.part_number().map(i64::from));
            listed.push(part.part_number().unwrap());
        }
    }
    assert_eq!(listed, [1, 2, 4, 7, 9]);
}

#[tokio::test]
async fn pages_of_uploads_fit_together() {
    let (_server, client) = start().await;
    let mut created = Vec::new();
    for key in ["a/1", "a/2", "a/2", "a/2", "b"] {
        let upload = client
            .create_multipart_upload()
            .bucket("test")
            .key(key)
            .send()
            .await
            .unwrap();
        created.push((key.to_owned(), upload.upload_id.unwrap()));
    }
    created.pop();
    let mut listed = Vec::new();
    let (mut key_marker, mut id_marker) = (None, None);
    loop {
        let page = client
            .list_multipart_uploads()
            .bucket("test")
            .prefix("a/")
            .max_uploads(2)
            .set_key_marker(key_marker)
            .set_upload_id_marker(id_marker)
            .send()
            .await
            .unwrap();
        for upload in page.uploads() {
            listed.push((
                upload.key().unwrap().to_owned(),
                upload.upload_id().unwrap().to_owned(),
            ));
        }
        if page.is_truncated() != Some(true) {
            break;
        }
        key_marker = page.next_key_marker;
        id_marker = page.next_upload_id_marker;
    }
    assert_eq!(listed, created, "by key, then by age");
}

#[tokio::test]
async fn many_objects_go_at_once() {
    let (server, client) = start().await;
    for key in ["a", "b", "c"] {
        client
            .put_object()
            .bucket("test")
            .key(key)
            .send()
            .await
            .unwrap();
    }
    let ids = ["a", "c", "absent"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder()
        .set_objects(Some(ids.into()))
        .build()
        .unwrap();
    let deleted = client
        .delete_objects()
        .bucket("test")
        .delete(delete)
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.deleted().len(), 3);
    assert_eq!(server.keys(), ["b"]);
}
