//! Streaming writes of objects: the traits, the options and the part-splitting logic.
//!
//! This crate has no dependency and does no I/O. It holds every decision that needs neither a
//! clock nor a runtime: what a producer may hand over, how large each part is, where a part ends,
//! what an error means. The backends (`backend-s3`, `backend-fs`) do the rest.
//!
//! ```text
//!  producer                    this crate                            backend
//!
//!  write_chunk(&[u8]) ─ copy ┐              PartPlan: how large?
//!                            ├─▶ Segment ─▶ PartSplitter ─▶ Part ─▶  S3: PutObject, or
//!  write_owned(Segment) ─────┘   bytes or   cuts, never     a rope       UploadPart × n
//!                                file range copies              └─▶  file: write, sync, rename
//!
//!  finish() ◀──────────────────── ObjectMetadata, the receipt ◀─────┘
//! ```
//!
//! A program takes a backend's store and writes through the traits:
//!
//! ```
//! use writer_core::{ObjectMetadata, ObjectStore, Result, WriterOptions};
//!
//! async fn save(store: &dyn ObjectStore, rows: &[Vec<u8>]) -> Result<ObjectMetadata> {
//!     let options = WriterOptions::default().with_content_type("text/csv");
//!     let mut writer = store.create_writer("s3://bucket/rows.csv", Some(options)).await?;
//!     for row in rows {
//!         writer.write_chunk(row).await?; // full parts leave while the loop goes on
//!     }
//!     writer.finish().await // visible and durable when this returns, not before
//! }
//! ```
//!
//! A backend implements the traits with `#[async_trait]` and plain `async fn`s; see [`BoxFuture`].

#![forbid(unsafe_code)]

mod attributes;
mod codec;
mod crc64;
mod error;
mod fields;
mod metadata;
mod observer;
mod options;
mod page;
mod part;
mod plan;
mod segment;
mod splitter;
mod store;
mod uri;
mod writer;

// What a producer uses.
pub use codec::Codec;
pub use error::{Error, ErrorKind, Result};
pub use fields::Field;
pub use metadata::{Condition, Crc64Nvme, ObjectMetadata};
pub use observer::{Event, EventKind, Observer, ObserverHandle, Step};
pub use options::{IfExists, WriterOptions};
pub use segment::{FileRange, Segment, SharedBytes};
pub use store::{ByteRange, ObjectLister, ObjectReader, ObjectStore};
pub use uri::{file_path, split_scheme};
pub use writer::ObjectWriter;

// What a backend uses besides.
pub use attributes::{decode_tags, encode_tags};
pub use observer::Reporter;
pub use options::number_from_env;
pub use page::{HeapPage, Page};
pub use part::Part;
pub use plan::{PartLimits, PartPlan, PartSizing};
pub use splitter::{COPY_THRESHOLD, PartSplitter};
pub use writer::BoxFuture;
