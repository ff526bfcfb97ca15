//! A client of the SDK alone, for looks behind the store.

use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    RequestChecksumCalculation, ResponseChecksumValidation, retry::RetryConfig,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use writer_core::split_scheme;

/// The service that the AWS environment variables describe; nothing is tried again.
pub(crate) async fn client() -> Client {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let shared = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .load()
        .await;
    let path_style = shared.endpoint_url().is_some();
    let config = aws_sdk_s3::config::Builder::from(&shared)
        .force_path_style(path_style)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::disabled());
    Client::from_conf(config.build())
}

/// Bucket and prefix of `s3://BUCKET/PREFIX/`.
pub(crate) fn bucket_and_prefix(uri: &str) -> Option<(String, String)> {
    let (bucket, prefix) = split_scheme(uri)?.1.split_once('/')?;
    uri.ends_with('/')
        .then(|| (bucket.to_owned(), prefix.to_owned()))
}
