//! From an encoder into the pages of the writer behind it.

use std::mem;

use tokio::task;
use writer_core::{ObjectWriter, Page, Result};

use super::Codec;
use super::encoder::Encoder;

/// Compresses into pages of `inner`, and writes them to it.
///
/// Waiting and working are apart: [`ready`](Self::ready) does all that waits and takes nothing,
/// [`push`](Self::push) takes input and never waits. So whoever records what `push` took before
/// the next await loses nothing when its future is dropped.
pub(super) struct Compressor {
    inner: Box<dyn ObjectWriter>,
    encoder: Encoder,
    page: Option<Box<dyn Page>>,
    /// Bytes at the front of the page's spare room that `inner` does not have yet.
    filled: usize,
    /// Bytes of input since other tasks had a turn.
    worked: usize,
}

impl Compressor {
    pub(super) fn new(
        codec: Codec,
        size: Option<u64>,
        inner: Box<dyn ObjectWriter>,
    ) -> Result<Self> {
        Ok(Self {
            inner,
            encoder: Encoder::new(codec, size)?,
            page: None,
            filled: 0,
            worked: 0,
        })
    }

    /// Waits until there is room for output, and it is this task's turn.
    ///
    /// # Errors
    ///
    /// The inner writer's.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub(super) async fn ready(&mut self) -> Result<()> {
        self.hand_over().await?;
        if self.worked >= self.encoder.slice() {
            self.worked = 0;
            task::yield_now().await;
        }
        if self.page.is_none() {
            self.page = Some(self.inner.reserve(1).await?);
        }
        Ok(())
    }

    /// Compresses the beginning of `input`, and says how much of it: none, if it is not
    /// [`ready`](Self::ready).
    ///
    /// # Errors
    ///
    /// The codec's.
    pub(super) fn push(&mut self, input: &[u8]) -> Result<usize> {
        let Some(page) = &mut self.page else {
            return Ok(0);
        };
        let most = input.len().min(self.encoder.slice());
        let output = &mut page.spare_mut()[self.filled..];
        let step = self.encoder.push(&input[..most], output)?;
        self.filled += step.produced;
        self.worked += step.consumed;
        Ok(step.consumed)
    }

    /// Writes what is compressed to the inner writer. A page whose room is used up is given up.
    ///
    /// # Errors
    ///
    /// The inner writer's.
    ///
    /// # Cancellation
    ///
    /// Safe: the inner writer takes a segment before it waits.
    pub(super) async fn hand_over(&mut self) -> Result<()> {
        let filled = mem::take(&mut self.filled);
        if filled > 0
            && let Some(page) = &mut self.page
        {
            let segment = page.split(filled);
            if page.spare_len() == 0 {
                self.page = None;
            }
            self.inner.write_owned(segment).await?;
        }
        Ok(())
    }

    /// Ends the frame, all of which the inner writer has then.
    ///
    /// # Errors
    ///
    /// The codec's, and the inner writer's.
    pub(super) async fn end(&mut self) -> Result<()> {
        let mut ended = false;
        while !ended {
            self.ready().await?;
            if let Some(page) = &mut self.page {
                let (produced, done) = self.encoder.end(&mut page.spare_mut()[self.filled..])?;
                self.filled += produced;
                ended = done;
            }
        }
        self.hand_over().await
    }

    /// Gives back the page: nothing more will be compressed.
    pub(super) fn give_up(&mut self) {
        self.filled = 0;
        self.page = None;
    }

    /// Lends memory of the inner writer.
    ///
    /// # Errors
    ///
    /// The inner writer's.
    pub(super) async fn reserve(&mut self, at_least: usize) -> Result<Box<dyn Page>> {
        self.inner.reserve(at_least).await
    }

    pub(super) fn into_inner(self) -> Box<dyn ObjectWriter> {
        self.inner
    }
}
