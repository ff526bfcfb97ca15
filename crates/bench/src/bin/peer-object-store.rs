//! `object_store`: a multipart upload of chunks that are read into memory, payloads unsigned, or
//! one PutObject for each file of a folder.

use anyhow::Result;
use bench::peer::PeerArgs;
use bytes::BytesMut;
use clap::Parser as _;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, WriteMultipart};
use tokio::fs;
use tokio::io::AsyncReadExt as _;

#[tokio::main]
async fn main() -> Result<()> {
    let args = PeerArgs::parse();
    let store = AmazonS3Builder::from_env()
        .with_bucket_name(&args.object.bucket)
        .with_allow_http(true)
        .with_unsigned_payload(true)
        .build()?;
    let put_file = |path, key: String| {
        let store = store.clone();
        async move {
            let bytes = fs::read(path).await?;
            store.put(&Path::parse(key)?, bytes.into()).await?;
            Ok(())
        }
    };
    if args.put_folder(put_file).await? {
        return Ok(());
    }
    let upload = store.put_multipart(&Path::parse(&args.object.key)?).await?;
    let mut writer = WriteMultipart::new_with_chunk_size(upload, args.part_size);
    let mut source = args.open().await?.take(0);
    loop {
        writer.wait_for_capacity(args.concurrency).await?;
        let mut part = BytesMut::with_capacity(args.part_size);
        source.set_limit(args.part_size as u64);
        while source.read_buf(&mut part).await? > 0 {}
        if part.is_empty() {
            break;
        }
        writer.put(part.freeze());
    }
    writer.finish().await?;
    Ok(())
}
