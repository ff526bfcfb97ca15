//! A stream of buffers, forwarded to an object without a copy.

#![allow(clippy::print_stdout)]

use std::path::PathBuf;

use backend_fs::FileSystemObjectStore;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use writer_core::{Error, ObjectStore};
use writer_tokio::AsyncObjectWriter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    run(folder()).await
}

/// Stores a stream of a hundred buffers below `folder`.
pub async fn run(folder: PathBuf) -> anyhow::Result<()> {
    let store = FileSystemObjectStore::new()?;
    let path = folder.join("stream");
    let output = AsyncObjectWriter::new(store.create_writer(&path.to_string_lossy(), None).await?);

    let buffers = stream::iter(0..100u8).map(|n| Ok::<_, Error>(Bytes::from(vec![n; 50_000])));
    buffers.forward(output).await?; // closes the sink, which finishes the object

    let stored = tokio::fs::read(&path).await?;
    assert_eq!(stored.len(), 5_000_000);
    assert!(
        stored
            .chunks(50_000)
            .zip(0..)
            .all(|(chunk, n)| chunk.iter().all(|b| *b == n))
    );
    println!("{}: {} bytes", path.display(), stored.len());
    Ok(())
}

fn folder() -> PathBuf {
    std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from)
}
