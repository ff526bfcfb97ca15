//! Compression on Zstandard's own threads.

use std::mem;

use tokio::task::{self, JoinHandle};
use writer_core::{Error, ErrorKind, ObjectWriter, Result, Segment};

use super::encoder::{Encoder, Settings};

/// Bytes of input that are handed over at once.
const BATCH: usize = 1 << 20;

/// Bytes by which room for output grows.
const GROWTH: usize = 256 << 10;

/// Collects input, and hands it in batches to threads that may block: where Zstandard's threads
/// are behind, its calls wait for them.
///
/// One batch is on its way while the next is collected, so input is copied once, and two batches
/// and what became of one are held.
pub(super) struct Threaded {
    batch: Vec<u8>,
    /// The encoder and an empty batch, while they are not at work.
    idle: Option<(Encoder, Vec<u8>)>,
    working: Option<JoinHandle<Result<Done>>>,
    output: Option<Vec<u8>>,
}

/// What a turn leaves: all to go on with, and what was compressed.
struct Done {
    encoder: Encoder,
    batch: Vec<u8>,
    output: Vec<u8>,
}

impl Threaded {
    /// Bytes of this type's own buffers, at most.
    pub(super) const MEMORY: u64 = 4 * BATCH as u64;

    /// # Errors
    ///
    /// If the library refuses.
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        Ok(Self {
            batch: Vec::new(),
            idle: Some((Encoder::new(settings)?, Vec::new())),
            working: None,
            output: None,
        })
    }

    /// Waits until there is room for input.
    ///
    /// # Errors
    ///
    /// The codec's, and the inner writer's.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub(super) async fn ready(&mut self, inner: &mut dyn ObjectWriter) -> Result<()> {
        if self.batch.len() >= BATCH {
            self.settle(inner).await?;
            self.begin(false);
        }
        Ok(())
    }

    /// Takes the beginning of `input`, and says how much of it.
    pub(super) fn push(&mut self, input: &[u8]) -> usize {
        let taken = input.len().min(BATCH - self.batch.len().min(BATCH));
        self.batch.extend_from_slice(&input[..taken]);
        taken
    }

    /// Ends the frame, all of which the inner writer has then.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    pub(super) async fn end(&mut self, inner: &mut dyn ObjectWriter) -> Result<()> {
        self.settle(inner).await?;
        self.begin(true);
        self.settle(inner).await
    }

    /// Forgets what was not compressed yet.
    pub(super) fn give_up(&mut self) {
        self.batch = Vec::new();
        self.output = None;
    }

    fn begin(&mut self, is_last: bool) {
        let Some((encoder, empty)) = self.idle.take() else {
            return;
        };
        let batch = mem::replace(&mut self.batch, empty);
        let turn = move || compress(encoder, batch, is_last);
        self.working = Some(task::spawn_blocking(turn));
    }

    /// Waits for what is at work, and hands over what became of it.
    async fn settle(&mut self, inner: &mut dyn ObjectWriter) -> Result<()> {
        if let Some(working) = &mut self.working {
            // The handle stays here while this waits, so a call that is dropped loses nothing.
            let done = working.await.unwrap_or_else(|error| {
                let text = "the runtime shuts down";
                Err(Error::new(ErrorKind::Interrupted, text).with_source(error))
            });
            self.working = None;
            let done = done?;
            self.idle = Some((done.encoder, done.batch));
            self.output = Some(done.output);
        }
        match self.output.take() {
            Some(output) if !output.is_empty() => inner.write_owned(Segment::from(output)).await,
            _ => Ok(()),
        }
    }
}

fn compress(mut encoder: Encoder, mut batch: Vec<u8>, is_last: bool) -> Result<Done> {
    let (mut output, mut len) = (Vec::new(), 0);
    let mut rest = &batch[..];
    while !rest.is_empty() {
        let step = encoder.push(rest, room(&mut output, len))?;
        rest = &rest[step.consumed..];
        len += step.produced;
    }
    let mut ended = !is_last;
    while !ended {
        let (produced, done) = encoder.end(room(&mut output, len))?;
        len += produced;
        ended = done;
    }
    output.truncate(len);
    batch.clear();
    Ok(Done {
        encoder,
        batch,
        output,
    })
}

/// What is free of `output` behind its first `len` bytes: some, in any case.
fn room(output: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if output.len() - len < GROWTH / 4 {
        output.resize(len + GROWTH, 0);
    }
    &mut output[len..]
}
