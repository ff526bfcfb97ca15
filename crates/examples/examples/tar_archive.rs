//! A tar archive, made by a thread that blocks.

#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::process::Command;

use backend_fs::FileSystemObjectStore;
use tokio::runtime::Handle;
use writer_core::ObjectStore;
use writer_tokio::BlockingObjectWriter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    run(folder()).await
}

/// Archives the sources of this crate below `folder`, and has the program `tar` compare.
pub async fn run(folder: PathBuf) -> anyhow::Result<()> {
    let store = FileSystemObjectStore::new()?;
    let path = folder.join("sources.tar");
    let writer = store.create_writer(&path.to_string_lossy(), None).await?;
    let output = BlockingObjectWriter::new(writer, Handle::current());
    let archived = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let mut archive = tar::Builder::new(output);
        archive.append_dir_all("examples", env!("CARGO_MANIFEST_DIR"))?;
        let output = archive.into_inner()?; // the end of the archive
        Ok(output.finish()?) // and of the object
    });
    let receipt = archived.await??;

    let sources = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let compared = Command::new("tar")
        .arg("--compare")
        .arg("--file")
        .arg(&path)
        .current_dir(sources.join(".."))
        .status()?;
    assert!(compared.success(), "{compared}");
    println!("{}: {} bytes", path.display(), receipt.size);
    Ok(())
}

fn folder() -> PathBuf {
    std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from)
}
