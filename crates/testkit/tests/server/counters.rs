//! The counters over HTTP.

use serde_json::{Value, json};
use testkit::server::TestServer;

use crate::support::{client, get};

#[tokio::test]
async fn the_counters_are_told_over_http() {
    let server = TestServer::builder().start().await.unwrap();
    let put = client(&server).put_object().bucket("test").key("k");
    put.body(b"hello".to_vec().into()).send().await.unwrap();

    let answer = get(&server.address().to_string(), "/-/stats").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    let stats: Value = serde_json::from_str(body).unwrap();
    assert_eq!(stats["requests"], json!({ "PutObject": 1 }));
    for (name, count) in [
        ("bytes_received", 5),
        ("connections_opened", 2),
        ("max_connections", 2),
        ("max_concurrent_parts", 1),
        ("slow_downs", 0),
    ] {
        assert_eq!(stats[name], count, "{name}");
    }
    assert_eq!(server.log().len(), 1, "it is no request to S3");
}

#[tokio::test]
async fn nothing_else_is_told_without_a_signature() {
    let server = TestServer::builder().start().await.unwrap();
    for path in ["/-/", "/-/other", "/-/stats/", "/test/-/stats"] {
        let answer = get(&server.address().to_string(), path).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
    }
}
