//! Prints the presigned URL of a PUT, for programs that can't sign: `floor`, `curl -T`.

// What it prints is its output.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use anyhow::{Context as _, Result};
use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use bench::S3Uri;
use clap::Parser;

/// Prints a URL that whoever has it may PUT one object to. Everything but the object's name comes
/// from the AWS environment variables and profiles
#[derive(Debug, Parser)]
#[command(name = "presign", version)]
struct Cli {
    /// The object: s3://bucket/key
    object: S3Uri,
    /// Seconds until the URL is void
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    expires: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    // Nothing is sent, but where credentials come from may be a service.
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let shared = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .load()
        .await;
    let config = Builder::from(&shared)
        .force_path_style(shared.endpoint_url().is_some())
        // A checksum would be of the empty body that is signed here, and part of the URL.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .build();
    let expires = PresigningConfig::expires_in(Duration::from_secs(cli.expires))?;
    let request = Client::from_conf(config)
        .put_object()
        .bucket(cli.object.bucket)
        .key(cli.object.key)
        .presigned(expires)
        .await
        .context("can't sign")?;
    println!("{}", request.uri());
    Ok(())
}
