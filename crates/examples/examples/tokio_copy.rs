//! What comes over a socket becomes an object.

#![allow(clippy::print_stdout)]

use std::path::PathBuf;

use backend_fs::FileSystemObjectStore;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use writer_core::ObjectStore;
use writer_tokio::AsyncObjectWriter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    run(folder()).await
}

/// Receives 10 MB and stores them below `folder`.
pub async fn run(folder: PathBuf) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let sender = tokio::spawn(async move {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(&vec![7; 10_000_000]).await?;
        socket.shutdown().await
    });

    let store = FileSystemObjectStore::new()?;
    let path = folder.join("received");
    let uri = path.to_string_lossy();
    let mut output = AsyncObjectWriter::new(store.create_writer(&uri, None).await?);
    let (mut input, _) = listener.accept().await?;
    tokio::io::copy(&mut input, &mut output).await?;
    output.shutdown().await?; // visible from here on
    sender.await??;

    assert_eq!(tokio::fs::read(&path).await?, vec![7; 10_000_000]);
    let size = output.receipt().map(|receipt| receipt.size);
    println!("{uri}: {size:?} bytes");
    Ok(())
}

fn folder() -> PathBuf {
    std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from)
}
