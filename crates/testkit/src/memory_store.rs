//! The smallest backend: objects in a map.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use async_trait::async_trait;
use crc_fast::CrcAlgorithm;
use writer_core::{
    ByteRange, Condition, Crc64Nvme, Error, ErrorKind, EventKind, HeapPage, IfExists, ObjectLister,
    ObjectMetadata, ObjectReader, ObjectStore, ObjectWriter, Page, Reporter, Result, Segment,
    WriterOptions,
};

/// The largest page that [`reserve`](ObjectWriter::reserve) lends, in bytes.
const LARGEST_PAGE: usize = 64 << 20;

/// What a reader gives at once, in bytes.
const READ_CHUNK: u64 = 64 * 1024;

/// Objects in memory, under URIs `memory://…`: the smallest example of a backend.
///
/// It keeps the whole contract of the traits, and passes the
/// [conformance suite](crate::conformance), but none of the promises that need a budget: every
/// byte is copied and held. A writer collects its bytes in a staging area, as an upload or a
/// temporary file would, and `finish` moves them to their place in one step. It does not
/// compress, nor tell types by names, and refuses options that ask for it.
///
/// It uses the traits alone. A backend with parts, a budget and compression is the example
/// `memory_store` of `crates/examples`, which takes all of that from `writer-tokio`.
///
/// ```
/// use testkit::MemoryStore;
/// use writer_core::{ObjectStore, WriterOptions};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let store = MemoryStore::new();
/// let mut writer = store.create_writer("memory://greeting", None).await?;
/// writer.write_chunk(b"hello").await?;
/// assert_eq!(writer.finish().await?.size, 5);
/// # Ok::<(), writer_core::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, (ObjectMetadata, Arc<[u8]>)>,
    /// By the number of the writer: two writers of one object have nothing in common.
    staged: HashMap<u64, Staged>,
    writers: u64,
}

#[derive(Debug, Default)]
struct Staged {
    uri: String,
    bytes: Vec<u8>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The URIs of objects that are being written.
    #[must_use]
    pub fn staged(&self) -> Vec<String> {
        let state = self.shared.state();
        state.staged.values().map(|s| s.uri.clone()).collect()
    }

    /// How many bytes of the unfinished object at `uri` are there.
    #[must_use]
    pub fn arrived(&self, uri: &str) -> u64 {
        let state = self.shared.state();
        let writers = state.staged.values().filter(|staged| staged.uri == uri);
        writers.map(|staged| staged.bytes.len() as u64).sum()
    }

    fn find(&self, uri: &str) -> Result<(ObjectMetadata, Arc<[u8]>)> {
        let state = self.shared.state();
        let found = state.objects.get(uri).cloned();
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, "no such object").with_uri(uri))
    }
}

