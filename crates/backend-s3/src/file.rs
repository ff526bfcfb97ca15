//! Reading the ranges of files that are sent.

use std::io;
use std::num::NonZero;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::fs::Advice;
use rustix::io::ReadWriteFlags;
use tokio::task::JoinHandle;
use writer_core::{Error, ErrorKind, FileRange, Result};

use crate::error::shut_down;

/// Bytes that are read at once where the page cache does not have them. A connection holds them
/// until they are sent.
const COLD_READ: u64 = 64 * 1024;

/// Bytes that the kernel is asked to fetch at once. The parts of one file are read side by side,
/// which the kernel's own read-ahead takes for random access.
pub(crate) const READ_AHEAD: u64 = 1024 * 1024;

/// Fills `buffer` from `range` with what the page cache has, without waiting for a disk; 0 if
/// that is nothing.
pub(crate) fn read_cached(range: &FileRange, buffer: &mut [u8]) -> usize {
    let len = usize::try_from(range.len()).unwrap_or(usize::MAX);
    let len = len.min(buffer.len());
    let target = &mut [io::IoSliceMut::new(&mut buffer[..len])];
    // What is wrong, if anything is, comes out when the disk is read.
    rustix::io::preadv2(range.file(), target, range.offset(), ReadWriteFlags::NOWAIT).unwrap_or(0)
}

/// A read that waits for the disk, on a thread that may.
#[derive(Debug)]
pub(crate) struct Reading(JoinHandle<Result<Vec<u8>>>);

impl Reading {
    /// Reads the first bytes of `range`, up to 64 KiB.
    pub(crate) fn begin(range: FileRange) -> Self {
        Self(tokio::task::spawn_blocking(move || read_cold(range)))
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>>> {
        let read = Pin::new(&mut self.0).poll(cx);
        read.map(|read| read.unwrap_or_else(|error| Err(shut_down(error))))
    }
}

fn read_cold(range: FileRange) -> Result<Vec<u8>> {
    read_ahead(&range, range.offset());
    let len = range.len().min(COLD_READ);
    let mut buffer = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    match range.file().read_exact_at(&mut buffer, range.offset()) {
        Ok(()) => Ok(buffer),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let end = range.file().metadata().map_or(0, |metadata| metadata.len());
            let missing = (range.offset() + range.len()).saturating_sub(end);
            Err(ended_early(end, missing))
        }
        Err(error) => Err(error.into()),
    }
}

/// Asks the kernel to fetch what comes from `offset` on, on a thread that may wait for it, and does
/// not wait itself.
pub(crate) fn prefetch(range: FileRange, offset: u64) {
    // Dropping the handle leaves the task to itself.
    drop(tokio::task::spawn_blocking(move || {
        read_ahead(&range, offset);
    }));
}

fn read_ahead(range: &FileRange, offset: u64) {
    let end = range.offset() + range.len();
    let len = READ_AHEAD.min(end.saturating_sub(offset));
    // No length would mean the rest of the file.
    if let Some(len) = NonZero::new(len) {
        // Only advice: some file systems do not take it.
        let _ignored = rustix::fs::fadvise(range.file(), offset, Some(len), Advice::WillNeed);
    }
}

/// Reads all of `range` through `buffer`, waiting for the disk.
pub(crate) fn read_all(
    range: &FileRange,
    buffer: &mut [u8],
    each: &mut impl FnMut(&[u8]),
) -> Result<()> {
    let (mut offset, mut left) = (range.offset(), range.len());
    while left > 0 {
        let want = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        match range.file().read_at(&mut buffer[..want], offset) {
            Ok(0) => return Err(ended_early(offset, left)),
            Ok(n) => {
                each(&buffer[..n]);
                offset += n as u64;
                left -= n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A file that has become shorter than the range that is being sent.
fn ended_early(offset: u64, missing: u64) -> Error {
    Error::new(
        ErrorKind::SourceChanged,
        format!(
            "the file ends at byte {offset}, {missing} bytes before the end of what was to be \
             written: it was truncated meanwhile"
        ),
    )
}
