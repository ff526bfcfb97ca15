//! Atomic, durable streaming writes of objects to a file system.
//!
//! An object is a regular file. Its bytes go to a *staging file* beside it while the producer
//! computes; `finish` syncs them, moves the file into its place in one step and syncs the
//! directory. So readers see the old object or the new one, whole, and what `finish` has
//! confirmed survives a power cut. A write that fails, is cancelled or dropped leaves nothing.
//!
//! ```text
//!  write_* ─▶ Intake (parts, memory budget) ─▶ worker, off the runtime's threads
//!                                                │ pwritev, copy_file_range, CRC64NVME
//!                                                ▼
//!  finish ──▶ fsync ─▶ rename | link ─▶ fsync the directory ─▶ receipt
//! ```
//!
//! ```
//! use backend_fs::FileSystemObjectStore;
//! use writer_core::{ObjectStore, ObjectWriter};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> writer_core::Result<()> {
//! # let directory = tempfile::tempdir()?;
//! # let uri = format!("file://{}/rows.csv", directory.path().display());
//! let store = FileSystemObjectStore::new()?;
//! let mut writer = store.create_writer(&uri, None).await?; // file:///data/rows.csv
//! writer.write_chunk(b"a,b\n").await?;
//! writer.write_owned(vec![b'1', b',', b'2', b'\n'].into()).await?;
//! let receipt = writer.finish().await?;
//! assert_eq!(receipt.size, 8);
//! store.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! What holds on disk in detail (names, modes, symbolic links, left-overs of a crash) is said at
//! [`FileSystemObjectStore`].

#![forbid(unsafe_code)]

mod condition;
mod config;
mod copy;
mod directory;
mod error;
mod lister;
mod metadata;
mod output;
mod path;
mod reader;
mod staging;
mod store;
mod sync;
mod target;
mod worker;
mod writer;

pub use store::FileSystemObjectStore;
pub use writer::FileSystemStreamingWriter;