fn check_uri(uri: &str) -> Result<()> {
    let key = uri.strip_prefix("memory://").unwrap_or_default();
    if key.is_empty() || key.ends_with('/') {
        let text = format!("{uri:?} names no object: expected memory://KEY");
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    Ok(())
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn create_writer(
        &self,
        uri: &str,
        options: Option<WriterOptions>,
    ) -> Result<Box<dyn ObjectWriter>> {
        check_uri(uri)?;
        let options = options.map_or_else(WriterOptions::from_env, Ok)?;
        options.validate()?;
        if options.codec_for(uri).is_some() {
            let text = "this store does not compress: give the object another name, or turn \
                        compression off";
            return Err(Error::new(ErrorKind::Unsupported, text).with_uri(uri));
        }
        if options.guess_content_type {
            let text = "this store does not tell types by names: set content_type";
            return Err(Error::new(ErrorKind::Unsupported, text).with_uri(uri));
        }
        let reporter = Reporter::open(uri, &options);
        let mut state = self.shared.state();
        state.writers += 1;
        let number = state.writers;
        let uri = uri.to_owned();
        let bytes = Vec::new();
        state.staged.insert(number, Staged { uri, bytes });
        Ok(Box::new(MemoryWriter {
            shared: Arc::clone(&self.shared),
            number,
            options,
            written: 0,
            failed: None,
            reporter,
            started: Instant::now(),
        }))
    }

    async fn put(&self, uri: &str, data: Segment) -> Result<ObjectMetadata> {
        let options = WriterOptions::default().with_compression(false);
        let mut writer = self.create_writer(uri, Some(options)).await?;
        writer.write_owned(data).await?;
        writer.finish().await
    }

    async fn stat(&self, uri: &str) -> Result<ObjectMetadata> {
        check_uri(uri)?;
        Ok(self.find(uri)?.0)
    }

    async fn get(&self, uri: &str, range: ByteRange) -> Result<Box<dyn ObjectReader>> {
        check_uri(uri)?;
        let (metadata, bytes) = self.find(uri)?;
        let Some((start, len)) = range.resolve(metadata.size) else {
            let text = format!("{range:?} is no range of {} bytes", metadata.size);
            return Err(Error::new(ErrorKind::InvalidInput, text).with_uri(uri));
        };
        let mut rest = Segment::from(bytes);
        let _before = rest.split_to(start);
        let rest = rest.split_to(len);
        Ok(Box::new(MemoryReader { metadata, rest }))
    }

    async fn list(&self, prefix: &str) -> Result<Box<dyn ObjectLister>> {
        let state = self.shared.state();
        let from = state.objects.range(prefix.to_owned()..);
        let found = from.take_while(|(uri, _)| uri.starts_with(prefix));
        let found = found.map(|(_, (metadata, _))| metadata.clone()).collect();
        Ok(Box::new(MemoryLister(Some(found))))
    }

    async fn delete(&self, uri: &str) -> Result<()> {
        check_uri(uri)?;
        self.shared.state().objects.remove(uri);
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(()) // a dropped writer has cleaned up when its drop returns
    }
}

struct MemoryWriter {
    shared: Arc<Shared>,
    number: u64,
    options: WriterOptions,
    written: u64,
    /// The first error, which every later call repeats.
    failed: Option<Error>,
    reporter: Reporter,
    started: Instant,
}

impl MemoryWriter {
    /// Refuses `more` bytes if an earlier call failed or they are too many.
    fn admit(&mut self, more: u64) -> Result<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let size = self.written + more;
        match self.options.expected_size {
            Some(expected) if size > expected => {
                let text = format!("{size} bytes, but the size was said to be {expected}");
                Err(self.latch(Error::new(ErrorKind::InvalidInput, text)))
            }
            _ => Ok(()),
        }
    }

    fn latch(&mut self, error: Error) -> Error {
        self.failed.insert(error).clone()
    }

    fn take(&mut self, bytes: &[u8]) {
        let mut state = self.shared.state();
        let staged = state.staged.entry(self.number).or_default();
        staged.bytes.extend_from_slice(bytes);
        drop(state);
        self.written += bytes.len() as u64;
        let bytes = self.written;
        self.reporter.tell(EventKind::Written { bytes });
    }

    /// A part in bytes; the writer lets others run after each.
    fn part_size(&self) -> usize {
        usize::try_from(self.options.part_size).unwrap_or(usize::MAX)
    }
}

#[async_trait]
impl ObjectWriter for MemoryWriter {
    async fn write_chunk(&mut self, chunk: &[u8]) -> Result<()> {
        self.admit(chunk.len() as u64)?;
        for (number, part) in chunk.chunks(self.part_size()).enumerate() {
            if number > 0 {
                // Holds unless this call comes to its end.
                let text = "a write_chunk was dropped half way";
                self.failed = Some(Error::new(ErrorKind::Interrupted, text));
                tokio::task::yield_now().await;
            }
            self.take(part);
        }
        self.failed = None;
        Ok(())
    }

