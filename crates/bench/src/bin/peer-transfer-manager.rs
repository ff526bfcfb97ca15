//! `aws-sdk-s3-transfer-manager`, with its defaults but for the part size and the concurrency. Folders
//! are its own business.

use anyhow::{Result, ensure};
use aws_config::BehaviorVersion;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3_transfer_manager::io::adapters::TokioIo;
use aws_sdk_s3_transfer_manager::io::{InputStream, SizeHint};
use aws_sdk_s3_transfer_manager::types::{ConcurrencyMode, PartSize};
use aws_sdk_s3_transfer_manager::{Client, Config};
use bench::peer::PeerArgs;
use clap::Parser as _;

#[tokio::main]
async fn main() -> Result<()> {
    let args = PeerArgs::parse();
    let shared = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let config = Config::builder()
        .s3_config(Builder::from(&shared).force_path_style(true))
        .part_size(PartSize::Target(args.part_size as u64))
        .concurrency(ConcurrencyMode::Explicit(args.concurrency))
        .build();
    let client = Client::new(config);
    if args.source.is_dir() {
        let done = client
            .upload_objects()
            .bucket(args.object.bucket)
            .key_prefix(args.object.key)
            .source(args.source)
            .max_concurrent_uploads(args.concurrency)
            .initiate()?
            .join()
            .await?;
        ensure!(done.failed_transfers().is_empty(), "some files failed");
        return Ok(());
    }
    let body = match args.path() {
        Some(path) => InputStream::from_path(path)?,
        None => {
            // No upper bound: how much a pipe brings is not known.
            let size = SizeHint::default();
            InputStream::from_part_stream(TokioIo::new(args.open().await?, size))
        }
    };
    client
        .upload()
        .bucket(args.object.bucket)
        .key(args.object.key)
        .body(body)
        .initiate()?
        .join()
        .await?;
    Ok(())
}
