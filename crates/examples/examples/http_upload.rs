//! An HTTP server whose request bodies become objects, in constant memory.

#![allow(clippy::print_stdout)]

use std::path::{Component, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::put;
use backend_fs::FileSystemObjectStore;
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use writer_core::{Error, ErrorKind, ObjectStore, Result};

/// One upload is as large as the whole budget, four times over.
const MEMORY: u64 = 4 << 20;
const UPLOAD: usize = 16 << 20;

struct App {
    store: FileSystemObjectStore,
    folder: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    run(folder()).await
}

/// Serves uploads to `folder`, makes one, and reads it.
pub async fn run(folder: PathBuf) -> anyhow::Result<()> {
    let store = FileSystemObjectStore::with_memory(MEMORY)?;
    let app = Arc::new(App {
        store,
        folder: folder.clone(),
    });
    let router = Router::new().route("/{name}", put(upload)).with_state(app);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });

    let mut client = TcpStream::connect(address).await?;
    let head = format!(
        "PUT /upload HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: {UPLOAD}\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await?;
    client.write_all(&vec![42; UPLOAD]).await?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await?;

    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert_eq!(
        tokio::fs::read(folder.join("upload")).await?,
        vec![42; UPLOAD]
    );
    println!("{answer}");

    let mut client = TcpStream::connect(address).await?;
    let head = "PUT /..%2Foutside HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    client.write_all(head.as_bytes()).await?;
    answer.clear();
    client.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    Ok(())
}

async fn upload(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    body: Body,
) -> (StatusCode, String) {
    match store(&app, &name, body).await {
        Ok(size) => (StatusCode::CREATED, format!("{size} bytes\n")),
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            (StatusCode::BAD_REQUEST, error.to_string())
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Frames of the body are written as they are; while the disk is behind, the client waits. A body
/// that is cut off is an error, and nothing is stored.
async fn store(app: &App, name: &str, body: Body) -> Result<u64> {
    // `..` and absolute paths lead out of the folder, and come decoded.
    let mut parts = std::path::Path::new(name).components();
    if !matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    ) {
        let text = "the name of an upload is that of a file";
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    let path = app.folder.join(name);
    let mut writer = app
        .store
        .create_writer(&path.to_string_lossy(), None)
        .await?;
    let mut frames = body.into_data_stream();
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(std::io::Error::other)?;
        writer.write_owned(frame.into()).await?;
    }
    Ok(writer.finish().await?.size)
}

fn folder() -> PathBuf {
    std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from)
}
