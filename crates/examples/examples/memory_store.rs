//! A third backend, written against what the crates export: objects in memory, as `mem://KEY`.
//!
//! What every backend shares, `writer-tokio` does: [`open_writer`] compresses, and [`Intake`] takes
//! writes, splits them into parts within the store's memory budget, and keeps what the traits
//! promise of calls that fail or are dropped. What is left for a backend is where parts go (a
//! [`PartSink`]), how they become an object in one step (`finish`), and how objects are found.
//!
//! It passes the conformance suite of `testkit`: `cargo test -p examples --test memory_store`.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::future::{self, Future};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use async_trait::async_trait;
use crc_fast::{CrcAlgorithm, checksum};
use writer_core::{
    ByteRange, Condition, Crc64Nvme, Error, ErrorKind, EventKind, IfExists, ObjectLister,
    ObjectMetadata, ObjectReader, ObjectStore, ObjectWriter, Page, PartLimits, PartPlan, Reporter,
    Result, Segment, Step, WriterOptions,
};
use writer_stores::Stores;
use writer_tokio::{
    Codec, Intake, LeavingPart, MemoryBudget, PartSink, decompress, guess_content_type, open_writer,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    run().await
}

/// Writes objects to a store that is found by its scheme, and reads one back.
pub async fn run() -> anyhow::Result<()> {
    let stores = Stores::new().with("mem", Arc::new(MemoryObjectStore::new(16 << 20)?));
    let store = stores.get("mem://notes").await?;

    let options = WriterOptions::default().with_codec(Codec::Zstd);
    let mut writer = store.create_writer("mem://notes", Some(options)).await?;
    for line in 0..10_000 {
        writer
            .write_chunk(format!("line {line}\n").as_bytes())
            .await?;
    }
    let receipt = writer.finish().await?;
    let (stored, written) = (receipt.size, receipt.size_written.unwrap_or_default());

    let reader = store.get("mem://notes", ByteRange::Full).await?;
    let mut reader = decompress(reader, Codec::Zstd)?;
    let mut read = 0;
    while let Some(chunk) = reader.next_chunk().await? {
        read += chunk.len();
    }
    assert_eq!(read, written);
    println!("{}: {written} bytes, stored as {stored}", receipt.uri);
    stores.close().await?;
    Ok(())
}

/// Objects in memory, with a budget for those that are being written.
#[derive(Clone, Debug)]
pub struct MemoryObjectStore {
    shared: Arc<Mutex<Objects>>,
    budget: MemoryBudget,
}

#[derive(Debug, Default)]
struct Objects {
    finished: BTreeMap<String, (ObjectMetadata, Segment)>,
    /// What open writers have stored so far, by their number: two of one object share nothing.
    staged: BTreeMap<u64, (String, Vec<u8>)>,
    writers: u64,
}

impl MemoryObjectStore {
    /// An empty store, whose writers hold at most `memory` bytes that are not stored yet.
    pub fn new(memory: u64) -> Result<Self> {
        let budget = MemoryBudget::new(memory)?;
        let shared = Arc::default();
        Ok(Self { shared, budget })
    }

    /// The objects that are being written, and how much of each is there.
    pub fn staged(&self) -> Vec<(String, u64)> {
        let staged = &lock(&self.shared).staged;
        let size = |(uri, bytes): &(String, Vec<u8>)| (uri.clone(), bytes.len() as u64);
        staged.values().map(size).collect()
    }

    fn find(&self, uri: &str) -> Result<(ObjectMetadata, Segment)> {
        check(uri)?;
        let found = lock(&self.shared).finished.get(uri).cloned();
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, "no such object").with_uri(uri))
    }
}

fn lock(objects: &Mutex<Objects>) -> MutexGuard<'_, Objects> {
    // Every change is one step.
    objects.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check(uri: &str) -> Result<()> {
    match uri.strip_prefix("mem://") {
        Some(key) if !key.is_empty() && !key.ends_with('/') => Ok(()),
        _ => {
            let text = "names no object: expected mem://KEY";
            Err(Error::new(ErrorKind::InvalidInput, text).with_uri(uri))
        }
    }
}

