//! `If-Match` and `If-None-Match`, on writes and on reads.

use crate::support::{Multipart, refusal, start};

#[tokio::test]
async fn create_only_does_not_overwrite() {
    let (server, client) = start().await;
    let put = |text: &str| {
        let put = client
            .put_object()
            .bucket("test")
            .key("k")
            .if_none_match("*");
        put.body(text.as_bytes().to_vec().into()).send()
    };
    put("first").await.unwrap();
    assert_eq!(
        refusal(put("second").await),
        (412, "PreconditionFailed".into())
    );

    let upload = Multipart::create(&client).await;
    let part = upload.sent(1, b"third").await;
    let complete = upload
        .complete(vec![part.clone()])
        .if_none_match("*")
        .send()
        .await;
    assert_eq!(refusal(complete), (412, "PreconditionFailed".into()));
    assert_eq!(server.object("k").unwrap().bytes(), &b"first"[..]);
    assert_eq!(
        server.uploads().len(),
        1,
        "the upload is still there to be aborted"
    );
    client
        .delete_object()
        .bucket("test")
        .key("k")
        .send()
        .await
        .unwrap();
    upload
        .complete(vec![part])
        .if_none_match("*")
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn an_overwrite_may_ask_for_what_it_overwrites() {
    let (server, client) = start().await;
    let put = || {
        client
            .put_object()
            .bucket("test")
            .key("k")
            .body(b"x".to_vec().into())
    };
    let missing = put().if_match("\"abc\"").send().await;
    assert_eq!(refusal(missing), (404, "NoSuchKey".into()));
    let etag = put().send().await.unwrap().e_tag.unwrap();
    let other = put().if_match("\"abc\"").send().await;
    assert_eq!(refusal(other), (412, "PreconditionFailed".into()));
    put().if_match(&etag).send().await.unwrap();

    let upload = Multipart::create(&client).await;
    let part = upload.sent(1, b"new").await;
    let other = upload
        .complete(vec![part.clone()])
        .if_match("\"abc\"")
        .send()
        .await;
    assert_eq!(refusal(other), (412, "PreconditionFailed".into()));
    upload
        .complete(vec![part])
        .if_match(&etag)
        .send()
        .await
        .unwrap();
    assert_eq!(server.object("k").unwrap().bytes(), &b"new"[..]);
}

#[tokio::test]
async fn a_write_unless_it_matches_is_not_a_thing() {
    let (_server, client) = start().await;
    let put = client
        .put_object()
        .bucket("test")
        .key("k")
        .if_none_match("\"abc\"")
        .send()
        .await;
    assert_eq!(refusal(put), (501, "NotImplemented".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_creators_one_wins() {
    let (server, client) = start().await;
    let writers: Vec<_> = (0..16u8)
        .map(|writer| {
            let put = client
                .put_object()
                .bucket("test")
                .key("k")
                .if_none_match("*");
            tokio::spawn(put.body(vec![writer; 10_000].into()).send())
        })
        .collect();
    let mut winners = Vec::new();
    for (writer, task) in (0..).zip(writers) {
        match task.await.unwrap() {
            Ok(_) => winners.push(writer),
            refused => assert_eq!(refusal(refused).0, 412),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(
        server.object("k").unwrap().bytes(),
        vec![winners[0]; 10_000]
    );
}

#[tokio::test]
async fn reads_may_depend_on_the_etag() {
    let (_server, client) = start().await;
    let put = client
        .put_object()
        .bucket("test")
        .key("k")
        .send()
        .await
        .unwrap();
    let etag = put.e_tag().unwrap();
    let get = || client.get_object().bucket("test").key("k");
    get().if_match(etag).send().await.unwrap();
    assert_eq!(refusal(get().if_match("\"abc\"").send().await).0, 412);
    assert_eq!(refusal(get().if_none_match(etag).send().await).0, 304);
    let head = client
        .head_object()
        .bucket("test")
        .key("k")
        .if_match("\"abc\"")
        .send()
        .await;
    assert_eq!(refusal(head).0, 412);
}

#[tokio::test]
async fn a_delete_may_depend_on_the_etag() {
    let (server, client) = start().await;
    client
        .put_object()
        .bucket("test")
        .key("k")
        .send()
        .await
        .unwrap();
    let delete = client
        .delete_object()
        .bucket("test")
        .key("k")
        .if_match("\"abc\"")
        .send()
        .await;
    assert_eq!(refusal(delete), (412, "PreconditionFailed".into()));
    assert!(server.object("k").is_some());
}
