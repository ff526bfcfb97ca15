//! [`std::io::Write`] over an object writer.

use std::fmt;
use std::io::{self, Write};

use tokio::runtime::Handle;
use writer_core::{ObjectMetadata, ObjectWriter, Result};

use super::async_write::closed;
use super::filling::Filling;
use crate::PAGE_SIZE;

/// An object writer as [`Write`], for threads that block: `tar`, `zip`, `serde_json`, whatever
/// knows nothing of tasks.
///
/// The object is there after [`finish`](Self::finish), and not before: one that is dropped stores
/// nothing. Bytes are copied once, into a page of the store's budget; `flush` hands on what there
/// is, and does not wait until it is stored.
///
/// Errors are [`io::Error`]s that hold a [`writer_core::Error`]; its `from` gets it back.
///
/// ```no_run
/// use std::io::Write;
/// use writer_tokio::BlockingObjectWriter;
///
/// # async fn example(writer: Box<dyn writer_core::ObjectWriter>) -> writer_core::Result<()> {
/// let mut output = BlockingObjectWriter::new(writer, tokio::runtime::Handle::current());
/// let stored = tokio::task::spawn_blocking(move || {
///     writeln!(output, "from a thread")?;
///     output.finish()
/// });
/// # let _ = stored;
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// All methods panic in a task, as [`Handle::block_on`] does: they are for threads that the
/// runtime does not run tasks on.
pub struct BlockingObjectWriter {
    runtime: Handle,
    /// `None` once a call has panicked or the writer has ended.
    writer: Option<Box<dyn ObjectWriter>>,
    filling: Filling,
}

impl BlockingObjectWriter {
    /// Writes to `writer`, whose calls run on `runtime`.
    #[must_use]
    pub fn new(writer: Box<dyn ObjectWriter>, runtime: Handle) -> Self {
        Self {
            runtime,
            writer: Some(writer),
            filling: Filling::default(),
        }
    }

    /// Stores what is left, waits for what is in flight, and makes the object visible.
    ///
    /// # Errors
    ///
    /// As [`ObjectWriter::finish`].
    pub fn finish(mut self) -> Result<ObjectMetadata> {
        self.push()?;
        self.filling.clear();
        let writer = self.writer.take().ok_or_else(closed)?;
        self.runtime.block_on(writer.finish())
    }

    /// Stops, and removes what was stored so far.
    ///
    /// # Errors
    ///
    /// As [`ObjectWriter::cancel`].
    pub fn cancel(mut self) -> Result<()> {
        self.filling.clear();
        match self.writer.take() {
            Some(writer) => self.runtime.block_on(writer.cancel()),
            None => Ok(()),
        }
    }

    fn push(&mut self) -> Result<()> {
        let Some(segment) = self.filling.take() else {
            return Ok(());
        };
        let writer = self.writer.as_mut().ok_or_else(closed)?;
        self.runtime.block_on(writer.write_owned(segment))
    }

    fn copy(&mut self, bytes: &[u8]) -> Result<usize> {
        if self.filling.needs_page() && !bytes.is_empty() {
            let writer = self.writer.as_mut().ok_or_else(closed)?;
            let page = self.runtime.block_on(writer.reserve(PAGE_SIZE))?;
            self.filling.lend(page);
        }
        let taken = self.filling.fill(bytes);
        if self.filling.is_full() {
            self.push()?;
        }
        Ok(taken)
    }
}

impl Write for BlockingObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.copy(bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(self.push()?)
    }
}

impl fmt::Debug for BlockingObjectWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingObjectWriter")
            .field("writer", &self.writer)
            .finish_non_exhaustive()
    }
}
