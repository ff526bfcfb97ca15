//! The writer that compresses, unless what it is given is compressed already.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use async_trait::async_trait;
use writer_core::{
    COPY_THRESHOLD, Codec, Error, ErrorKind, HeapPage, ObjectMetadata, ObjectWriter, Page, Result,
    Segment, WriterOptions,
};

use super::compressor::Compressor;
use super::encoder::Settings;
use super::lookahead::{Lookahead, first_bytes};
use super::workspace::Wanted;
use crate::sources::Sources;

/// Compresses what is written into the writer behind it.
///
/// A segment is taken by putting it at the end of `pending`, which every call works off before
/// anything else: a `write_owned` that is dropped has written its segment all the same.
pub(super) struct CompressingWriter {
    uri: String,
    settings: Settings,
    /// Memory that compression waits for, once it begins.
    wanted: Option<Wanted>,
    /// The checksum that what is stored was said to have, which compression would change.
    has_checksum: bool,
    state: State,
    /// Segments that were taken and are neither passed on nor compressed.
    pending: VecDeque<Segment>,
    /// What was read of the file range at the front of `pending`, which no longer has it.
    lookahead: Lookahead,
    sources: Sources,
    /// Bytes taken, while they are not passed on as they are.
    taken: u64,
    /// A `write_chunk` took some of its bytes and has not returned.
    torn: bool,
    failed: Option<Error>,
    started: Instant,
}

type Open = Box<dyn FnOnce(WriterOptions) -> Result<Box<dyn ObjectWriter>> + Send>;

enum State {
    /// Too few bytes came to tell; all of them are pending.
    Undecided(Target),
    /// They are in the codec's format.
    Passing(Box<dyn ObjectWriter>),
    /// They are not.
    Compressing(Box<Compressor>),
    /// There is no inner writer: it could not be opened.
    Gone,
}

/// The inner writer, before it is known which kind it must be.
enum Target {
    /// Both kinds are the same.
    Open(Box<dyn ObjectWriter>),
    /// The expected size makes a difference.
    Later(Open, Box<WriterOptions>),
}

impl CompressingWriter {
    pub(super) fn new(
        settings: Settings,
        wanted: Option<Wanted>,
        uri: &str,
        mut options: WriterOptions,
        open: impl FnOnce(WriterOptions) -> Result<Box<dyn ObjectWriter>> + Send + 'static,
    ) -> Result<Self> {
        let (codec, has_checksum) = (options.codec, options.expected_checksum.is_some());
        let target = match options.expected_size {
            Some(_) if codec.is_none() => Target::Later(Box::new(open), Box::new(options)),
            _ => {
                if let Some(codec) = options.codec.take() {
                    options.content_encoding = Some(codec.name().to_owned());
                    options.expected_size = None;
                }
                Target::Open(open(options)?)
            }
        };
        let mut writer = Self {
            uri: uri.to_owned(),
            settings,
            wanted,
            has_checksum,
            state: State::Undecided(target),
            pending: VecDeque::new(),
            lookahead: Lookahead::default(),
            sources: Sources::default(),
            taken: 0,
            torn: false,
            failed: None,
            started: Instant::now(),
        };
        if codec.is_some() {
            writer.begin(false)?;
        }
        Ok(writer)
    }

    async fn take_chunk(&mut self, chunk: &[u8]) -> Result<()> {
        self.check(chunk.len() as u64)?;
        if chunk.is_empty() {
            return Ok(());
        }
        if !self.decide(chunk).await? {
            self.take(Segment::from(chunk.to_vec()));
            return Ok(());
        }
        self.work_off().await?;
        let compressor = match &mut self.state {
            State::Compressing(compressor) => compressor,
            State::Passing(inner) => return inner.write_chunk(chunk).await,
            State::Undecided(_) | State::Gone => return Ok(()),
        };
        let mut rest = chunk;
        while !rest.is_empty() {
            self.torn = rest.len() < chunk.len();
            compressor.ready().await?;
            let consumed = compressor.push(rest)?;
            self.taken += consumed as u64;
            rest = &rest[consumed..];
        }
        self.torn = false;
        compressor.hand_over().await
    }