#[async_trait]
impl ObjectStore for MemoryObjectStore {
    async fn create_writer(
        &self,
        uri: &str,
        options: Option<WriterOptions>,
    ) -> Result<Box<dyn ObjectWriter>> {
        check(uri)?;
        let options = options.map_or_else(WriterOptions::from_env, Ok)?;
        let (store, named) = (self.clone(), uri.to_owned());
        open_writer(uri, options, &self.budget, move |mut options| {
            guess_content_type(&named, &mut options)?;
            Ok(Box::new(MemoryWriter::new(store, named, options)?))
        })
    }

    async fn put(&self, uri: &str, data: Segment) -> Result<ObjectMetadata> {
        let options = WriterOptions::from_env()?.with_expected_size(data.len());
        let mut writer = self.create_writer(uri, Some(options)).await?;
        writer.write_owned(data).await?;
        writer.finish().await
    }

    async fn stat(&self, uri: &str) -> Result<ObjectMetadata> {
        Ok(self.find(uri)?.0)
    }

    async fn get(&self, uri: &str, range: ByteRange) -> Result<Box<dyn ObjectReader>> {
        let (metadata, mut bytes) = self.find(uri)?;
        let Some((start, len)) = range.resolve(metadata.size) else {
            let text = format!("{range:?} has no byte of {}", metadata.size);
            return Err(Error::new(ErrorKind::InvalidInput, text).with_uri(uri));
        };
        let _before = bytes.split_to(start);
        let rest = bytes.split_to(len);
        Ok(Box::new(MemoryReader { metadata, rest }))
    }

    async fn list(&self, prefix: &str) -> Result<Box<dyn ObjectLister>> {
        let objects = lock(&self.shared);
        let from = objects.finished.range(prefix.to_owned()..);
        let found = from.take_while(|(uri, _)| uri.starts_with(prefix));
        let found = found.map(|(_, (metadata, _))| metadata.clone()).collect();
        Ok(Box::new(MemoryLister(Some(found))))
    }

    async fn delete(&self, uri: &str) -> Result<()> {
        check(uri)?;
        lock(&self.shared).finished.remove(uri);
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(()) // what a dropped writer has stored is gone when its drop returns
    }
}

struct MemoryWriter {
    uri: String,
    options: WriterOptions,
    started: Instant,
    intake: Intake,
    sink: Staging,
}

impl MemoryWriter {
    fn new(store: MemoryObjectStore, uri: String, options: WriterOptions) -> Result<Self> {
        let plan = PartPlan::new(&options, PartLimits::NONE, store.budget.capacity())?;
        let intake = Intake::new(plan, &store.budget, options.buffer_capacity);
        let mut objects = lock(&store.shared);
        objects.writers += 1;
        let number = objects.writers;
        objects.staged.insert(number, (uri.clone(), Vec::new()));
        drop(objects);
        let sink = Staging {
            shared: store.shared,
            number,
            failure: None,
            reporter: Reporter::open(&uri, &options),
        };
        Ok(Self {
            uri,
            options,
            started: Instant::now(),
            intake,
            sink,
        })
    }

    fn named<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.with_uri(&self.uri))
    }

    /// What has no await can't be dropped half way: here the object appears, or does not.
    fn publish(&self) -> Result<ObjectMetadata> {
        let mut objects = lock(&self.sink.shared);
        let (uri, bytes) = objects.staged.remove(&self.sink.number).unwrap_or_default();
        let old = objects.finished.get(&uri).map(|(old, _)| &old.e_tag);
        if old.is_some() && self.options.if_exists == IfExists::Fail {
            let text = "the object exists already, and was to be created only";
            return Err(Error::new(ErrorKind::AlreadyExists, text));
        }
        if self.options.if_match.is_some() && old != Some(&self.options.if_match) {
            let text = "the object is not the one that was to be replaced";
            return Err(Error::new(ErrorKind::PreconditionFailed, text));
        }
        let crc = Crc64Nvme(checksum(CrcAlgorithm::Crc64Nvme, &bytes));
        self.options.check_whole(Some(crc))?;
        let mut metadata = ObjectMetadata::new(&uri, bytes.len() as u64);
        metadata.e_tag = Some(crc.to_string());
        metadata.checksum = Some(crc);
        metadata.last_modified = Some(SystemTime::now());
        metadata.take_attributes(&self.options);
        let object = (metadata.clone(), Segment::from(bytes));
        objects.finished.insert(uri, object);
        let conditional = self.options.is_conditional();
        metadata.condition = conditional.then_some(Condition::Enforced);
        Ok(metadata)
    }
}

