//! A memory store with one fault.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::mem;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use crc_fast::CrcAlgorithm;
use testkit::MemoryStore;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;
use writer_core::{
    ByteRange, Condition, Crc64Nvme, Error, ErrorKind, IfExists, ObjectLister, ObjectMetadata,
    ObjectReader, ObjectStore, ObjectWriter, Page, Result, Segment, WriterOptions,
};

use crate::blank::Blank;

/// What is wrong with a store.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    // The bytes.
    DropsTail, SwapsParts, DropsLongChunks, DropsSingleBytes, DropsOwnedParts, DropsOwnedTiny,
    DropsOwnedLong, OwnedOvertakesChunks, DropsStatics, AddsToEmptyWrites, Miscounts, RefusesEmpty,
    LosesFiles, ReadsFilesFromStart, MovesTheCursor, SkipsHoles, PadsShortFiles,
    ShortPages, ForgetsPages, OverlaysOld, SharesStaging, Compresses, LosesLastOfOneInFlight,
    // The moment.
    PublishesEarly, HoldsBackUntilFinish, TornFinish,
    // Errors and cancellation.
    IgnoresExpectedSize, ForgetsErrors, ForgetsInterruption, LateOwned, CountsNothingTaken,
    // What is left behind.
    LeaksOnDrop, LeaksOnCancel, LeaksOnDroppedCancel, LeaksOnDroppedCreate, LeaksOnFailedFinish,
    CancelPublishes,
    // Conditions, options and URIs.
    IgnoresCreateOnly, IgnoresCreateOnlyOfParts, ChecksCreateOnlyEarly, SaysAdvisory, ForgetsCondition, IgnoresIfMatch,
    ChecksIfMatchEarly, ReplacesMissing, NeverMatches, IgnoresExpectedChecksum,
    RefusesAnyChecksum, ChecksAfterwards, DropsMetadata, DropsHeaders,
    DropsLanguage, DropsTagValues, TakesAnyOptions, TakesAnyUri, RefusesNoOptions, DecodesNames,
    // The receipt.
    NoChecksum, WrongChecksum, WrongUri, QuotedETag, KeepsOldChecksum, TellsNobody, CountsNothing,
    // The other calls.
    FindsMissing, EndIsInclusive, RefusesLongSuffixes, ClampsRanges, DeleteNeedsObject, PutKeepsOld, ListsOneLevel,
    ListsDirectories, EmptyListIsError, ListsFirstPage, CloseEndsWriters,
    // Many at a time.
    FewSlots, FewWriters, BoundToTask, Panics,
}

use Fault::*;

#[derive(Clone)]
pub(crate) struct BrokenStore {
    pub(crate) inner: MemoryStore,
    fault: Fault,
    slots: Arc<Semaphore>,
    /// How often the store was closed.
    closed: Arc<AtomicU64>,
    shared: Arc<Mutex<HashMap<String, Vec<u8>>>>,
}

impl BrokenStore {
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            inner: MemoryStore::new(),
            fault,
            slots: Arc::new(Semaphore::new(100)),
            closed: Arc::default(),
            shared: Arc::default(),
        }
    }

    fn uri(&self, uri: &str) -> String {
        match self.fault {
            DecodesNames => uri.replace("%20", " "),
            TakesAnyUri if !uri.starts_with("memory://") || uri.ends_with('/') => {
                "memory://lost".into()
            }
            _ => uri.to_owned(),
        }
    }
}

fn invalid(text: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, text)
}

fn crc(bytes: &[u8]) -> Crc64Nvme {
    Crc64Nvme(crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes))
}

/// Leaves what it holds behind, if it is dropped.
struct Leak<T>(Option<T>);

impl<T> Drop for Leak<T> {
    fn drop(&mut self) {
        mem::forget(self.0.take());
    }
}

async fn read(store: &MemoryStore, uri: &str) -> Result<Vec<u8>> {
    let mut reader = store.get(uri, ByteRange::Full).await?;
    let mut bytes = Vec::new();
    while let Some(Segment::Memory(chunk)) = reader.next_chunk().await? {
        bytes.extend_from_slice(chunk.as_ref());
    }
    Ok(bytes)
}

