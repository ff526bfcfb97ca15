//! Writes what comes on standard input to a file: `write <uri>`.

use std::io::{self, Read};

use backend_fs::FileSystemObjectStore;
use tokio::task;
use writer_core::ObjectStore;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let uri = std::env::args().nth(1).ok_or("usage: write <uri>")?;
    let store = FileSystemObjectStore::new()?;
    let mut writer = store.create_writer(&uri, None).await?;
    let mut page = writer.reserve(1).await?; // memory of the store's budget
    loop {
        match task::block_in_place(|| io::stdin().read(page.spare_mut()))? {
            0 => break,
            read => writer.write_owned(page.split(read)).await?, // and no second copy
        }
        if page.spare_len() == 0 {
            page = writer.reserve(1).await?;
        }
    }
    writer.finish().await?; // visible and durable now
    Ok(store.close().await?)
}
