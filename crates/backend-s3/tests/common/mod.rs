//! A server, a store on it, and data that shows where it came from.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use backend_s3::{RetryPolicy, S3Config, S3ObjectStore, ServiceProfile};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testkit::server::{Builder, TestServer};
use writer_core::{ObjectStore, ObjectWriter, PartLimits, WriterOptions};

/// Part size of these tests: small, so that many parts are little data.
pub const PART: u64 = 64 * 1024;

pub fn server() -> Builder {
    TestServer::builder().bucket("test").min_part_size(PART)
}

pub fn config(server: &TestServer) -> S3Config {
    let config = match server.ca_pem() {
        Some(pem) => S3Config::default().with_ca_bundle(ca_bundle(server, pem)),
        None => S3Config::default(),
    };
    config
        .with_endpoint_url(server.endpoint())
        .with_region(server.region())
        .with_credentials(server.access_key(), server.secret_key())
        .with_part_limits(PartLimits {
            min_part_size: PART,
            ..PartLimits::S3
        })
        .with_service(ServiceProfile::DEV)
        .with_retry(
            RetryPolicy::default()
                .with_backoff(Duration::from_millis(1), Duration::from_millis(20)),
        )
}

/// A file with the certificate that `server` shows.
fn ca_bundle(server: &TestServer, pem: &str) -> PathBuf {
    let name = format!("ca-{}.pem", server.address().port());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, pem).unwrap();
    path
}

pub async fn store(server: &TestServer) -> S3ObjectStore {
    S3ObjectStore::connect(config(server)).await.unwrap()
}

pub fn options() -> WriterOptions {
    WriterOptions::default().with_part_size(PART)
}

/// A writer of `key` in the bucket of these tests.
pub async fn open(
    store: &S3ObjectStore,
    key: &str,
    options: WriterOptions,
) -> Box<dyn ObjectWriter> {
    let uri = format!("s3://test/{key}");
    store.create_writer(&uri, Some(options)).await.unwrap()
}

/// Random bytes, the same for the same seed.
pub fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut data = vec![0; len];
    rng.fill(&mut data);
    data
}
