//! A client for the server, and short ways to say what tests say often.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use testkit::server::{Algorithm, TestServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(crate) const KIB: usize = 1024;

/// A server with small parts and a bucket `test`, and a client of it that adds
/// nothing to what a test says.
pub(crate) async fn start() -> (TestServer, Client) {
    let server = TestServer::builder()
        .min_part_size(64 * KIB as u64)
        .start()
        .await
        .unwrap();
    let client = client(&server);
    (server, client)
}

pub(crate) fn client(server: &TestServer) -> Client {
    Client::from_conf(config(server).build())
}

pub(crate) fn config(server: &TestServer) -> Builder {
    aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http_client(server.ca_pem()))
        .endpoint_url(server.endpoint())
        .region(Region::new(server.region().to_owned()))
        .credentials_provider(Credentials::new(
            server.access_key(),
            server.secret_key(),
            None,
            None,
            "test",
        ))
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
}

/// A client of plain HTTP, or of HTTPS that trusts nothing but this certificate.
pub(crate) fn http_client(ca_pem: Option<&str>) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new();
    let Some(ca_pem) = ca_pem else {
        return builder.build_http();
    };
    let trust = TrustStore::empty().with_pem_certificate(ca_pem);
    let context = TlsContext::builder().with_trust_store(trust).build();
    builder
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context.unwrap())
        .build_https()
}

/// The answer to a GET without a signature, head and all.
pub(crate) async fn get(address: &str, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The status and the error code of an answer that must be an error.
#[track_caller]
pub(crate) fn refusal<T, E>(result: Result<T, SdkError<E>>) -> (u16, String)
where
    T: std::fmt::Debug,
    E: ProvideErrorMetadata + std::fmt::Debug,
{
    match result.expect_err("an error") {
        SdkError::ServiceError(context) => (
            context.raw().status().as_u16(),
            context.err().code().unwrap_or_default().to_owned(),
        ),
        other => panic!("not an answer: {other:?}"),
    }
}

/// Asserts that no answer came at all.
#[track_caller]
pub(crate) fn no_answer<T, E>(result: Result<T, SdkError<E>>)
where
    T: std::fmt::Debug,
    E: std::fmt::Debug,
{
    match result.expect_err("an error") {
        SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {}
        other => panic!("an answer came: {other:?}"),
    }
}

/// Bytes that repeat only after a long while.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + i / 251) as u8).collect()
}

pub(crate) fn crc64(bytes: &[u8]) -> String {
    Algorithm::Crc64Nvme.of(bytes)
}

/// A multipart upload to the key `k`, step by step.
pub(crate) struct Multipart<'a> {
    pub(crate) client: &'a Client,
    pub(crate) id: String,
}

impl<'a> Multipart<'a> {
    pub(crate) async fn create(client: &'a Client) -> Self {
        let created = client
            .create_multipart_upload()
            .bucket("test")
            .key("k")
            .send()
            .await
            .unwrap();
        Self {
            client,
            id: created.upload_id.unwrap(),
        }
    }

    pub(crate) fn part(
        &self,
        number: i32,
        bytes: impl Into<Vec<u8>>,
    ) -> aws_sdk_s3::operation::upload_part::builders::UploadPartFluentBuilder {
        self.client
            .upload_part()
            .bucket("test")
            .key("k")
            .upload_id(&self.id)
            .part_number(number)
            .body(bytes.into().into())
    }

    /// Sends a part and says what to list for it at the end.
    pub(crate) async fn sent(&self, number: i32, bytes: impl Into<Vec<u8>>) -> CompletedPart {
        let sent = self.part(number, bytes).send().await.unwrap();
        CompletedPart::builder()
            .part_number(number)
            .e_tag(sent.e_tag.unwrap())
            .build()
    }

    pub(crate) fn complete(
        &self,
        parts: Vec<CompletedPart>,
    ) -> aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder{
        self.client
            .complete_multipart_upload()
            .bucket("test")
            .key("k")
            .upload_id(&self.id)
            .multipart_upload(
                CompletedMultipartUpload::builder()
                    .set_parts(Some(parts))
                    .build(),
            )
    }
}
