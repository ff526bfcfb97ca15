//! An S3 server inside the process, as strict as AWS, for tests and benchmarks.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use testkit::server::{Fault, TestServer};
//!
//! let server = TestServer::builder()
//!     .bucket("test")
//!     .min_part_size(64 * 1024)
//!     .start()
//!     .await?;
//! // Point a client at `server.endpoint()`, path style, with
//! // `server.access_key()`, `server.secret_key()` and `server.region()`.
//!
//! // The second part is refused twice before it is taken.
//! let refused = server.inject(Fault::on("UploadPart").part(2).times(2).respond(503, "SlowDown"));
//!
//! // … upload something …
//!
//! assert_eq!(refused.count(), 2);
//! assert!(server.uploads().is_empty(), "nothing is left behind");
//! let object = server.object("key").expect("stored");
//! assert_eq!(object.size, 5);
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! How a request travels:
//!
//! ```text
//!  socket ── throttle ── (TLS) ──▶ hyper ──▶ service: log, fault, load, body tap
//!                                      │
//!                                      ▼
//!                                   s3s: signature, aws-chunked, XML
//!                                      │
//!                                      ▼
//!                                   api: one file per group of operations
//!                                      │      (receive: hashes frame by frame)
//!                                      ▼
//!                                   store: buckets, objects, uploads; one lock,
//!                                          so conditions and commits are atomic
//!                                      │
//!  socket ◀── hold, latency ◀── reply ─┘
//! ```
//!
//! `GET /-/stats`, without a signature, is answered with [`Stats`] as JSON, for
//! a process that has no handle of the server. Such requests are neither counted
//! nor logged nor kept back; the connections they come over count.
//!
//! What the server insists on is what AWS documents (and, where the
//! documentation is silent, what its service is known to answer): see the tests
//! in `tests/`, one for each rule.
//!
//! # Not covered
//!
//! Versions, object lock, changing tags and ACLs, `UploadPartCopy`,
//! `GetObjectAttributes`, POST forms, virtual-host addressing, HTTP/2.

mod access;
mod api;
mod body;
mod builder;
mod checksum;
mod counters;
mod fault;
mod handle;
mod hold;
mod late;
mod load;
mod net;
mod object;
mod operation;
mod receive;
mod record;
mod service;
mod shared;
mod socket;
mod store;
mod throttle;
mod tls;

pub use builder::{Builder, ETags, Unasked};
pub use checksum::{Algorithm, ChecksumKind, ObjectChecksum};
pub use fault::{Fault, InjectedFault};
pub use handle::TestServer;
pub use hold::Hold;
pub use object::{Attributes, PendingPart, PendingUpload, StoredObject};
pub use operation::OPERATIONS;
pub use record::{RequestRecord, Stats};
