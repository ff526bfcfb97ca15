//! [`tokio::io::AsyncWrite`] over an object writer.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use writer_core::{
    BoxFuture, Error, ErrorKind, ObjectMetadata, ObjectWriter, Page, Result, Segment,
};

use super::filling::Filling;
use crate::PAGE_SIZE;

/// An object writer as [`AsyncWrite`], for whatever writes to one: [`tokio::io::copy`], encoders,
/// `AsyncArrowWriter`, HTTP bodies.
///
/// `shutdown` finishes the object, which is not there before; after it, [`receipt`](Self::receipt)
/// tells of it. A writer that is dropped without it, or whose `shutdown` fails, stores nothing, so
/// what is cut off never looks whole.
///
/// Bytes are copied once, into a page of the store's budget, which is handed on when it is full
/// (256 KiB). `flush` hands on what there is; it does not wait until that is stored, which only
/// `shutdown` does.
///
/// Errors are [`io::Error`]s that hold a [`writer_core::Error`]; [`Error::from`] gets it back.
///
/// ```
/// use tokio::io::AsyncWriteExt;
/// use writer_tokio::AsyncObjectWriter;
///
/// # async fn example(writer: Box<dyn writer_core::ObjectWriter>) -> std::io::Result<()> {
/// let mut output = AsyncObjectWriter::new(writer);
/// tokio::io::copy(&mut &b"whatever can be read"[..], &mut output).await?;
/// output.shutdown().await?;
/// println!("{} bytes are stored", output.receipt().map_or(0, |receipt| receipt.size));
/// # Ok(())
/// # }
/// ```
///
/// # Cancellation
///
/// Safe: what a write returned is taken, and a write that did not return took nothing.
pub struct AsyncObjectWriter {
    state: State,
    filling: Filling,
    /// What failed when nobody could be told.
    failed: Option<Error>,
    receipt: Option<ObjectMetadata>,
}

/// A writer after one of its calls, which may have lent a page.
type Called = (Box<dyn ObjectWriter>, Result<Option<Box<dyn Page>>>);

enum State {
    Idle(Box<dyn ObjectWriter>),
    Busy(BoxFuture<'static, Called>),
    Finishing(BoxFuture<'static, Result<ObjectMetadata>>),
    Ended,
}

impl AsyncObjectWriter {
    /// Writes to `writer`.
    #[must_use]
    pub fn new(writer: Box<dyn ObjectWriter>) -> Self {
        Self {
            state: State::Idle(writer),
            filling: Filling::default(),
            failed: None,
            receipt: None,
        }
    }

    /// What was stored, once `shutdown` has succeeded.
    #[must_use]
    pub fn receipt(&self) -> Option<&ObjectMetadata> {
        self.receipt.as_ref()
    }

    /// What was stored, once `shutdown` has succeeded.
    #[must_use]
    pub fn into_receipt(self) -> Option<ObjectMetadata> {
        self.receipt
    }

    /// Waits until the writer is free. Gives an earlier call's error.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        if let State::Busy(call) = &mut self.state {
            let (writer, done) = ready!(call.as_mut().poll(cx));
            self.state = State::Idle(writer);
            if let Some(page) = done? {
                self.filling.lend(page);
            }
        }
        match self.state {
            State::Idle(_) => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err(closed())),
        }
    }

    /// Begins a call of the writer, which is free.
    fn begin(&mut self, call: impl FnOnce(Box<dyn ObjectWriter>) -> State) {
        self.state = match std::mem::replace(&mut self.state, State::Ended) {
            State::Idle(writer) => call(writer),
            busy => busy,
        };
    }

    fn begin_reserve(&mut self) {
        self.begin(|mut writer| {
            State::Busy(Box::pin(async move {
                let page = writer.reserve(PAGE_SIZE).await;
                (writer, page.map(Some))
            }))
        });
    }

    fn begin_write(&mut self, segment: Segment) {
        self.begin(|mut writer| {
            State::Busy(Box::pin(async move {
                let written = writer.write_owned(segment).await;
                (writer, written.map(|()| None))
            }))
        });
    }

    /// Begins to write what a sink was given, which must be ready for it.
    #[cfg(feature = "futures")]
    pub(super) fn begin_item(&mut self, segment: Segment) -> Result<()> {
        if !matches!(self.state, State::Idle(_)) || self.failed.is_some() || self.filling.has_some()
        {
            let text = "an item was sent to a sink that is not ready";
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        self.begin_write(segment);
        Ok(())
    }

    fn poll_copy(&mut self, cx: &mut Context<'_>, bytes: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        if bytes.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        loop {
            ready!(self.poll_idle(cx))?;
            if !self.filling.needs_page() {
                break;
            }
            self.begin_reserve();
        }
        let taken = bytes.iter().map(|slice| self.filling.fill(slice)).sum();
        if self.filling.is_full()
            && let Some(segment) = self.filling.take()
        {
            self.begin_write(segment);
            // So that it is on its way while the producer thinks. These bytes are taken, whatever
            // comes of it.
            if let Poll::Ready(Err(error)) = self.poll_idle(cx) {
                self.failed = Some(error);
            }
        }
        Poll::Ready(Ok(taken))
    }

    /// Hands on what there is.
    pub(super) fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_idle(cx))?;
        if let Some(segment) = self.filling.take() {
            self.begin_write(segment);
        }
        self.poll_idle(cx)
    }

    pub(super) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.receipt.is_some() {
            return Poll::Ready(Ok(()));
        }
        if !matches!(self.state, State::Finishing(_)) {
            ready!(self.poll_push(cx))?;
            self.filling.clear();
            self.begin(|writer| State::Finishing(writer.finish()));
        }
        let State::Finishing(finish) = &mut self.state else {
            return Poll::Ready(Err(closed()));
        };
        let finished = ready!(finish.as_mut().poll(cx));
        self.state = State::Ended;
        self.receipt = Some(finished?);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for AsyncObjectWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.poll_copy(cx, &[IoSlice::new(bytes)]);
        written.map_err(io::Error::from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_copy(cx, bytes).map_err(io::Error::from)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.receipt.is_some() {
            return Poll::Ready(Ok(()));
        }
        self.poll_push(cx).map_err(io::Error::from)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_finish(cx).map_err(io::Error::from)
    }
}

impl fmt::Debug for AsyncObjectWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Idle(_) => "idle",
            State::Busy(_) => "busy",
            State::Finishing(_) => "finishing",
            State::Ended => "ended",
        };
        f.debug_struct("AsyncObjectWriter")
            .field("state", &state)
            .field("receipt", &self.receipt)
            .finish_non_exhaustive()
    }
}

pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the writer was shut down, or has failed")
}
