//! `aws-sdk-s3` as one first writes it: parts read into memory, each sent by a task, and the SDK's
//! defaults for everything else (TLS, checksums, signing, retries). A folder's files are streamed, one
//! PutObject each.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::operation::upload_part::UploadPartOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bench::S3Uri;
use bench::peer::PeerArgs;
use clap::Parser as _;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<()> {
    let args = PeerArgs::parse();
    let shared = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let config = Builder::from(&shared).force_path_style(true).build();
    let client = Client::from_conf(config);
    let S3Uri { bucket, key } = &args.object;
    let put_file = |path, key| {
        let request = client.put_object().bucket(bucket).key(key);
        async move {
            let body = ByteStream::from_path(path).await?;
            request.body(body).send().await?;
            Ok(())
        }
    };
    if args.put_folder(put_file).await? {
        return Ok(());
    }
    let mut source = args.open().await?;
    let created = client
        .create_multipart_upload()
        .bucket(bucket)
        .key(key)
        // The SDK's default for parts, which S3 refuses unless it is told here.
        .checksum_algorithm(ChecksumAlgorithm::Crc32)
        .send()
        .await?;
    let upload_id = created.upload_id.context("no upload id")?;

    let permits = Arc::new(Semaphore::new(args.concurrency));
    let mut tasks = JoinSet::new();
    for number in 1.. {
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let mut part = Vec::with_capacity(args.part_size);
        (&mut source)
            .take(args.part_size as u64)
            .read_to_end(&mut part)
            .await?;
        if part.is_empty() {
            break;
        }
        let request = client
            .upload_part()
            .bucket(bucket)
            .key(key)
            .upload_id(&upload_id)
            .part_number(number)
            .body(ByteStream::from(part));
        tasks.spawn(async move {
            let stored = request.send().await;
            drop(permit);
            stored.map(|stored| completed(number, stored))
        });
    }
    let mut parts = Vec::new();
    while let Some(part) = tasks.join_next().await {
        parts.push(part??);
    }
    parts.sort_by_key(CompletedPart::part_number);

    client
        .complete_multipart_upload()
        .bucket(bucket)
        .key(key)
        .upload_id(upload_id)
        .multipart_upload(
            CompletedMultipartUpload::builder()
                .set_parts(Some(parts))
                .build(),
        )
        .send()
        .await?;
    Ok(())
}

fn completed(number: i32, stored: UploadPartOutput) -> CompletedPart {
    CompletedPart::builder()
        .part_number(number)
        .set_e_tag(stored.e_tag)
        .set_checksum_crc32(stored.checksum_crc32)
        .build()
}
