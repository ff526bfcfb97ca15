//! A compressed log, read line by line in constant memory, and its last bytes copied.

#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::sync::Arc;

use backend_fs::FileSystemObjectStore;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use writer_core::{ByteRange, Codec, ObjectStore};
use writer_tokio::{AsyncObjectReader, AsyncObjectWriter, ReadOptions, read_in_parts};

const LINES: usize = 100_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    run(folder()).await
}

/// Writes a log below `folder`, and reads it.
pub async fn run(folder: PathBuf) -> anyhow::Result<()> {
    let store = Arc::new(FileSystemObjectStore::new()?);
    let path = folder.join("log.zst");
    let uri = path.to_string_lossy();
    let mut output = AsyncObjectWriter::new(store.create_writer(&uri, None).await?);
    for number in 1..=LINES {
        output
            .write_all(format!("line {number}\n").as_bytes())
            .await?;
    }
    output.shutdown().await?;

    // Several requests at once; what they give comes in order.
    let options = ReadOptions::default();
    let stored = read_in_parts(store.clone(), &uri, ByteRange::Full, options).await?;
    let text = writer_tokio::decompress(stored, Codec::Zstd)?;
    let mut lines = AsyncObjectReader::new(text).lines();
    let mut count = 0;
    while let Some(line) = lines.next_line().await? {
        count += 1;
        assert_eq!(line, format!("line {count}"));
    }
    assert_eq!(count, LINES);
    println!("{uri}: {count} lines");

    // A range, to whatever can be written to.
    let stored = store.get(&uri, ByteRange::Last(64)).await?;
    let mut end = Vec::new();
    tokio::io::copy(&mut AsyncObjectReader::new(stored), &mut end).await?;
    assert!(tokio::fs::read(&path).await?.ends_with(&end));
    println!("of it, {} bytes were copied", end.len());
    Ok(())
}

fn folder() -> PathBuf {
    std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from)
}