#[async_trait]
impl ObjectWriter for MemoryWriter {
    async fn write_chunk(&mut self, chunk: &[u8]) -> Result<()> {
        let result = self.intake.write_chunk(&mut self.sink, chunk).await;
        self.named(result)
    }

    async fn write_owned(&mut self, segment: Segment) -> Result<()> {
        let result = self.intake.write_owned(&mut self.sink, segment).await;
        self.named(result)
    }

    async fn reserve(&mut self, at_least: usize) -> Result<Box<dyn Page>> {
        let result = self.intake.reserve(&mut self.sink, at_least).await;
        self.named(result)
    }

    fn bytes_written(&self) -> u64 {
        self.intake.bytes_written()
    }

    async fn finish(mut self: Box<Self>) -> Result<ObjectMetadata> {
        let finished = self.intake.finish(&mut self.sink);
        self.named(finished)?;
        self.named(self.sink.failure.clone().map_or(Ok(()), Err))?;
        let mut receipt = self.named(self.publish())?;
        let bytes = receipt.size;
        self.sink.reporter.tell(EventKind::Finished { bytes });
        receipt.elapsed = Some(self.started.elapsed());
        receipt.peak_buffered = Some(self.intake.peak_held());
        Ok(receipt)
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        Ok(()) // dropping it is all
    }
}

/// Where the parts of one object go.
struct Staging {
    shared: Arc<Mutex<Objects>>,
    number: u64,
    failure: Option<Error>,
    /// Tells whoever watches.
    reporter: Reporter,
}

impl PartSink for Staging {
    fn accept(&mut self, mut leaving: LeavingPart) {
        // Its memory comes back at the end of this function; where parts take their time, a task
        // would have it until then.
        leaving.begin();
        let mut bytes = Vec::new();
        for segment in leaving.part().segments() {
            match segment {
                Segment::Memory(memory) => bytes.extend_from_slice(memory.as_ref()),
                Segment::File(range) => {
                    let start = bytes.len();
                    // This blocks; a backend that has more to do reads on other threads.
                    bytes.resize(
                        start + usize::try_from(range.len()).unwrap_or(usize::MAX),
                        0,
                    );
                    let read = range
                        .file()
                        .read_exact_at(&mut bytes[start..], range.offset());
                    if let Err(error) = read {
                        let text = format!("the file is not as it was said to be: {error}");
                        let error = Error::new(ErrorKind::SourceChanged, text).with_source(error);
                        return self.fail(&error);
                    }
                }
            }
        }
        if let Some((_, staged)) = lock(&self.shared).staged.get_mut(&self.number) {
            staged.append(&mut bytes);
        }
        self.reporter.tell(EventKind::Done {
            step: Step::Part(leaving.part().number()),
            bytes: leaving.part().len(),
            reused: false,
        });
    }

    fn failure(&self) -> Option<Error> {
        self.failure.clone()
    }

    fn failed(&self) -> impl Future<Output = Error> + Send {
        let failure = self.failure.clone();
        async {
            match failure {
                Some(error) => error,
                // Nothing fails while a call waits, because parts are stored by the calls.
                None => future::pending().await,
            }
        }
    }

    fn fail(&mut self, error: &Error) {
        self.failure.get_or_insert_with(|| error.clone());
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        lock(&self.shared).staged.remove(&self.number);
        let error = self.failure.as_ref();
        self.reporter.tell(EventKind::GivenUp { error }); // nothing, if it has finished
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
        let next = self.rest.split_to(64 << 10);
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