    async fn take_segment(&mut self, segment: Segment) -> Result<()> {
        // No await before it is in `pending`.
        self.check(segment.len())?;
        if let Segment::File(range) = &segment {
            self.sources.note(range)?;
        }
        if !segment.is_empty() {
            self.take(segment);
        }
        if self.decide(&[]).await? {
            self.work_off().await?;
        }
        Ok(())
    }

    /// Works everything off, and ends the frame.
    async fn complete(&mut self) -> Result<()> {
        self.enter()?;
        let written = self.bytes_written();
        if let Some(expected) = self.settings.size.filter(|expected| written < *expected) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "the object was said to have {expected} bytes, but only {written} were written"
                ),
            ));
        }
        if !self.decide(&[]).await? {
            self.begin(false)?;
        }
        self.work_off().await?;
        if let State::Compressing(compressor) = &mut self.state {
            self.sources.verify()?;
            compressor.end().await?;
        }
        Ok(())
    }

    fn take(&mut self, segment: Segment) {
        self.taken += segment.len();
        self.pending.push_back(segment);
    }

    /// Chooses between passing on and compressing, if the pending bytes and `next` suffice for
    /// it; true if the choice is made.
    async fn decide(&mut self, next: &[u8]) -> Result<bool> {
        if !matches!(self.state, State::Undecided(_)) {
            return Ok(true);
        }
        let mut start = Vec::with_capacity(Codec::MAGIC_LEN);
        for segment in &self.pending {
            let missing = Codec::MAGIC_LEN - start.len();
            if missing == 0 {
                break;
            }
            match segment {
                Segment::Memory(bytes) => start.extend(bytes.as_ref().iter().take(missing)),
                Segment::File(range) => start.extend(first_bytes(range, missing).await?),
            }
        }
        let missing = Codec::MAGIC_LEN - start.len();
        start.extend(next.iter().take(missing));
        match self.settings.codec.recognise(&start) {
            Some(compressed) => self.begin(compressed).map(|()| true),
            None => Ok(false),
        }
    }

    fn begin(&mut self, compressed: bool) -> Result<()> {
        if self.has_checksum && !compressed {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "expected_checksum is that of what is stored, and the name asks for {} \
                     compression of bytes that are not compressed yet: switch compression off, or \
                     choose another name",
                    self.settings.codec
                ),
            ));
        }
        let target = match mem::replace(&mut self.state, State::Gone) {
            State::Undecided(target) => target,
            begun => {
                self.state = begun;
                return Ok(());
            }
        };
        let inner = match target {
            Target::Open(inner) => inner,
            Target::Later(open, mut options) => {
                if !compressed {
                    options.expected_size = None;
                }
                open(*options)?
            }
        };
        self.state = if compressed {
            State::Passing(inner)
        } else {
            let compressor = Compressor::new(&self.settings, self.wanted.take(), inner)?;
            State::Compressing(Box::new(compressor))
        };
        Ok(())
    }

    /// Passes on or compresses what is pending. Can be dropped at any await, and begun again.
    async fn work_off(&mut self) -> Result<()> {
        match &mut self.state {
            State::Undecided(_) | State::Gone => {}
            State::Passing(inner) => {
                while let Some(segment) = self.pending.pop_front() {
                    inner.write_owned(segment).await?;
                }
            }
            State::Compressing(compressor) => loop {
                if !self.lookahead.unused().is_empty() {
                    compressor.ready().await?;
                    let consumed = compressor.push(self.lookahead.unused())?;
                    self.lookahead.use_up(consumed);
                    continue;
                }
                let Some(segment) = self.pending.front_mut() else {
                    return compressor.hand_over().await;
                };
                let done = match segment {
                    Segment::Memory(bytes) => {
                        compressor.ready().await?;
                        compressor.push(bytes.as_ref())? as u64
                    }
                    Segment::File(range) => self.lookahead.read(range).await?,
                };
                let _done = segment.split_to(done);
                if segment.is_empty() {
                    self.pending.pop_front();
                }
            },
        }
        Ok(())
    }

    fn enter(&self) -> Result<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.torn {
            return Err(Error::new(
                ErrorKind::Interrupted,
                "an earlier write_chunk was dropped before it had taken all of its bytes",
            ));
        }
        Ok(())
    }

    /// Checks that `more` bytes may be written.
    fn check(&self, more: u64) -> Result<()> {
        self.enter()?;
        let size = self.bytes_written().saturating_add(more);
        match self.settings.size {
            Some(expected) if size > expected => Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "{size} bytes were written to an object whose size was said to be {expected}"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Keeps the first error for every later call, and gives up the memory that none will use.
    fn latch<T>(&mut self, result: Result<T>) -> Result<T> {
        let result = result.map_err(|error| error.with_uri(&self.uri));
        if let Err(error) = &result {
            self.failed = Some(error.clone());
            self.pending.clear();
            self.lookahead = Lookahead::default();
            if let State::Compressing(compressor) = &mut self.state {
                compressor.give_up();
            }
        }
        result
    }

    fn into_inner(self) -> Option<Box<dyn ObjectWriter>> {
        match self.state {
            State::Undecided(Target::Open(inner)) | State::Passing(inner) => Some(inner),
            State::Compressing(compressor) => Some(compressor.into_inner()),
            State::Undecided(Target::Later(..)) | State::Gone => None,
        }
    }
}

#[async_trait]
impl ObjectWriter for CompressingWriter {
    async fn write_chunk(&mut self, chunk: &[u8]) -> Result<()> {
        let result = self.take_chunk(chunk).await;
        self.latch(result)
    }

    async fn write_owned(&mut self, segment: Segment) -> Result<()> {
        let result = self.take_segment(segment).await;
        self.latch(result)
    }

    /// Lends the inner writer's memory, which comes back as input. Before that writer is opened,
    /// memory of the heap, and no more of it than it takes to go on.
    async fn reserve(&mut self, at_least: usize) -> Result<Box<dyn Page>> {
        let entered = self.enter();
        self.latch(entered)?;
        // What is pending may hold the very memory that is waited for below.
        let worked_off = self.work_off().await;
        self.latch(worked_off)?;
        match &mut self.state {
            State::Undecided(Target::Open(inner)) | State::Passing(inner) => {
                inner.reserve(at_least).await
            }
            State::Compressing(compressor) => compressor.reserve(at_least).await,
            State::Undecided(Target::Later(..)) | State::Gone => {
                Ok(Box::new(HeapPage::new(at_least.max(COPY_THRESHOLD))))
            }
        }
    }

    fn bytes_written(&self) -> u64 {
        match &self.state {
            State::Passing(inner) => {
                inner.bytes_written() + self.pending.iter().map(Segment::len).sum::<u64>()
            }
            _ => self.taken,
        }
    }

    async fn finish(mut self: Box<Self>) -> Result<ObjectMetadata> {
        let completed = self.complete().await;
        let completed = self.latch(completed);
        let compressed = matches!(self.state, State::Compressing(_));
        let (codec, written) = (self.settings.codec, self.bytes_written());
        let started = self.started;
        let Some(inner) = self.into_inner() else {
            // Only an error leaves it without one.
            return Err(completed.err().unwrap_or_else(closed));
        };
        let Err(error) = completed else {
            let mut receipt = inner.finish().await?;
            if compressed {
                receipt.compressed = Some(codec);
                receipt.size_written = Some(written);
            }
            // It may have been opened later than this one.
            receipt.elapsed = Some(started.elapsed());
            return Ok(receipt);
        };
        match inner.cancel().await {
            Ok(()) => Err(error),
            Err(left) => Err(error.with_note(format_args!("and cleaning up failed: {left}"))),
        }
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        match self.into_inner() {
            Some(inner) => inner.cancel().await,
            None => Ok(()),
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the writer could not be opened")
}
