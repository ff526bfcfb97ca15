//! The writer of one object.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::future;
use std::sync::{Arc, Weak};
use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::oneshot;
use writer_core::{
    Error, ErrorKind, ObjectMetadata, ObjectWriter, Page, Result, Segment, WriterOptions,
};
use writer_tokio::{Intake, LeavingPart, MemoryBudget, PartSink};

use crate::config::Config;
use crate::copy::{Copy, Snapshot};
use crate::error;
use crate::worker::{Discard, Job, Reply, Worker};
use writer_tokio::CleanUps;

/// Writes one object to a staging file, which takes the object's place in `finish`.
///
/// Made by [`FileSystemObjectStore`](crate::FileSystemObjectStore). Dropping it removes what it
/// has staged, at once; [`close`](writer_core::ObjectStore::close) of the store waits until the
/// disk's space is free again too.
///
/// Memory: up to 16 parts of 256 KiB wait to be written (fewer with a smaller
/// [`max_concurrency`](writer_core::WriterOptions::max_concurrency)) while another fills, all
/// within the store's budget. File ranges take one page.
pub struct FileSystemStreamingWriter {
    intake: Intake,
    sink: Sink,
    started: Instant,
}

impl FileSystemStreamingWriter {
    pub(crate) fn new(
        worker: Arc<Worker>,
        config: Config,
        options: &WriterOptions,
        budget: &MemoryBudget,
        cleanups: Arc<CleanUps>,
        started: Instant,
    ) -> Self {
        let preallocate = config
            .plan
            .total()
            .filter(|total| *total > config.plan.part_size(1));
        Self {
            sink: Sink {
                worker,
                cleanups,
                sources: Sources::default(),
                window: config.window,
                preallocate,
                parts: 0,
                whole: None,
                ended: false,
            },
            intake: Intake::new(config.plan, budget, options.buffer_capacity),
            started,
        }
    }

    fn named(&self, error: Error) -> Error {
        error.with_uri(self.sink.worker.uri())
    }
}

#[async_trait]
impl ObjectWriter for FileSystemStreamingWriter {
    async fn write_chunk(&mut self, chunk: &[u8]) -> Result<()> {
        // Before any byte is taken, so that a call that is dropped here has written nothing.
        self.sink.room().await;
        let result = self.intake.write_chunk(&mut self.sink, chunk).await;
        result.map_err(|error| self.named(error))
    }

    async fn write_owned(&mut self, segment: Segment) -> Result<()> {
        if let Segment::File(range) = &segment {
            self.sink.look_at(range.file());
        }
        let result = self.intake.write_owned(&mut self.sink, segment).await;
        self.sink.worker.start();
        result.map_err(|error| self.named(error))?;
        self.sink.room().await;
        Ok(())
    }

    async fn reserve(&mut self, at_least: usize) -> Result<Box<dyn Page>> {
        self.sink.room().await;
        let result = self.intake.reserve(&mut self.sink, at_least).await;
        result.map_err(|error| self.named(error))
    }

    fn bytes_written(&self) -> u64 {
        self.intake.bytes_written()
    }

    async fn finish(mut self: Box<Self>) -> Result<ObjectMetadata> {
        let result = self.intake.finish(&mut self.sink);
        result.map_err(|error| self.named(error))?;
        let (reply, answer) = oneshot::channel();
        self.sink.publish(reply);
        let result = answer.await.unwrap_or_else(|_| Err(error::shut_down()));
        self.sink.ended = true;
        let mut receipt = result.map_err(|error| self.named(error))?;
        receipt.elapsed = Some(self.started.elapsed());
        receipt.peak_buffered = Some(self.intake.peak_held());
        Ok(receipt)
    }

    async fn cancel(mut self: Box<Self>) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.sink.ended = true;
        self.sink.whole = None;
        self.sink.worker.discard(Discard::Caller(reply));
        let result = answer.await.unwrap_or_else(|_| Err(error::shut_down()));
        result.map_err(|error| self.named(error))
    }
}

impl fmt::Debug for FileSystemStreamingWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSystemStreamingWriter")
            .field("uri", &self.sink.worker.uri())
            .field("bytes_written", &self.bytes_written())
            .finish_non_exhaustive()
    }
}

