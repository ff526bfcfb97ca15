//! What the tests and benchmarks of this workspace share.
//!
//! * `server` (feature `server`): a strict S3 server inside the process, with
//!   faults, throttles and a look behind the protocol.
//! * `network` (feature `server`): what lies between a client and a server, and goes wrong by
//!   seed.
//! * [`conformance`]: the suite that every backend runs.
//! * [`MemoryStore`]: the smallest backend that passes it.
//!
//! A backend runs the whole suite in one go, or as a test for each check
//! ([`conformance_tests!`]):
//!
//! ```no_run
//! use std::sync::Arc;
//! use testkit::{MemoryStore, conformance::{self, Subject}};
//!
//! # #[tokio::main] async fn main() {
//! let store = Arc::new(MemoryStore::new()); // or the backend to be tried
//! let subject = Subject::new(store, "memory://suite/", 64 * 1024);
//! let report = conformance::run(&subject).await; // panics with all that is wrong
//! println!("{report}");
//! # }
//! ```

pub mod conformance;
mod memory_store;
#[cfg(feature = "server")]
pub mod network;
#[cfg(feature = "server")]
pub mod server;

pub use memory_store::MemoryStore;
