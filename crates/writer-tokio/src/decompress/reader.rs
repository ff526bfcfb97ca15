//! The reader that decompresses.

use std::mem;

use async_trait::async_trait;
use tokio::task;
use writer_core::{Error, ErrorKind, ObjectMetadata, ObjectReader, Result, Segment};

use super::decoder::Decoder;

/// Most bytes that are given at once. Decoding as many takes less than a millisecond.
const CHUNK: usize = 256 << 10;

/// Decompresses what the reader behind it gives.
pub(super) struct DecompressingReader {
    inner: Box<dyn ObjectReader>,
    decoder: Decoder,
    input: Option<Segment>,
    /// `inner` has no more.
    ended: bool,
    output: Vec<u8>,
    failed: Option<Error>,
}

impl DecompressingReader {
    pub(super) fn new(inner: Box<dyn ObjectReader>, decoder: Decoder) -> Self {
        Self {
            inner,
            decoder,
            input: None,
            ended: false,
            output: Vec::new(),
            failed: None,
        }
    }

    async fn read(&mut self) -> Result<Option<Segment>> {
        loop {
            if self.input.is_none() && !self.ended {
                self.input = self.inner.next_chunk().await?;
                self.ended = self.input.is_none();
            }
            let (produced, consumed) = self.step()?;
            if produced > 0 {
                return Ok(Some(Segment::from(self.take(produced))));
            }
            if self.ended && consumed == 0 {
                return match self.decoder.is_whole() {
                    true => Ok(None),
                    false => Err(self.decoder.truncated()),
                };
            }
        }
    }

    /// The first `len` bytes of `output`, which is kept for more if they are few.
    fn take(&mut self, len: usize) -> Vec<u8> {
        if len < CHUNK / 2 {
            return self.output[..len].to_vec();
        }
        let mut output = mem::take(&mut self.output);
        output.truncate(len);
        output
    }

    /// Fills `output` from the beginning, and says how many bytes it made of how many.
    fn step(&mut self) -> Result<(usize, usize)> {
        if self.output.is_empty() {
            self.output = vec![0; CHUNK];
        }
        let (mut produced, mut consumed) = (0, 0);
        loop {
            let input = match &self.input {
                Some(Segment::Memory(bytes)) => bytes.as_ref(),
                Some(Segment::File(_)) => {
                    let text = "a reader gave a file range";
                    return Err(Error::new(ErrorKind::Other, text));
                }
                None => &[],
            };
            let step = self.decoder.step(input, &mut self.output[produced..])?;
            let is_used_up = step.consumed == input.len();
            if is_used_up {
                self.input = None;
            } else if let Some(input) = &mut self.input {
                let _used = input.split_to(step.consumed as u64);
            }
            produced += step.produced;
            consumed += step.consumed;
            let stalled = step.consumed == 0 && step.produced == 0;
            if produced == CHUNK || (is_used_up && step.produced == 0) || stalled {
                return Ok((produced, consumed));
            }
        }
    }
}

#[async_trait]
impl ObjectReader for DecompressingReader {
    fn metadata(&self) -> &ObjectMetadata {
        self.inner.metadata()
    }

    async fn next_chunk(&mut self) -> Result<Option<Segment>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        // Before anything is taken, so that a call that is dropped here loses nothing.
        task::yield_now().await;
        let chunk = self.read().await;
        chunk.map_err(|error| {
            let error = error.with_uri(&self.inner.metadata().uri);
            self.failed = Some(error.clone());
            error
        })
    }
}