/// Where the intake's parts go.
struct Sink {
    worker: Arc<Worker>,
    cleanups: Arc<CleanUps>,
    sources: Sources,
    window: u64,
    /// Size to make room for with the first byte, unless a file comes first: its blocks may be
    /// shared, or be holes.
    preallocate: Option<u64>,
    parts: u32,
    /// All of a small object. It waits for `finish`, so that one thread takes one turn at it.
    whole: Option<Job>,
    /// Published, failed or cancelled: there is nothing to remove.
    ended: bool,
}

impl Sink {
    async fn room(&self) {
        self.worker.room(self.window).await;
    }

    fn publish(&mut self, reply: Reply) {
        let mut whole = self.whole.take();
        if let Some(Job::Part(part, _)) = &mut whole {
            part.begin();
        }
        let publish = Job::Publish(self.parts, reply);
        self.worker.push(whole.into_iter().chain([publish]));
    }

    /// Keeps what `file` looks like, before any of it is copied. Asking takes no disk access on a
    /// local file system, and must come before the first await.
    fn look_at(&mut self, file: &Arc<File>) {
        self.preallocate = None;
        if let Err(error) = self.sources.look_at(file) {
            self.worker.fail(&error);
        }
    }
}

impl PartSink for Sink {
    fn begin(&mut self) {
        if let Some(len) = self.preallocate.take() {
            self.worker.push([Job::Preallocate(len)]);
        }
    }

    fn accept(&mut self, mut leaving: LeavingPart) {
        self.parts += 1;
        let part = leaving.part();
        let mut copies = Vec::new();
        let mut to = part.offset();
        for segment in part.segments() {
            if let Segment::File(range) = segment {
                let Some(snapshot) = self.sources.get(range.file()) else {
                    let text = "a file range that was not looked at";
                    return self.worker.fail(&Error::new(ErrorKind::Other, text));
                };
                copies.push(Copy {
                    file: Arc::clone(range.file()),
                    snapshot,
                    from: range.offset(),
                    len: range.len(),
                    to,
                });
            }
            to += segment.len();
        }
        if !part.holds_memory() {
            for copy in copies {
                self.worker.push_copy(copy);
            }
            return;
        }
        let snapshots = copies.iter().map(|copy| copy.snapshot).collect();
        if part.is_whole() {
            self.whole = Some(Job::Part(leaving, snapshots));
        } else {
            leaving.begin();
            self.worker.push([Job::Part(leaving, snapshots)]);
        }
    }

    fn failure(&self) -> Option<Error> {
        self.worker.failure()
    }

    fn failed(&self) -> impl Future<Output = Error> + Send {
        let mut failures = self.worker.failures();
        async move {
            let error = match failures.wait_for(Option::is_some).await {
                Ok(error) => error.clone(),
                // The worker is gone, and with it whoever waits.
                Err(_) => None,
            };
            match error {
                Some(error) => error,
                None => future::pending().await,
            }
        }
    }

    fn fail(&mut self, error: &Error) {
        self.whole = None;
        self.worker.fail(error);
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if !self.ended {
            let cleanup = self.cleanups.begin();
            self.worker.discard(Discard::Store(cleanup));
        }
    }
}

/// The files that were handed over, as they were then.
///
/// Keyed by address and held weakly: a descriptor is closed when its last range is copied, and
/// while its entry is there the address is not used again.
#[derive(Default)]
struct Sources {
    seen: HashMap<usize, (Weak<File>, Snapshot)>,
    prune_at: usize,
}

impl Sources {
    fn look_at(&mut self, file: &Arc<File>) -> Result<()> {
        if self.get(file).is_some() {
            return Ok(());
        }
        if self.seen.len() >= self.prune_at {
            self.seen.retain(|_, (file, _)| file.strong_count() > 0);
            self.prune_at = 2 * self.seen.len() + 16;
        }
        let snapshot = Snapshot::of(file)?;
        self.seen
            .insert(address(file), (Arc::downgrade(file), snapshot));
        Ok(())
    }

    fn get(&self, file: &Arc<File>) -> Option<Snapshot> {
        self.seen.get(&address(file)).map(|(_, snapshot)| *snapshot)
    }
}

fn address(file: &Arc<File>) -> usize {
    Arc::as_ptr(file).addr()
}
