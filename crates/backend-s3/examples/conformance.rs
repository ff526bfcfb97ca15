//! Runs the conformance suite on a service that the AWS environment variables describe.
//!
//! ```text
//! cargo run -p backend-s3 --example conformance -- s3://BUCKET/PREFIX/ [FLAG...]
//! ```
//!
//! `--conditions-ignored` says that the service ignores conditions, `--one-upload-wins` that it
//! drops an upload when another of the same object completes.
//!
//! Makes and removes objects below the prefix, and sends some hundreds of MiB. What is left over
//! is looked for with ListMultipartUploads.

#![allow(clippy::print_stdout)]

use std::process::ExitCode;
use std::sync::Arc;

use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use backend_s3::{Conditions, S3Config, S3ObjectStore};
use testkit::conformance::{Profile, Subject, attempt};
use writer_core::split_scheme;

const MEMORY: u64 = 256 << 20;
const PART: u64 = 5 << 20;

#[tokio::main]
async fn main() -> writer_core::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let prefix = arguments.first().filter(|uri| uri.ends_with('/'));
    let Some((prefix, look)) = prefix.zip(prefix.and_then(|uri| Look::of(uri))) else {
        println!(
            "usage: conformance s3://BUCKET/PREFIX/ [--conditions-ignored] [--one-upload-wins]"
        );
        return Ok(ExitCode::from(2));
    };
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let profile = Profile::default()
        .with_create_only(!has("--conditions-ignored"))
        .with_if_match(!has("--conditions-ignored"))
        .with_concurrent_uploads(!has("--one-upload-wins"));
    // Whether they are kept is what is tried.
    let config = S3Config::default()
        .with_memory(MEMORY)
        .with_conditions(Conditions::Trust);
    let store = S3ObjectStore::connect(config).await?;
    let look = Arc::new(look.connected().await);
    let leftovers = Arc::clone(&look);
    let subject = Subject::new(Arc::new(store), prefix.clone(), PART)
        .with_memory_budget(MEMORY)
        .with_profile(profile)
        .with_leftovers(move || {
            let look = Arc::clone(&leftovers);
            async move {
                look.uploads()
                    .await
                    .into_iter()
                    .map(|(key, _)| key)
                    .collect()
            }
        })
        .with_arrived(move |uri: &str| {
            let (look, uri) = (Arc::clone(&look), uri.to_owned());
            async move { look.arrived(&uri).await }
        });
    let report = attempt(&subject).await;
    println!("{report}");
    Ok(ExitCode::from(u8::from(!report.failed.is_empty())))
}

/// A look behind the store, with the SDK alone.
struct Look {
    bucket: String,
    prefix: String,
    client: Option<Client>,
}

impl Look {
    fn of(uri: &str) -> Option<Self> {
        let (bucket, prefix) = split_scheme(uri)?.1.split_once('/')?;
        Some(Self {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            client: None,
        })
    }

    async fn connected(mut self) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let shared = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .load()
            .await;
        let path_style = shared.endpoint_url().is_some();
        let config = aws_sdk_s3::config::Builder::from(&shared).force_path_style(path_style);
        self.client = Some(Client::from_conf(config.build()));
        self
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("connected before it is used")
    }

    /// Key and id of every upload below the prefix.
    async fn uploads(&self) -> Vec<(String, String)> {
        let listed = self
            .client()
            .list_multipart_uploads()
            .bucket(&self.bucket)
            .prefix(&self.prefix)
            .send()
            .await
            .expect("ListMultipartUploads is needed to see what is left over");
        let pairs = listed.uploads().iter().map(|upload| {
            let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
            (text(upload.key()), text(upload.upload_id()))
        });
        pairs.collect()
    }

    /// Bytes of the parts that are stored of the object at `uri`.
    async fn arrived(&self, uri: &str) -> u64 {
        let uploads = self.uploads().await;
        let Some((key, id)) = uploads.iter().find(|(key, _)| uri.ends_with(key)) else {
            return 0;
        };
        let request = self.client().list_parts().bucket(&self.bucket).key(key);
        let Ok(parts) = request.upload_id(id).send().await else {
            return 0;
        };
        let sizes = parts.parts().iter().filter_map(|part| part.size());
        sizes.filter_map(|size| u64::try_from(size).ok()).sum()
    }
}
