//! [`tokio::io::AsyncRead`] over an object reader.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use writer_core::{BoxFuture, Error, ErrorKind, ObjectMetadata, ObjectReader, Result, Segment};

/// An object reader as [`AsyncRead`] and [`AsyncBufRead`], for whatever reads from one:
/// `tokio::io::copy`, decoders, lines, HTTP bodies. With the feature `futures`, also as those of
/// `futures::io`, and as a `Stream` of `Result<bytes::Bytes, std::io::Error>`.
///
/// It holds the one chunk that it got last. `AsyncRead` copies out of it once, as it must;
/// `AsyncBufRead` (so `tokio::io::copy_buf`) and the stream copy nothing.
///
/// The end is the object's end: what breaks off is an error. Errors are [`io::Error`]s that hold a
/// [`writer_core::Error`], and [`Error::from`] gets it back; a reader that has failed goes on
/// failing.
///
/// ```
/// use tokio::io::AsyncBufReadExt;
/// use writer_core::{ByteRange, ObjectStore};
/// use writer_tokio::AsyncObjectReader;
///
/// /// Counts the lines of an object, in constant memory.
/// async fn count_lines(store: &dyn ObjectStore, uri: &str) -> std::io::Result<u64> {
///     let input = AsyncObjectReader::new(store.get(uri, ByteRange::Full).await?);
///     let mut lines = input.lines();
///     let mut count = 0;
///     while lines.next_line().await?.is_some() {
///         count += 1;
///     }
///     Ok(count)
/// }
/// ```
///
/// # Cancellation
///
/// Safe: a read that did not return took nothing, and what was asked for meanwhile comes with the
/// next one.
pub struct AsyncObjectReader {
    metadata: ObjectMetadata,
    state: State,
    /// What is not read yet of the chunk that came last.
    chunk: Segment,
}

/// A reader after one of its calls.
type Called = (Box<dyn ObjectReader>, Result<Option<Segment>>);

enum State {
    Idle(Box<dyn ObjectReader>),
    Busy(BoxFuture<'static, Called>),
    Failed(Error),
    Ended,
}

impl AsyncObjectReader {
    /// Reads what `reader` gives. Asks it for nothing before the first read.
    #[must_use]
    pub fn new(reader: Box<dyn ObjectReader>) -> Self {
        Self {
            metadata: reader.metadata().clone(),
            state: State::Idle(reader),
            chunk: Segment::from([]),
        }
    }

    /// What is known of the whole object.
    #[must_use]
    pub fn metadata(&self) -> &ObjectMetadata {
        &self.metadata
    }

    /// Waits until there is a byte to read, or there will be none.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while self.chunk.is_empty() {
            match &mut self.state {
                State::Busy(call) => {
                    let (reader, chunk) = ready!(call.as_mut().poll(cx));
                    self.state = match chunk {
                        Ok(Some(chunk)) if chunk.as_bytes().is_none() => State::Failed(not_read()),
                        Ok(Some(chunk)) => {
                            self.chunk = chunk;
                            State::Idle(reader)
                        }
                        Ok(None) => State::Ended,
                        Err(error) => State::Failed(error),
                    };
                }
                State::Failed(error) => return Poll::Ready(Err(error.clone())),
                State::Ended => break,
                State::Idle(_) => self.ask(),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Asks the reader, which is idle, for its next chunk.
    fn ask(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Ended) {
            State::Idle(mut reader) => State::Busy(Box::pin(async move {
                let chunk = reader.next_chunk().await;
                (reader, chunk)
            })),
            other => other,
        };
    }

    /// What is there to read.
    fn rest(&self) -> &[u8] {
        self.chunk.as_bytes().unwrap_or_default()
    }

    fn take(&mut self, len: usize) -> Segment {
        let taken = self.chunk.split_to(len as u64);
        if self.chunk.is_empty() {
            // Its owner's memory is not kept until the next chunk comes.
            self.chunk = Segment::from([]);
        }
        taken
    }

    /// True once a read has failed.
    #[cfg(feature = "futures")]
    pub(super) fn has_failed(&self) -> bool {
        self.chunk.is_empty() && matches!(self.state, State::Failed(_))
    }

    /// What is left of a chunk, or the next one; `None` at the end.
    #[cfg(feature = "futures")]
    pub(super) fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<writer_core::SharedBytes>>> {
        ready!(self.poll_chunk(cx))?;
        Poll::Ready(Ok(match self.take(usize::MAX) {
            Segment::Memory(bytes) if !bytes.as_ref().is_empty() => Some(bytes),
            _ => None,
        }))
    }
}

impl AsyncRead for AsyncObjectReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_chunk(cx))?;
        let rest = self.rest();
        let len = rest.len().min(into.remaining());
        into.put_slice(&rest[..len]);
        self.take(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for AsyncObjectReader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_chunk(cx))?;
        Poll::Ready(Ok(this.rest()))
    }

    fn consume(mut self: Pin<&mut Self>, len: usize) {
        self.take(len);
    }
}

impl fmt::Debug for AsyncObjectReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Idle(_) => "idle",
            State::Busy(_) => "busy",
            State::Failed(_) => "failed",
            State::Ended => "ended",
        };
        f.debug_struct("AsyncObjectReader")
            .field("metadata", &self.metadata)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

fn not_read() -> Error {
    let text = "the reader gave a range of a file instead of bytes";
    Error::new(ErrorKind::InvalidInput, text)
}
