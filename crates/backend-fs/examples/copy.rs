//! Copies a file without reading it, unless for its checksum: `copy <from> <uri> [no-checksum]`.

use std::fs::File;
use std::sync::Arc;

use backend_fs::FileSystemObjectStore;
use writer_core::{ObjectStore, Segment, WriterOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (from, uri) = match args.as_slice() {
        [from, uri, ..] => (from, uri),
        _ => return Err("usage: copy <from> <uri> [no-checksum]".into()),
    };
    let file = Arc::new(File::open(from)?);
    let size = file.metadata()?.len();
    let options = WriterOptions::default()
        .with_expected_size(size)
        .with_checksums(args.len() < 3);
    let store = FileSystemObjectStore::new()?;
    let mut writer = store.create_writer(uri, Some(options)).await?;
    writer.write_owned(Segment::file(file, 0..size)).await?;
    writer.finish().await?;
    Ok(store.close().await?)
}
