//! Who is let in.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, Region};
use testkit::server::TestServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{client, config, refusal, start};

#[tokio::test]
async fn credentials_must_be_right() {
    let (server, _) = start().await;
    let with = |access_key: &str, secret_key: &str| {
        let credentials = Credentials::new(access_key, secret_key, None, None, "test");
        let client = Client::from_conf(config(&server).credentials_provider(credentials).build());
        client.put_object().bucket("test").key("k").send()
    };
    let unknown = with("nobody", server.secret_key()).await;
    assert_eq!(refusal(unknown), (403, "InvalidAccessKeyId".into()));
    let wrong = with(server.access_key(), "guess").await;
    assert_eq!(refusal(wrong), (403, "SignatureDoesNotMatch".into()));
    assert!(server.keys().is_empty());
    with(server.access_key(), server.secret_key())
        .await
        .unwrap();
}

#[tokio::test]
async fn unsigned_requests_are_refused() {
    let (server, _) = start().await;
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    let request =
        b"PUT /test/k HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
    socket.write_all(request).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("<Code>AccessDenied</Code>"), "{answer}");
    assert!(server.keys().is_empty());
    assert!(!server.log()[0].authorized);
}

#[tokio::test]
async fn the_region_must_be_right() {
    let server = TestServer::builder()
        .region("eu-central-1")
        .start()
        .await
        .unwrap();
    let elsewhere = Client::from_conf(config(&server).region(Region::new("us-west-2")).build());
    let put = elsewhere.put_object().bucket("test").key("k").send().await;
    assert_eq!(refusal(put), (400, "AuthorizationHeaderMalformed".into()));
    client(&server)
        .put_object()
        .bucket("test")
        .key("k")
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn an_operation_may_be_denied() {
    let server = TestServer::builder()
        .deny("HeadObject")
        .start()
        .await
        .unwrap();
    let client = client(&server);
    client
        .put_object()
        .bucket("test")
        .key("k")
        .send()
        .await
        .unwrap();
    let head = || client.head_object().bucket("test").key("k").send();
    assert_eq!(refusal(head().await).0, 403);
    client
        .get_object()
        .bucket("test")
        .key("k")
        .send()
        .await
        .unwrap();
    server.deny("GetObject");
    let get = client.get_object().bucket("test").key("k").send().await;
    assert_eq!(refusal(get), (403, "AccessDenied".into()));
    server.allow("HeadObject");
    head().await.unwrap();
}

#[test]
#[should_panic(expected = "no operation is called")]
fn a_misspelt_operation_is_not_denied_in_silence() {
    let _ = TestServer::builder().deny("GetObjekt");
}