#[async_trait]
impl ObjectStore for BrokenStore {
    async fn create_writer(
        &self,
        uri: &str,
        options: Option<WriterOptions>,
    ) -> Result<Box<dyn ObjectWriter>> {
        if self.fault == RefusesNoOptions && options.is_none() {
            return Err(invalid("no options"));
        }
        let name = self.uri(uri);
        let mut options = options.map_or_else(WriterOptions::from_env, Ok)?;
        let create_only = options.if_exists == IfExists::Fail;
        let conditional = options.is_conditional();
        match self.fault {
            IgnoresExpectedSize => options.expected_size = None,
            IgnoresCreateOnly => options.if_exists = IfExists::Replace,
            ChecksCreateOnlyEarly if create_only => {
                if self.inner.stat(&name).await.is_ok() {
                    return Err(Error::new(ErrorKind::AlreadyExists, "it is there"));
                }
                options.if_exists = IfExists::Replace;
            }
            IgnoresIfMatch => options.if_match = None,
            ChecksIfMatchEarly if options.if_match.is_some() => {
                let found = self.inner.stat(&name).await.ok();
                if found.and_then(|found| found.e_tag) != options.if_match.take() {
                    return Err(Error::new(ErrorKind::PreconditionFailed, "it is another"));
                }
            }
            ReplacesMissing if self.inner.stat(&name).await.is_err() => options.if_match = None,
            NeverMatches if options.if_match.is_some() => options.if_match = Some("x".to_owned()),
            IgnoresExpectedChecksum => options.expected_checksum = None,
            RefusesAnyChecksum if options.expected_checksum.is_some() => {
                options.expected_checksum = Some(Crc64Nvme(0));
            }
            TellsNobody => options.observer = None,
            DropsMetadata => {
                options.content_type = None;
                options.content_encoding = None;
                options.metadata.clear();
                options.tags.clear();
                options.storage_class = None;
            }
            DropsHeaders => {
                options.cache_control = None;
                options.content_disposition = None;
            }
            DropsLanguage => options.content_language = None,
            DropsTagValues => options.tags.values_mut().for_each(String::clear),
            TakesAnyOptions if options.validate().is_err() => options = WriterOptions::default(),
            FewWriters if self.inner.staged().len() >= 50 => {
                return Err(Error::new(ErrorKind::LimitExceeded, "too many writers"));
            }
            Panics if uri.ends_with(".gz") => panic!("a fault of the backend"),
            _ => {}
        }
        let mut inner_options = options.clone();
        if self.fault == ChecksAfterwards {
            options.validate()?;
            inner_options.expected_checksum = None;
        }
        let opened = self.inner.create_writer(&name, Some(inner_options)).await?;
        let mut opened = match self.fault {
            LeaksOnDroppedCreate => {
                let mut leak = Leak(Some(opened));
                yield_now().await;
                leak.0.take()
            }
            _ => Some(opened),
        };
        Ok(Box::new(BrokenWriter {
            store: self.clone(),
            uri: uri.to_owned(),
            conditional,
            options,
            inner: opened.take(),
            held: Vec::new(),
            late: Vec::new(),
            lost: 0,
            task: tokio::task::try_id(),
            closed: self.closed.load(Ordering::Relaxed),
            slot: None,
        }))
    }

    async fn put(&self, uri: &str, data: Segment) -> Result<ObjectMetadata> {
        let uri = self.uri(uri);
        if self.fault == PutKeepsOld && self.inner.stat(&uri).await.is_ok() {
            return self.inner.stat(&uri).await;
        }
        self.inner.put(&uri, data).await
    }

    async fn stat(&self, uri: &str) -> Result<ObjectMetadata> {
        match self.inner.stat(&self.uri(uri)).await {
            Err(_) if self.fault == FindsMissing => Ok(ObjectMetadata::new(uri, 0)),
            Ok(mut stat) if self.fault == KeepsOldChecksum => {
                let old = self.shared.lock().expect("lock").get(uri).cloned();
                stat.checksum = old.map(|old| crc(&old)).or(stat.checksum);
                Ok(stat)
            }
            stat => stat,
        }
    }

    async fn get(&self, uri: &str, range: ByteRange) -> Result<Box<dyn ObjectReader>> {
        let uri = self.uri(uri);
        let range = match range {
            ByteRange::Bounded { start, end } if self.fault == EndIsInclusive && start < end => {
                let end = end.saturating_add(1);
                ByteRange::Bounded { start, end }
            }
            ByteRange::Last(last) if self.fault == RefusesLongSuffixes => {
                let size = self.inner.stat(&uri).await?.size;
                if last > size {
                    return Err(Error::new(ErrorKind::Unavailable, "more than there are"));
                }
                range
            }
            range => range,
        };
        match self.inner.get(&uri, range).await {
            Err(error) if self.fault == ClampsRanges && error.kind() == ErrorKind::InvalidInput => {
                self.inner.get(&uri, ByteRange::Full).await
            }
            got => got,
        }
    }

