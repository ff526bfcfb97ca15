//! Reading file ranges off the runtime's threads.

use std::fs::File;
use std::io;
use std::mem;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use tokio::task;
use writer_core::{Error, ErrorKind, FileRange, Result};

/// Most bytes that are read at once.
const READ_SIZE: usize = 256 * 1024;

/// Bytes of a file that were read and are not used yet, in a buffer that is kept for the next.
#[derive(Default)]
pub(super) struct Lookahead {
    buffer: Vec<u8>,
    unused: Range<usize>,
}

impl Lookahead {
    pub(super) fn unused(&self) -> &[u8] {
        &self.buffer[self.unused.clone()]
    }

    pub(super) fn use_up(&mut self, bytes: usize) {
        self.unused.start += bytes;
    }

    /// Reads the beginning of `range` in place of what is there, and says how much it read: at
    /// least one byte, unless the range is empty.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SourceChanged`] if the file ends before the range does, or an I/O error.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub(super) async fn read(&mut self, range: &FileRange) -> Result<u64> {
        let mut buffer = mem::take(&mut self.buffer);
        self.unused = 0..0;
        // Never shorter than it is already, so that it is filled with zeros once.
        let len = clamp(range.len(), READ_SIZE);
        buffer.resize(buffer.len().max(len), 0);
        let (buffer, read) = read_off_thread(range, buffer, len).await?;
        self.buffer = buffer;
        self.unused = 0..read;
        Ok(read as u64)
    }
}

/// The first bytes of `range`, up to `most`.
///
/// # Errors
///
/// As [`Lookahead::read`].
pub(super) async fn first_bytes(range: &FileRange, most: usize) -> Result<Vec<u8>> {
    let len = clamp(range.len(), most);
    let (mut buffer, read) = read_off_thread(range, vec![0; len], len).await?;
    buffer.truncate(read);
    Ok(buffer)
}

async fn read_off_thread(
    range: &FileRange,
    mut buffer: Vec<u8>,
    len: usize,
) -> Result<(Vec<u8>, usize)> {
    let range = range.clone();
    let read = task::spawn_blocking(move || {
        let read = read_at(range.file(), &mut buffer[..len], range.offset())?;
        if read < len {
            let at = range.offset() + read as u64;
            return Err(Error::new(
                ErrorKind::SourceChanged,
                format!(
                    "the file ends at byte {at}, but byte {} of it was to be written: it was \
                     truncated meanwhile",
                    range.offset() + range.len()
                ),
            ));
        }
        Ok((buffer, read))
    });
    read.await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Interrupted, "the runtime shuts down").with_source(error))
    })
}

/// Fills `buffer`, as far as the file has bytes.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

fn clamp(len: u64, most: usize) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX).min(most)
}
