//! Every rule of the test server, each over a real socket.

#![cfg(feature = "server")]
// In a test, to panic is to report.
#![allow(clippy::unwrap_used)]

mod access;
mod conditions;
mod counters;
mod dev_s3;
mod discard;
mod faults;
mod integrity;
mod lists;
mod load;
mod multipart;
mod objects;
mod observed;
mod support;
mod throttle;
mod tls;
