//! What every streaming object writer shares that needs a runtime.
//!
//! - [`MemoryBudget`]: the pages that all writers of one store share, and the order in which
//!   they get them while memory is short;
//! - [`Intake`]: from a producer's writes to parts that leave, within that budget. A backend
//!   gives it a [`PartSink`] and has `write_chunk`, `write_owned` and `reserve` with all that
//!   their contract promises.
//!
//! And what lets other code write to an [`ObjectWriter`](writer_core::ObjectWriter), or read:
//!
//! - [`AsyncObjectWriter`] is one as `AsyncWrite` (with the feature `futures` also as that of
//!   `futures::io`, and as a `Sink`), [`BlockingObjectWriter`] as [`std::io::Write`];
//! - [`copy_from`] and [`copy_file`] write what a reader or a file has, without a copy;
//! - [`AsyncObjectReader`] is an [`ObjectReader`](writer_core::ObjectReader) as `AsyncRead` and
//!   `AsyncBufRead` (with the feature `futures` also as those of `futures::io`, and as a `Stream`);
//! - [`decompress`] reads what was compressed, on its way ([`open_writer`]) or by others;
//! - [`read_in_parts`] reads an object by several requests at once.
//!
//! ```
//! use writer_core::{Codec, ObjectMetadata, ObjectStore, Result, WriterOptions};
//!
//! /// Stores what a socket, a pipe or a body gives, compressed.
//! async fn save(
//!     store: &dyn ObjectStore,
//!     mut input: impl tokio::io::AsyncRead + Unpin,
//! ) -> Result<ObjectMetadata> {
//!     let options = WriterOptions::default().with_codec(Codec::Zstd);
//!     let mut writer = store.create_writer("s3://bucket/log", Some(options)).await?;
//!     writer_tokio::copy_from(&mut input, &mut *writer).await?; // read into the store's pages
//!     writer.finish().await
//! }
//! ```
//!
//! For what surrounds the bytes, [`guess_content_type`] tells a media type by an object's name
//! (feature `mime`), and `Receipt` writes down what is known of an object (feature `serde`).
//!
//! ```text
//!  write_chunk ──▶ Intake ──▶ PartSplitter ──▶ LeavingPart ──▶ PartSink (the backend)
//!                    │ ▲                            │
//!              page? │ │ page                       │ dropped when it is stored
//!                    ▼ │                            ▼
//!                 MemoryBudget ◀──────── pages, and the right to wait for them
//! ```
//!
//! Runs on the ambient tokio runtime, which must have its timer enabled
//! (`#[tokio::main]` has, `Builder::enable_all` does).

mod adapters;
mod budget;
mod cleanup;
mod compress;
mod decompress;
mod intake;
mod media_type;
mod page;
mod pool;
mod ranges;
#[cfg(feature = "serde")]
mod receipt;
mod sources;

pub use adapters::{
    AsyncObjectReader, AsyncObjectWriter, BlockingObjectWriter, copy_file, copy_from,
    copy_from_with,
};
pub use budget::{Account, Call, InFlight, MemoryBudget, OpenPart, PAGE_SIZE};
pub use cleanup::{CleanUp, CleanUps};
pub use compress::open_writer;
pub use decompress::{ZSTD_WINDOW_LOG, decompress, decompress_within};
pub use intake::{Intake, LeavingPart, PartSink};
#[cfg(feature = "mime")]
pub use media_type::content_type_of;
pub use media_type::guess_content_type;
pub use ranges::{ReadOptions, read_in_parts};
#[cfg(feature = "serde")]
pub use receipt::Receipt;
pub use sources::Sources;
pub use writer_core::Codec;