    async fn list(&self, prefix: &str) -> Result<Box<dyn ObjectLister>> {
        let directory = prefix.rfind('/').map_or(prefix, |slash| &prefix[..=slash]);
        let directories = self.fault == ListsDirectories;
        let mut lister = self
            .inner
            .list(if directories { directory } else { prefix })
            .await?;
        let mut found = lister.next_batch().await?.unwrap_or_default();
        match self.fault {
            ListsOneLevel => found.retain(|object| !object.uri[prefix.len()..].contains('/')),
            ListsFirstPage => found.truncate(100),
            EmptyListIsError if found.is_empty() => return Err(invalid("nothing there")),
            _ => {}
        }
        Ok(Box::new(OneBatch(Some(found))))
    }

    async fn delete(&self, uri: &str) -> Result<()> {
        let uri = self.uri(uri);
        if self.fault == DeleteNeedsObject {
            self.inner.stat(&uri).await?;
        }
        self.inner.delete(&uri).await
    }

    async fn close(&self) -> Result<()> {
        self.closed.fetch_add(1, Ordering::Relaxed);
        self.inner.close().await
    }
}

struct OneBatch(Option<Vec<ObjectMetadata>>);

#[async_trait]
impl ObjectLister for OneBatch {
    async fn next_batch(&mut self) -> Result<Option<Vec<ObjectMetadata>>> {
        Ok(self.0.take())
    }
}

struct BrokenWriter {
    store: BrokenStore,
    uri: String,
    conditional: bool,
    options: WriterOptions,
    inner: Option<Box<dyn ObjectWriter>>,
    /// All that was written.
    held: Vec<u8>,
    /// What goes to the inner writer later than it should.
    late: Vec<u8>,
    /// Bytes that are counted, but that the inner writer never got.
    lost: u64,
    task: Option<tokio::task::Id>,
    closed: u64,
    slot: Option<OwnedSemaphorePermit>,
}

impl BrokenWriter {
    fn part(&self) -> usize {
        self.options.part_size as usize
    }

    fn inner(&mut self) -> &mut Box<dyn ObjectWriter> {
        self.inner.as_mut().expect("open")
    }

    fn lose(&mut self, len: u64) -> Result<()> {
        self.lost += len;
        Ok(())
    }

