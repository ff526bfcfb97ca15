//! Reading one object by several requests at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use crc_fast::{CrcAlgorithm, Digest};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use writer_core::{
    ByteRange, Crc64Nvme, Error, ErrorKind, ObjectMetadata, ObjectReader, ObjectStore, Result,
    Segment,
};

/// How often in turn an answer may break off before its first byte, until reading fails.
const ATTEMPTS: u32 = 5;

/// How long the first of them waits; each next one twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// How an object is read by [`read_in_parts`]. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Bytes that one request reads, from 1. Default 8 MiB.
    pub part_size: u64,
    /// Most requests at once, from 1. Default 8.
    pub max_concurrency: usize,
    /// Most bytes that are held, because they came before it was their turn: as many requests are
    /// made at once as there is room for whole parts, and one in any case. Default 128 MiB.
    pub memory: u64,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            part_size: 8 << 20,
            max_concurrency: 8,
            memory: 128 << 20,
        }
    }
}

impl ReadOptions {
    /// Sets [`part_size`](Self::part_size), in bytes.
    #[must_use]
    pub fn with_part_size(mut self, bytes: u64) -> Self {
        self.part_size = bytes;
        self
    }

    /// Sets [`max_concurrency`](Self::max_concurrency), in requests.
    #[must_use]
    pub fn with_max_concurrency(mut self, requests: usize) -> Self {
        self.max_concurrency = requests;
        self
    }

    /// Sets [`memory`](Self::memory), in bytes.
    #[must_use]
    pub fn with_memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    fn at_once(&self) -> Result<usize> {
        if self.part_size == 0 || self.max_concurrency == 0 {
            let text = "part_size and max_concurrency of reading: expected at least 1";
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        let room = usize::try_from(self.memory / self.part_size).unwrap_or(usize::MAX);
        Ok(self.max_concurrency.min(room).max(1))
    }
}

/// Reads the object at `uri`, or a range of it, by several requests at once, and gives its bytes
/// in order.
///
/// The object is looked at first (`stat`). That it is the same one all along is known by its ETag,
/// which every answer says: one that is replaced meanwhile fails the reader, so bytes of two
/// objects are never mixed. A request that breaks off goes on where it stopped. An object that is
/// read in full is compared with the CRC64NVME that the store says, if it says one.
///
/// ```
/// use std::sync::Arc;
/// use writer_core::{ByteRange, ObjectStore, Result};
/// use writer_tokio::{ReadOptions, read_in_parts};
///
/// async fn size(store: Arc<dyn ObjectStore>, uri: &str) -> Result<u64> {
///     let options = ReadOptions::default().with_max_concurrency(16);
///     let mut reader = read_in_parts(store, uri, ByteRange::Full, options).await?;
///     let mut size = 0;
///     while let Some(chunk) = reader.next_chunk().await? {
///         size += chunk.len();
///     }
///     Ok(size)
/// }
/// ```
///
/// # Memory
///
/// At most [`memory`](ReadOptions::memory) bytes (or one part, if that is more) wait for their
/// turn. Whoever takes no chunks keeps further requests from being made.
///
/// # Errors
///
/// As [`ObjectStore::stat`] and [`ObjectStore::get`];
/// [`InvalidInput`](ErrorKind::InvalidInput) for options out of bounds. The reader fails with
/// [`SourceChanged`](ErrorKind::SourceChanged) if the object is replaced,
/// [`ChecksumMismatch`](ErrorKind::ChecksumMismatch) if its bytes have another checksum.
///
/// # Cancellation
///
/// Safe. A reader that is dropped ends its requests.
pub async fn read_in_parts(
    store: Arc<dyn ObjectStore>,
    uri: &str,
    range: ByteRange,
    options: ReadOptions,
) -> Result<Box<dyn ObjectReader>> {
    let at_once = options.at_once()?;
    let metadata = store.stat(uri).await?;
    let Some((start, len)) = range.resolve(metadata.size) else {
        let size = metadata.size;
        let text = format!("the range {range} holds no byte: the object has {size} bytes");
        return Err(Error::new(ErrorKind::InvalidInput, text).with_uri(uri));
    };
    let digest = (len == metadata.size && metadata.checksum.is_some())
        .then(|| Digest::new(CrcAlgorithm::Crc64Nvme));
    let mut reader = PartsReader {
        source: Arc::new(Source {
            store,
            uri: uri.to_owned(),
            version: Version::of(&metadata),
        }),
        metadata,
        part_size: options.part_size,
        next: start,
        end: start + len,
        parts: VecDeque::new(),
        tasks: JoinSet::new(),
        digest,
        failed: None,
    };
    for _ in 0..at_once {
        reader.request();
    }
    Ok(Box::new(reader))
}

/// The object that is read.
struct Source {
    store: Arc<dyn ObjectStore>,
    uri: String,
    version: Version,
}

struct PartsReader {
    source: Arc<Source>,
    metadata: ObjectMetadata,
    part_size: u64,
    /// What is not asked for yet.
    next: u64,
    end: u64,
    /// Those on their way, in order.
    parts: VecDeque<Part>,
    /// Ended with this reader.
    tasks: JoinSet<()>,
    digest: Option<Digest>,
    failed: Option<Error>,
}

/// A part that is on its way.
struct Part {
    /// Bytes that are still to come out of it.
    left: u64,
    chunks: mpsc::UnboundedReceiver<Result<Segment>>,
}

impl PartsReader {
    /// Asks for the next part, if there is one.
    fn request(&mut self) {
        let len = (self.end - self.next).min(self.part_size);
        if len == 0 {
            return;
        }
        let (start, end) = (self.next, self.next + len);
        self.next = end;
        // No more than the part goes through it.
        let (sender, chunks) = mpsc::unbounded_channel();
        let source = Arc::clone(&self.source);
        self.tasks.spawn(async move {
            if let Err(error) = source.fetch(start, end, &sender).await {
                let _nobody_reads = sender.send(Err(error));
            }
        });
        self.parts.push_back(Part { left: len, chunks });
        while self.tasks.try_join_next().is_some() {}
    }

