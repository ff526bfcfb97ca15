//! The workloads of the Criterion benches, as a library, so that other programs can run them, and
//! what the programs beside them have in common.

#![forbid(unsafe_code)]

mod discard;
#[cfg(feature = "peers")]
pub mod peer;
mod s3_uri;

pub use discard::DiscardWriter;
pub use s3_uri::S3Uri;

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use writer_core::{ObjectMetadata, ObjectStore, Segment, WriterOptions};

/// One mebibyte, in bytes.
pub const MIB: usize = 1 << 20;

/// How an object is handed to its writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `write_chunk` with slices of this many bytes.
    Borrowed(usize),
    /// `write_owned` with segments of this many bytes.
    Owned(usize),
    /// `write_owned` with one range of a file.
    File,
    /// `put`, with all of the bytes in memory.
    Buffered,
}

/// `len` bytes that no compressor can shrink, the same every time.
#[must_use]
pub fn random(len: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        // xorshift64*: fast, and random enough.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
    });
    let mut data: Vec<u8> = words.take(len.div_ceil(8)).flatten().collect();
    data.truncate(len);
    data.into()
}

/// A temporary file with `data` in it.
///
/// # Errors
///
/// If it can't be written.
pub fn file_of(data: &[u8]) -> Result<Arc<File>> {
    let mut file = tempfile::tempfile()?;
    file.write_all(data)?;
    Ok(Arc::new(file))
}

/// Writes one object of `data` to `uri`; `file` holds the same bytes.
///
/// # Errors
///
/// What the store says.
pub async fn write(
    store: &dyn ObjectStore,
    uri: &str,
    source: Source,
    data: &Bytes,
    file: &Arc<File>,
    options: WriterOptions,
) -> Result<ObjectMetadata> {
    if source == Source::Buffered {
        return Ok(store.put(uri, data.clone().into()).await?);
    }
    let mut writer = store.create_writer(uri, Some(options)).await?;
    match source {
        Source::Borrowed(size) => {
            for chunk in data.chunks(size) {
                writer.write_chunk(chunk).await?;
            }
        }
        Source::Owned(size) => {
            let mut rest = data.clone();
            while !rest.is_empty() {
                let chunk = rest.split_to(size.min(rest.len()));
                writer.write_owned(chunk.into()).await?;
            }
        }
        Source::File => {
            let range = 0..data.len() as u64;
            writer
                .write_owned(Segment::file(Arc::clone(file), range))
                .await?;
        }
        Source::Buffered => {}
    }
    Ok(writer.finish().await?)
}

/// A producer that makes 1 MiB in each `pace`: a simulation, an encoder, a database dump.
#[derive(Clone, Debug)]
pub struct Producer {
    /// What it makes.
    pub data: Bytes,
    /// How long it takes for each mebibyte.
    pub pace: Duration,
}

impl Producer {
    /// Ticks when a piece is made: at a pace, whatever a single wait takes.
    fn clock(&self) -> Interval {
        let first = Instant::now() + self.pace;
        let mut clock = interval_at(first, self.pace);
        clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
        clock
    }

    fn pieces(&self) -> impl Iterator<Item = Bytes> + use<> {
        let mut rest = self.data.clone();
        std::iter::from_fn(move || {
            let len = MIB.min(rest.len());
            (len > 0).then(|| rest.split_to(len))
        })
    }

    /// Writes each piece as it is made.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn stream(
        &self,
        store: &dyn ObjectStore,
        uri: &str,
        options: WriterOptions,
    ) -> Result<ObjectMetadata> {
        let mut writer = store.create_writer(uri, Some(options)).await?;
        let mut clock = self.clock();
        for piece in self.pieces() {
            clock.tick().await;
            writer.write_owned(piece.into()).await?;
        }
        Ok(writer.finish().await?)
    }

    /// Makes everything first, and then stores it, with the same parts and concurrency.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn buffer(
        &self,
        store: &dyn ObjectStore,
        uri: &str,
        options: WriterOptions,
    ) -> Result<ObjectMetadata> {
        let mut buffer = Vec::with_capacity(self.data.len());
        let mut clock = self.clock();
        for piece in self.pieces() {
            clock.tick().await;
            buffer.extend_from_slice(&piece);
        }
        let options = options.with_expected_size(buffer.len() as u64);
        let mut writer = store.create_writer(uri, Some(options)).await?;
        writer.write_owned(buffer.into()).await?;
        Ok(writer.finish().await?)
    }
}