    /// What every write meets first.
    async fn enter(&mut self) -> Result<()> {
        match self.store.fault {
            CloseEndsWriters if self.closed != self.store.closed.load(Ordering::Relaxed) => {
                Err(Error::new(ErrorKind::Closed, "the store was closed"))
            }
            BoundToTask if self.task != tokio::task::try_id() => Err(invalid("another task")),
            FewSlots if self.slot.is_none() => {
                let slot = Arc::clone(&self.store.slots).acquire_owned().await;
                self.slot = slot.ok();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What every write does at last.
    async fn leave(&mut self, written: Result<()>) -> Result<()> {
        match self.store.fault {
            PublishesEarly => {
                let data = Segment::from(self.held.clone());
                self.store.inner.put(&self.uri, data).await?;
                written
            }
            ForgetsErrors if written.is_err() => {
                let options = self.options.clone();
                let reopened = self
                    .store
                    .inner
                    .create_writer(&self.uri, Some(options))
                    .await?;
                self.inner = Some(reopened);
                written
            }
            _ => written,
        }
    }

    async fn chunk(&mut self, chunk: &[u8]) -> Result<()> {
        let len = chunk.len() as u64;
        let part = self.part();
        match self.store.fault {
            DropsLongChunks if chunk.len() > part => {
                self.lost += len - part as u64;
                self.inner().write_chunk(&chunk[..part]).await
            }
            DropsSingleBytes if chunk.len() == 1 && self.held.len() > 1 => self.lose(len),
            AddsToEmptyWrites if chunk.is_empty() => self.inner().write_chunk(b"!").await,
            OwnedOvertakesChunks => {
                self.late.extend_from_slice(chunk);
                self.lose(len)
            }
            HoldsBackUntilFinish => self.lose(len),
            ForgetsInterruption => {
                let (head, tail) = chunk.split_at(chunk.len() / 2);
                self.inner().write_owned(head.to_vec().into()).await?;
                yield_now().await;
                self.inner().write_owned(tail.to_vec().into()).await
            }
            CountsNothingTaken if self.lost == 0 && chunk.len() > part => {
                // The chunk is taken, though the count comes after the await.
                self.late.extend_from_slice(chunk);
                yield_now().await;
                self.lose(len)
            }
            _ => self.inner().write_chunk(chunk).await,
        }
    }

    async fn owned(&mut self, segment: Segment) -> Result<()> {
        let (len, part) = (segment.len(), self.options.part_size);
        match (self.store.fault, &segment) {
            (DropsOwnedParts, Segment::Memory(_)) if len == part => self.lose(len),
            (DropsOwnedTiny, Segment::Memory(_)) if len < 20 && self.held.len() > 20 => {
                self.lose(len)
            }
            (DropsOwnedLong, Segment::Memory(_)) if len > part => self.lose(len),
            (DropsStatics, Segment::Memory(_)) if len == 5_003 => self.lose(len),
            (LosesFiles, Segment::File(_)) => self.lose(len),
            (HoldsBackUntilFinish, _) => self.lose(len),
            (ReadsFilesFromStart, Segment::File(range)) => {
                let file = Arc::clone(range.file());
                self.inner().write_owned(Segment::file(file, 0..len)).await
            }
            (MovesTheCursor, Segment::File(range)) => {
                let mut file = &**range.file();
                let mut bytes = vec![0; len as usize];
                file.seek(SeekFrom::Start(range.offset()))?;
                file.read_exact(&mut bytes)?;
                self.inner().write_owned(bytes.into()).await
            }
            (SkipsHoles, Segment::File(_)) => {
                let read = &self.held[self.held.len() - len as usize..];
                let blocks = read
                    .chunks(512)
                    .filter(|block| block.iter().any(|b| *b != 0));
                let data = blocks.collect::<Vec<_>>().concat();
                self.lost += len - data.len() as u64;
                self.inner().write_owned(data.into()).await
            }
            (PadsShortFiles, Segment::File(_)) => {
                let read = self.held[self.held.len() - len as usize..].to_vec();
                self.inner().write_owned(read.into()).await
            }
            (LateOwned, _) => {
                yield_now().await;
                self.inner().write_owned(segment).await
            }
            _ => self.inner().write_owned(segment).await,
        }
    }

    /// What is stored, where that is something else than the inner writer got.
    async fn rewritten(&mut self) -> Option<Vec<u8>> {
        let (part, held) = (self.part(), &self.held);
        match self.store.fault {
            DropsTail if held.len() > part => Some(held[..held.len() / part * part].to_vec()),
            SwapsParts if held.len() >= 3 * part => {
                let (one, rest) = held.split_at(part);
                let (two, rest) = rest.split_at(part);
                let (three, rest) = rest.split_at(part);
                Some([one, three, two, rest].concat())
            }
            LosesLastOfOneInFlight if self.options.max_concurrency == 1 => {
                Some(held[..held.len() - 1].to_vec())
            }
            OverlaysOld => {
                let mut bytes = held.clone();
                let old = read(&self.store.inner, &self.uri).await.unwrap_or_default();
                bytes.extend_from_slice(old.get(held.len()..).unwrap_or_default());
                Some(bytes)
            }
            SharesStaging => self.store.shared.lock().expect("lock").remove(&self.uri),
            Compresses if self.uri.ends_with(".gz") => Some([&[0x1f, 0x8b], &held[..]].concat()),
            HoldsBackUntilFinish => Some(held.clone()),
            IgnoresCreateOnlyOfParts if held.len() > part => Some(held.clone()),
            CountsNothingTaken if !self.late.is_empty() => Some(self.late.clone()),
            _ => None,
        }
    }

    fn lie(&self, receipt: &mut ObjectMetadata) {
        receipt.uri.clone_from(&self.uri);
        if receipt.size != self.held.len() as u64 {
            receipt.size = self.held.len() as u64;
            receipt.checksum = Some(crc(&self.held));
        }
        match self.store.fault {
            IgnoresCreateOnly
            | ChecksCreateOnlyEarly
            | IgnoresIfMatch
            | ChecksIfMatchEarly
            | ReplacesMissing
                if self.conditional =>
            {
                receipt.condition = Some(Condition::Enforced);
            }
            ForgetsCondition => receipt.condition = None,
            SaysAdvisory => receipt.condition = Some(Condition::Advisory),
            NoChecksum => receipt.checksum = None,
            CountsNothing => receipt.elapsed = None,
            WrongChecksum => receipt.checksum = Some(Crc64Nvme(0)),
            WrongUri => receipt.uri.push('x'),
            QuotedETag => receipt.e_tag = receipt.e_tag.take().map(|tag| format!("\"{tag}\"")),
            _ => {}
        }
    }
}

#[async_trait]
impl ObjectWriter for BrokenWriter {
    async fn write_chunk(&mut self, chunk: &[u8]) -> Result<()> {
        self.enter().await?;
        self.held.extend_from_slice(chunk);
        if self.store.fault == SharesStaging {
            let mut shared = self.store.shared.lock().expect("lock");
            shared
                .entry(self.uri.clone())
                .or_default()
                .extend_from_slice(chunk);
        }
        let written = self.chunk(chunk).await;
        self.leave(written).await
    }

    async fn write_owned(&mut self, segment: Segment) -> Result<()> {
        self.enter().await?;
        match &segment {
            Segment::Memory(bytes) => self.held.extend_from_slice(bytes.as_ref()),
            Segment::File(range) => {
                let start = self.held.len();
                self.held.resize(start + range.len() as usize, 0);
                let _short = range
                    .file()
                    .read_at(&mut self.held[start..], range.offset());
            }
        }
        let written = self.owned(segment).await;
        self.leave(written).await
    }

    async fn reserve(&mut self, at_least: usize) -> Result<Box<dyn Page>> {
        match self.store.fault {
            ShortPages => self.inner().reserve(1).await,
            ForgetsPages => Ok(Box::new(Blank(self.inner().reserve(at_least).await?))),
            _ => self.inner().reserve(at_least).await,
        }
    }

    fn bytes_written(&self) -> u64 {
        let inner = self.inner.as_ref().expect("open").bytes_written();
        match self.store.fault {
            Miscounts => inner / self.options.part_size * self.options.part_size,
            AddsToEmptyWrites => self.held.len() as u64,
            _ => inner + self.lost,
        }
    }

    async fn finish(mut self: Box<Self>) -> Result<ObjectMetadata> {
        self.enter().await?;
        let fault = self.store.fault;
        if fault == RefusesEmpty && self.held.is_empty() {
            return Err(invalid("an upload of no parts"));
        }
        if fault == OwnedOvertakesChunks {
            let late = mem::take(&mut self.late);
            self.inner().write_owned(late.into()).await?;
        }
        if fault == TornFinish {
            let half = Segment::from(self.held[..self.held.len() / 2].to_vec());
            self.store.inner.put(&self.uri, half).await?;
            yield_now().await;
        }
        if fault == IgnoresCreateOnlyOfParts && self.held.len() > self.part() {
            self.options.if_exists = IfExists::Replace;
        }
        if fault == KeepsOldChecksum
            && let Ok(old) = read(&self.store.inner, &self.uri).await
        {
            let mut shared = self.store.shared.lock().expect("lock");
            shared.insert(self.uri.clone(), old);
        }
        let mut inner = self.inner.take().expect("open");
        if let Some(data) = self.rewritten().await {
            inner.cancel().await?;
            let options = Some(self.options.clone());
            inner = self.store.inner.create_writer(&self.uri, options).await?;
            inner.write_owned(data.into()).await?;
        }
        let mut receipt = match inner.finish().await {
            Err(error) if fault == LeaksOnFailedFinish => {
                let options = Some(self.options.clone());
                mem::forget(self.store.inner.create_writer(&self.uri, options).await?);
                return Err(error);
            }
            finished => finished?,
        };
        if fault == ChecksAfterwards {
            self.options.check_whole(receipt.checksum)?;
        }
        self.lie(&mut receipt);
        Ok(receipt)
    }

    async fn cancel(mut self: Box<Self>) -> Result<()> {
        let inner = self.inner.take().expect("open");
        match self.store.fault {
            LeaksOnCancel => mem::forget(inner),
            CancelPublishes => drop(inner.finish().await?),
            LeaksOnDroppedCancel => {
                let mut leak = Leak(Some(inner));
                yield_now().await;
                drop(leak.0.take());
            }
            _ => inner.cancel().await?,
        }
        Ok(())
    }
}

impl Drop for BrokenWriter {
    fn drop(&mut self) {
        if self.store.fault == LeaksOnDrop {
            mem::forget(self.inner.take());
        }
    }
}
