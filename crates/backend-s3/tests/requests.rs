//! Where requests go, and what they say, of buckets that only Amazon has: what leaves is looked at,
//! and nothing is sent.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use aws_sdk_s3::config::http::HttpRequest;
use aws_sdk_s3::config::{HttpClient, RuntimeComponents, SharedHttpClient};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::http::{Response, StatusCode};
use aws_smithy_types::body::SdkBody;
use backend_s3::{S3Config, S3ObjectStore};
use writer_core::{ErrorKind, ObjectStore as _};

/// What a directory bucket gives to whoever opens a session.
const SESSION: &str = "<?xml version=\"1.0\"?><CreateSessionResult><Credentials>\
    <SessionToken>the-session</SessionToken><SecretAccessKey>secret</SecretAccessKey>\
    <AccessKeyId>session-key</AccessKeyId><Expiration>2999-01-01T00:00:00Z</Expiration>\
    </Credentials></CreateSessionResult>";

/// Answers as S3 would, and keeps what was asked.
#[derive(Clone, Debug, Default)]
struct Capture(Arc<Mutex<Vec<Seen>>>);

#[derive(Clone, Debug)]
struct Seen {
    url: String,
    headers: Vec<(String, String)>,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| &**value)
    }
}

impl HttpClient for Capture {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Capture {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.0.lock().unwrap().push(Seen {
            url: request.uri().to_owned(),
            headers: headers.collect(),
        });
        let body = match request.uri().contains("session") {
            true => SESSION,
            false => "",
        };
        let mut response = Response::new(StatusCode::try_from(200).unwrap(), SdkBody::from(body));
        response.headers_mut().insert("etag", "\"abc\"");
        if let Some(crc) = request.headers().get("x-amz-checksum-crc64nvme") {
            let crc = crc.to_owned();
            response
                .headers_mut()
                .insert("x-amz-checksum-crc64nvme", crc);
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}

/// What leaves when an object is written to `uri`.
async fn put(uri: &str, change: impl FnOnce(S3Config) -> S3Config) -> Vec<Seen> {
    let capture = Capture::default();
    let config = S3Config::default()
        .with_region("us-west-2")
        .with_credentials("key", "secret")
        .with_http_client(SharedHttpClient::new(capture.clone()));
    let store = S3ObjectStore::connect(change(config)).await.unwrap();
    let stored = store.put(uri, "content".into()).await;
    stored.unwrap_or_else(|error| panic!("{uri}: {error}"));
    capture.0.lock().unwrap().clone()
}

#[tokio::test]
async fn a_directory_bucket_is_asked_for_a_session_first() {
    let seen = put("s3://data--usw2-az1--x-s3/a/b", |config| config).await;
    let [session, put] = &seen[..] else {
        panic!("{seen:?}");
    };
    let host = "https://data--usw2-az1--x-s3.s3express-usw2-az1.us-west-2.amazonaws.com/";
    assert!(
        session.url.starts_with(&format!("{host}?session")),
        "{session:?}"
    );
    assert!(put.url.starts_with(&format!("{host}a/b")), "{put:?}");
    assert_eq!(put.header("x-amz-s3session-token"), Some("the-session"));
    let signed = put.header("authorization").unwrap();
    assert!(
        signed.contains("session-key") && signed.contains("/s3express/"),
        "{signed}"
    );
    assert!(put.header("x-amz-checksum-crc64nvme").is_some());
}

#[tokio::test]
async fn an_access_point_has_a_host_of_its_own() {
    for (arn, host) in [
        (
            "arn:aws:s3:us-west-2:123456789012:accesspoint/mine",
            "mine-123456789012.s3-accesspoint.us-west-2.amazonaws.com",
        ),
        (
            "arn:aws:s3:us-west-2:123456789012:accesspoint:mine",
            "mine-123456789012.s3-accesspoint.us-west-2.amazonaws.com",
        ),
        (
            "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-1/accesspoint/mine",
            "mine-123456789012.op-1.s3-outposts.us-west-2.amazonaws.com",
        ),
    ] {
        let seen = put(&format!("s3://{arn}/a/b"), |config| config).await;
        let url = format!("https://{host}/a/b");
        assert!(seen.len() == 1 && seen[0].url.starts_with(&url), "{seen:?}");
    }
}

#[tokio::test]
async fn a_bucket_is_in_the_host_or_in_the_path() {
    let seen = put("s3://bucket/a/b", |config| config).await;
    let host = "https://bucket.s3.us-west-2.amazonaws.com/a/b";
    assert!(seen[0].url.starts_with(host), "{seen:?}");
    assert!(seen[0].header("x-amz-request-payer").is_none());
    let seen = put("s3://bucket/a/b", |config| config.with_path_style(true)).await;
    let host = "https://s3.us-west-2.amazonaws.com/bucket/a/b";
    assert!(seen[0].url.starts_with(host), "{seen:?}");
}

#[tokio::test]
async fn who_pays_is_said_and_signed() {
    let seen = put("s3://bucket/key", |config| config.with_requester_pays(true)).await;
    assert_eq!(seen[0].header("x-amz-request-payer"), Some("requester"));
    let signed = seen[0].header("authorization").unwrap();
    assert!(signed.contains("x-amz-request-payer"), "{signed}");
}

#[tokio::test]
async fn anybody_signs_nothing() {
    for endpoint in [None, Some("http://localhost:9000")] {
        let seen = put("s3://bucket/key", |mut config| {
            config.endpoint_url = endpoint.map(str::to_owned);
            config.with_anonymous(true)
        });
        let seen = seen.await;
        assert_eq!(seen[0].header("authorization"), None, "{seen:?}");
        assert_eq!(seen[0].header("x-amz-security-token"), None);
        assert!(seen[0].header("x-amz-checksum-crc64nvme").is_some());
    }
}

#[tokio::test]
async fn what_is_no_endpoint_is_refused_at_once() {
    for endpoint in [
        "localhost:9000",
        "s3.example.com",
        "ftp://host",
        "http://",
        "",
    ] {
        let config = S3Config::default().with_endpoint_url(endpoint);
        let error = S3ObjectStore::connect(config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{endpoint}");
        assert!(error.message().contains("http://HOST"), "{error}");
    }
    let config = S3Config::default().with_endpoint_url("HTTPS://[::1]:9000/path");
    assert!(S3ObjectStore::connect(config).await.is_ok());
}
