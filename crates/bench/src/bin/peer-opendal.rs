//! `opendal`: its writer with chunks of the part size, fed with what is read into memory, or one
//! write for each file of a folder.

use anyhow::Result;
use bench::peer::PeerArgs;
use bytes::BytesMut;
use clap::Parser as _;
use opendal::Operator;
use opendal::services::S3;
use tokio::fs;
use tokio::io::AsyncReadExt as _;

#[tokio::main]
async fn main() -> Result<()> {
    let args = PeerArgs::parse();
    opendal::install_default();
    // Path style, endpoint, region and credentials of the environment are its defaults.
    let operator = Operator::new(S3::default().bucket(&args.object.bucket))?;
    let put_file = |path, key: String| {
        let operator = operator.clone();
        async move {
            let bytes = fs::read(path).await?;
            operator.write(&key, bytes).await?;
            Ok(())
        }
    };
    if args.put_folder(put_file).await? {
        return Ok(());
    }
    let mut writer = operator
        .writer_with(&args.object.key)
        .chunk(args.part_size)
        .concurrent(args.concurrency)
        .await?;
    let mut source = args.open().await?.take(0);
    loop {
        let mut part = BytesMut::with_capacity(args.part_size);
        source.set_limit(args.part_size as u64);
        while source.read_buf(&mut part).await? > 0 {}
        if part.is_empty() {
            break;
        }
        writer.write(part.freeze()).await?;
    }
    writer.close().await?;
    Ok(())
}