    async fn read(&mut self) -> Result<Option<Segment>> {
        loop {
            let Some(part) = self.parts.front_mut() else {
                return self.check().map(|()| None);
            };
            if part.left == 0 {
                self.parts.pop_front();
                self.request();
                continue;
            }
            let Some(chunk) = part.chunks.recv().await else {
                let text = "the runtime shuts down";
                return Err(Error::new(ErrorKind::Interrupted, text));
            };
            let chunk = chunk?;
            part.left = part.left.saturating_sub(chunk.len());
            if let (Some(digest), Segment::Memory(bytes)) = (&mut self.digest, &chunk) {
                digest.update(bytes.as_ref());
            }
            return Ok(Some(chunk));
        }
    }

    fn check(&mut self) -> Result<()> {
        let found = self.digest.take().map(|digest| digest.finalize());
        match (found.map(Crc64Nvme), self.metadata.checksum) {
            (Some(found), Some(expected)) if found != expected => {
                let text = format!("CRC64NVME {found} was read, but the store says {expected}");
                Err(Error::new(ErrorKind::ChecksumMismatch, text))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl ObjectReader for PartsReader {
    fn metadata(&self) -> &ObjectMetadata {
        &self.metadata
    }

    async fn next_chunk(&mut self) -> Result<Option<Segment>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let chunk = self.read().await;
        chunk.map_err(|error| {
            let error = error.with_uri(&self.metadata.uri);
            self.failed = Some(error.clone());
            self.parts.clear();
            self.tasks.abort_all();
            error
        })
    }
}

impl Source {
    /// Sends the bytes from `start` to before `end`, and goes on after what breaks off.
    async fn fetch(
        &self,
        start: u64,
        end: u64,
        sender: &mpsc::UnboundedSender<Result<Segment>>,
    ) -> Result<()> {
        let (mut at, mut failures) = (start, 0);
        loop {
            // The store has tried that as often as it does.
            let mut reader = self.open(at, end).await?;
            let before = at;
            let Err(error) = receive(&mut *reader, &mut at, end, sender).await else {
                return Ok(());
            };
            if at > before {
                failures = 0;
            }
            failures += 1;
            if !error.is_retryable() || failures >= ATTEMPTS {
                return Err(error);
            }
            tokio::time::sleep(FIRST_WAIT * 2_u32.pow(failures - 1)).await;
        }
    }

    /// One request for the bytes from `start` to before `end`.
    async fn open(&self, start: u64, end: u64) -> Result<Box<dyn ObjectReader>> {
        let range = ByteRange::Bounded { start, end };
        let reader = match self.store.get(&self.uri, range).await {
            Ok(reader) => reader,
            // It had these bytes when it was looked at.
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                return Err(replaced().with_source(error));
            }
            Err(error) => return Err(error),
        };
        match Version::of(reader.metadata()) == self.version {
            true => Ok(reader),
            false => Err(replaced()),
        }
    }
}

/// Passes on what `reader` has; `at` tells how far it came.
async fn receive(
    reader: &mut dyn ObjectReader,
    at: &mut u64,
    end: u64,
    sender: &mpsc::UnboundedSender<Result<Segment>>,
) -> Result<()> {
    while *at < end {
        let Some(mut chunk) = reader.next_chunk().await? else {
            let text = format!("the answer ended {} bytes early", end - *at);
            return Err(Error::new(ErrorKind::Unavailable, text).with_retryable(true));
        };
        let chunk = chunk.split_to(end - *at);
        *at += chunk.len();
        if sender.send(Ok(chunk)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// What tells one object of a name from the next: its ETag, or, without one, size and time.
#[derive(Debug, PartialEq, Eq)]
enum Version {
    Tagged(String),
    Untagged(u64, Option<SystemTime>),
}

impl Version {
    fn of(object: &ObjectMetadata) -> Self {
        match &object.e_tag {
            Some(tag) => Self::Tagged(tag.clone()),
            None => Self::Untagged(object.size, object.last_modified),
        }
    }
}

fn replaced() -> Error {
    Error::new(
        ErrorKind::SourceChanged,
        "the object was replaced while it was read",
    )
}
