//! What the tests and benchmarks of this workspace share.
//!
//! * `server` (feature `server`): a strict S3 server inside the process, with
//!   faults, throttles and a look behind the protocol.

#[cfg(feature = "server")]
pub mod server;