    async fn write_owned(&mut self, segment: Segment) -> Result<()> {
        self.admit(segment.len())?;
        match &segment {
            Segment::Memory(bytes) => self.take(bytes.as_ref()),
            Segment::File(range) => {
                // A real backend reads later, and off the runtime's threads.
                let mut bytes = vec![0; usize::try_from(range.len()).unwrap_or(usize::MAX)];
                let read = range.file().read_exact_at(&mut bytes, range.offset());
                if let Err(error) = read {
                    let text = format!("the file can't be read as far as was said: {error}");
                    let error = Error::new(ErrorKind::SourceChanged, text).with_source(error);
                    return Err(self.latch(error));
                }
                self.take(&bytes);
            }
        }
        if segment.len() > self.options.part_size {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn reserve(&mut self, at_least: usize) -> Result<Box<dyn Page>> {
        self.admit(0)?;
        if at_least > LARGEST_PAGE {
            let text = format!("a page of {at_least} bytes: expected up to {LARGEST_PAGE}");
            return Err(Error::new(ErrorKind::LimitExceeded, text));
        }
        Ok(Box::new(HeapPage::new(at_least.max(4_096))))
    }

    fn bytes_written(&self) -> u64 {
        self.written
    }

    async fn finish(self: Box<Self>) -> Result<ObjectMetadata> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if let Some(expected) = self.options.expected_size.filter(|n| *n > self.written) {
            let text = format!("{} bytes of the {expected} that were said", self.written);
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        tokio::task::yield_now().await; // where a real backend waits for what is in flight

        let mut state = self.shared.state();
        let Staged { uri, bytes } = state.staged.remove(&self.number).unwrap_or_default();
        check_condition(&self.options, &state, &uri)?;
        let checksum = Crc64Nvme(crc_fast::checksum(CrcAlgorithm::Crc64Nvme, &bytes));
        self.options.check_whole(Some(checksum))?;
        let mut metadata = ObjectMetadata::new(&uri, bytes.len() as u64);
        metadata.e_tag = Some(checksum.to_string());
        metadata.checksum = Some(checksum);
        metadata.last_modified = Some(SystemTime::now());
        metadata.take_attributes(&self.options);
        let stored = (metadata.clone(), bytes.into());
        state.objects.insert(uri, stored);
        drop(state);
        let bytes = metadata.size;
        self.reporter.tell(EventKind::Finished { bytes });
        metadata.elapsed = Some(self.started.elapsed());
        metadata.peak_buffered = Some(bytes); // all of it
        let conditional = self.options.is_conditional();
        metadata.condition = conditional.then_some(Condition::Enforced);
        Ok(metadata)
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        Ok(()) // dropping it is all
    }
}

/// Checks what is at `uri` when an object is put there.
fn check_condition(options: &WriterOptions, state: &State, uri: &str) -> Result<()> {
    let found = state.objects.get(uri).map(|(metadata, _)| metadata);
    if options.if_exists == IfExists::Fail && found.is_some() {
        let text = "the object exists, and the write was to create it";
        return Err(Error::new(ErrorKind::AlreadyExists, text).with_uri(uri));
    }
    if options.if_match.is_some() && found.is_none_or(|found| found.e_tag != options.if_match) {
        let text = "the object is not the one that the write was to replace";
        return Err(Error::new(ErrorKind::PreconditionFailed, text).with_uri(uri));
    }
    Ok(())
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        self.shared.state().staged.remove(&self.number);
        // Nothing, if it has finished.
        let error = self.failed.as_ref();
        self.reporter.tell(EventKind::GivenUp { error });
    }
}

struct MemoryReader {
    metadata: ObjectMetadata,
    rest: Segment,
}

#[async_trait]
impl ObjectReader for MemoryReader {
    fn metadata(&self) -> &ObjectMetadata {
        &self.metadata
    }

    async fn next_chunk(&mut self) -> Result<Option<Segment>> {
        let next = self.rest.split_to(READ_CHUNK);
        Ok((!next.is_empty()).then_some(next))
    }
}

struct MemoryLister(Option<Vec<ObjectMetadata>>);

#[async_trait]
impl ObjectLister for MemoryLister {
    async fn next_batch(&mut self) -> Result<Option<Vec<ObjectMetadata>>> {
        Ok(self.0.take())
    }
}
