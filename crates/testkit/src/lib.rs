//! What the tests and benchmarks of this workspace share.
//!
//! * `server` (feature `server`): a strict S3 server inside the process, with
//!   faults, throttles and a look behind the protocol.
//! * `network` (feature `server`): what lies between a client and a server, and goes wrong by
//!   seed.
//! * [`conformance`]: the suite that every backend runs.
//! * [`MemoryStore`]: the smallest backend that passes it.

pub mod conformance;
mod memory_store;
#[cfg(feature = "server")]
pub mod network;
#[cfg(feature = "server")]
pub mod server;

pub use memory_store::MemoryStore;
