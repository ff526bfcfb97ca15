//! The trait that a producer writes to.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::{ObjectMetadata, Page, Result, Segment};

/// A boxed future that can move between threads.
///
/// The traits of this crate return it in exactly the form that `#[async_trait]` expands to, so a
/// backend writes `#[async_trait] impl ObjectWriter for …` with plain `async fn`s.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Writes one object, as its bytes come.
///
/// The object becomes visible when [`finish`](Self::finish) succeeds, and only then; until then
/// readers see the old object, or none. A writer that is dropped, cancelled or that failed
/// leaves the old object as it was. Full parts are stored while the producer goes on; a write
/// waits only when the store's memory budget is used up.
///
/// The first part that fails for good fails the next write. Any error of a write (but that of a
/// [`reserve`](Self::reserve) larger than the budget) latches: every later call gives it again,
/// and nothing is published.
pub trait ObjectWriter: Send {
    /// Copies `chunk` (once) and writes it.
    ///
    /// # Errors
    ///
    /// Whatever failed first: an earlier part, a limit, the budget.
    ///
    /// # Cancellation
    ///
    /// A call that is dropped after it took some of the bytes leaves the writer
    /// [`Interrupted`](crate::ErrorKind::Interrupted): every later call, `finish` among them,
    /// fails, because nobody knows where to go on.
    fn write_chunk<'life0, 'life1, 'async_trait>(
        &'life0 mut self,
        chunk: &'life1 [u8],
    ) -> BoxFuture<'async_trait, Result<()>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait;

    /// Writes `segment` without copying it, whatever its length and alignment. (Segments of up to
    /// [`COPY_THRESHOLD`](crate::COPY_THRESHOLD) bytes are copied, which is cheaper than to keep
    /// track of them.)
    ///
    /// # Errors
    ///
    /// As [`write_chunk`](Self::write_chunk);
    /// [`SourceChanged`](crate::ErrorKind::SourceChanged) for a range that its file does not have.
    ///
    /// # Cancellation
    ///
    /// Safe: the whole segment is taken before the call waits for the first time, so a call that
    /// is dropped at an await has written it.
    fn write_owned<'life0, 'async_trait>(
        &'life0 mut self,
        segment: Segment,
    ) -> BoxFuture<'async_trait, Result<()>>
    where
        'life0: 'async_trait,
        Self: 'async_trait;

    /// Lends memory of the budget, at least `at_least` bytes in one piece, to be filled and
    /// handed back through [`write_owned`](Self::write_owned): the way to read from a pipe or a
    /// socket without a second copy.
    ///
    /// ```
    /// # use writer_core::{ObjectWriter, Result};
    /// # async fn copy(mut input: impl std::io::Read, writer: &mut dyn ObjectWriter) -> Result<()> {
    /// let mut page = writer.reserve(64 * 1024).await?;
    /// let read = input.read(page.spare_mut())?;
    /// writer.write_owned(page.split(read)).await?; // and the page goes on with what is spare
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`write_chunk`](Self::write_chunk), and
    /// [`LimitExceeded`](crate::ErrorKind::LimitExceeded) if the budget is smaller than
    /// `at_least`.
    ///
    /// # Cancellation
    ///
    /// Safe: nothing is lent.
    fn reserve<'life0, 'async_trait>(
        &'life0 mut self,
        at_least: usize,
    ) -> BoxFuture<'async_trait, Result<Box<dyn Page>>>
    where
        'life0: 'async_trait,
        Self: 'async_trait;

    /// Bytes taken so far.
    fn bytes_written(&self) -> u64;

    /// Stores what is left, waits for what is in flight, and makes the object visible and
    /// durable. Returns its receipt.
    ///
    /// # Errors
    ///
    /// As [`write_chunk`](Self::write_chunk), and returned when nothing of this write is left.
    /// Where the reply was lost and nothing tells whether the object was made, the kind is
    /// [`Ambiguous`](crate::ErrorKind::Ambiguous).
    ///
    /// # Cancellation
    ///
    /// A call that is dropped cleans up as a dropped writer does, unless the object was already
    /// being published; it is then either the old or the new one, whole.
    fn finish<'async_trait>(self: Box<Self>) -> BoxFuture<'async_trait, Result<ObjectMetadata>>
    where
        Self: 'async_trait;

    /// Stops, removes what was stored so far, and returns when it is gone.
    ///
    /// # Errors
    ///
    /// If it can't be removed; the text says what stays.
    ///
    /// # Cancellation
    ///
    /// A call that is dropped cleans up as a dropped writer does.
    fn cancel<'async_trait>(self: Box<Self>) -> BoxFuture<'async_trait, Result<()>>
    where
        Self: 'async_trait;
}

impl fmt::Debug for dyn ObjectWriter + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectWriter")
            .field("bytes_written", &self.bytes_written())
            .finish_non_exhaustive()
    }
}
