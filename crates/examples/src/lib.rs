//! Programs that point what they have at an [object writer](https://docs.rs/writer-core):
//!
//! | example | what writes |
//! |---|---|
//! | `tokio_copy` | `tokio::io::copy`, from a socket |
//! | `parquet_table` | `AsyncArrowWriter` of the crate `parquet` |
//! | `tar_archive` | the crate `tar`, on a thread |
//! | `http_upload` | an `axum` server, whose request bodies become objects |
//! | `sink` | a stream of the crate `futures` |
//!
//! One that reads, `read_lines`: the lines of a compressed object, and a range of it, by tokio.
//!
//! And one that is a backend of its own, `memory_store`: objects under `mem://`, written against
//! what the crates export, with the conformance suite that every backend runs.
//!
//! Each of the others takes the folder to write to, checks what it wrote with another reader, and says
//! so: `cargo run -p examples --example tar_archive -- /tmp/objects`.
