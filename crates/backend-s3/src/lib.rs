//! Streaming multipart writes of objects to S3, in constant memory.
//!
//! Full parts are sent while the producer goes on, each in a task of its own; what does not fill
//! one part is a single PutObject. Every part and the whole object are checked by CRC64NVME. An
//! upload that fails, is cancelled or is dropped is aborted.
//!
//! ```no_run
//! use backend_s3::{S3Config, S3ObjectStore};
//! use writer_core::ObjectStore;
//!
//! # async fn example(rows: Vec<Vec<u8>>) -> writer_core::Result<()> {
//! let store = S3ObjectStore::connect(S3Config::default()).await?;
//! let mut writer = store.create_writer("s3://bucket/rows.csv", None).await?;
//! for row in rows {
//!     writer.write_owned(row.into()).await?;
//! }
//! let receipt = writer.finish().await?;
//! println!("{} bytes, ETag {:?}", receipt.size, receipt.e_tag);
//! store.close().await // waits for the clean-up of writers that were dropped
//! # }
//! ```
//!
//! An object is read as it comes, here as `AsyncRead`:
//!
//! ```no_run
//! use backend_s3::{S3Config, S3ObjectStore};
//! use writer_core::{ByteRange, ObjectStore};
//! use writer_tokio::AsyncObjectReader;
//!
//! # async fn example(mut output: impl tokio::io::AsyncWrite + Unpin) -> std::io::Result<()> {
//! # let store = S3ObjectStore::connect(S3Config::default()).await?;
//! let stored = store.get("s3://bucket/checkpoint", ByteRange::Full).await?;
//! let mut input = AsyncObjectReader::new(stored); // of writer-tokio
//! tokio::io::copy(&mut input, &mut output).await?; // what breaks off is an error, not an end
//! # Ok(())
//! # }
//! ```
//!
//! Below the traits lies [`StreamingMultipartSink`], for programs that want a bucket and a key
//! rather than a URI, or to decide when parts leave.

#![forbid(unsafe_code)]

mod api;
mod body;
mod checks;
mod config;
mod connect;
mod context;
mod create;
mod digest;
mod error;
mod file;
mod headers;
mod http;
mod lanes;
mod lister;
mod location;
mod part;
mod probe;
mod profile;
mod protection;
mod publish;
mod rate;
mod reader;
mod resume;
mod retry;
mod shared_profile;
mod sink;
mod store;
mod stragglers;
mod upload;
mod uploads;
mod watch;
mod writer;

pub use config::{PayloadSigning, S3Config};
pub use location::key_len;
pub use probe::{Finding, Probe};
pub use profile::{Conditions, ServiceProfile};
pub use protection::{Encryption, KmsKey};
pub use resume::Resume;
pub use retry::RetryPolicy;
pub use sink::{MultipartCompleteInfo, MultipartUploadConfig, StreamingMultipartSink};
pub use store::S3ObjectStore;
pub use uploads::{PendingPart, PendingUpload};
pub use writer::S3StreamingWriter;
