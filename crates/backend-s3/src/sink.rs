//! A streaming multipart upload of one object, by bucket and key.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::Instrument;
use writer_core::{
    Condition, Crc64Nvme, Error, ErrorKind, Page, PartPlan, Reporter, Result, Segment,
    WriterOptions,
};
use writer_tokio::{CleanUps, Intake, LeavingPart, PAGE_SIZE, PartSink, Sources};

use crate::context::Context;
use crate::location::Location;
use crate::publish::Receipt;
use crate::resume::Resumed;
use crate::store::S3ObjectStore;
use crate::upload::{self, Command};
use crate::watch::Watch;

/// How a multipart upload behaves: what [`WriterOptions`] say, and when parts leave and stay.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MultipartUploadConfig {
    /// Part size, concurrency, memory set aside, checksums and the rest.
    pub writer: WriterOptions,
    /// Send every part as soon as it is full. If false, full parts are held, within the memory
    /// budget, until [`flush`](StreamingMultipartSink::flush) or `finish`. Default true.
    pub auto_flush: bool,
    /// Abort the upload when the sink is dropped. If false, its parts stay on the service, to be
    /// found by ListMultipartUploads, and are charged for. Default true.
    pub abort_on_drop: bool,
    /// Leave the parts of an upload that fails, is cancelled or is dropped, so that it can be
    /// taken up again ([`S3ObjectStore::resume`]); they are charged for until then. Default false.
    pub keep_parts: bool,
}

impl Default for MultipartUploadConfig {
    fn default() -> Self {
        Self::from(WriterOptions::default())
    }
}

impl From<WriterOptions> for MultipartUploadConfig {
    fn from(writer: WriterOptions) -> Self {
        Self {
            writer,
            auto_flush: true,
            abort_on_drop: true,
            keep_parts: false,
        }
    }
}

impl MultipartUploadConfig {
    /// Sets [`auto_flush`](Self::auto_flush).
    #[must_use]
    pub fn with_auto_flush(mut self, auto_flush: bool) -> Self {
        self.auto_flush = auto_flush;
        self
    }

    /// Sets [`abort_on_drop`](Self::abort_on_drop).
    #[must_use]
    pub fn with_abort_on_drop(mut self, abort_on_drop: bool) -> Self {
        self.abort_on_drop = abort_on_drop;
        self
    }

    /// Sets [`keep_parts`](Self::keep_parts).
    #[must_use]
    pub fn with_keep_parts(mut self, keep_parts: bool) -> Self {
        self.keep_parts = keep_parts;
        self
    }
}

/// What a finished upload was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MultipartCompleteInfo {
    /// The object's ETag, without quotes.
    pub e_tag: Option<String>,
    /// The object's version, on a bucket that keeps versions.
    pub version_id: Option<String>,
    /// CRC64NVME of the whole object, which the service has checked as a whole or part by part;
    /// `None` with checksums off.
    pub checksum: Option<Crc64Nvme>,
    /// How the service encrypts it, if it says so, in its words.
    pub encryption: Option<String>,
    /// Size in bytes.
    pub total_bytes: u64,
    /// Parts sent: 1 for an object that was one PutObject.
    pub parts: u32,
    /// Requests that were tried again.
    pub retries: u64,
    /// Bytes of bodies that were sent more than once, whole or in part.
    pub bytes_resent: u64,
    /// Bytes that an earlier upload had stored, and that were not sent again.
    pub bytes_reused: u64,
    /// The most bytes of memory that the sink held at once: pages as a whole, owned segments by
    /// their length.
    pub peak_buffered: u64,
    /// From the making of the sink to the confirmation.
    pub elapsed: Duration,
}

/// Uploads one object as its bytes come.
///
/// What [`ObjectWriter`](writer_core::ObjectWriter) promises holds here as well; this type adds
/// [`flush`](Self::flush) and says more at the end. Objects of at most one part are one
/// PutObject, which is sent by `finish`.
///
/// ```no_run
/// # async fn example(store: backend_s3::S3ObjectStore) -> writer_core::Result<()> {
/// use backend_s3::{MultipartUploadConfig, StreamingMultipartSink};
///
/// let config = MultipartUploadConfig::default();
/// let mut sink = StreamingMultipartSink::new(&store, "bucket", "key", config)?;
/// sink.write(b"as it comes").await?;
/// let info = sink.finish().await?;
/// assert_eq!(info.total_bytes, 11);
/// # Ok(())
/// # }
/// ```
pub struct StreamingMultipartSink {
    intake: Intake,
    outbox: Outbox,
    /// Files stay open until the upload has ended: a change of any of them must be noticed.
    sources: Sources,
    started: Instant,
}

impl StreamingMultipartSink {
    /// An upload to `key` in `bucket`. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for options out of bounds, tags that S3 does not take, or outside
    /// of a tokio runtime, [`ErrorKind::LimitExceeded`] for an expected size that does not fit.
    pub fn new(
        store: &S3ObjectStore,
        bucket: &str,
        key: &str,
        mut config: MultipartUploadConfig,
    ) -> Result<Self> {
        let location = Location {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        };
        let uri = location.uri();
        let checked = store.prepare(&uri, &mut config.writer);
        checked.map_err(|error| error.with_uri(uri))?;
        Self::at(store, location, config, None)
    }

    pub(crate) fn at(
        store: &S3ObjectStore,
        location: Location,
        config: MultipartUploadConfig,
        resumed: Option<Arc<Resumed>>,
    ) -> Result<Self> {
        let uri = location.uri();
        Self::open(store, location, config, resumed).map_err(|error| error.with_uri(uri))
    }

    fn open(
        store: &S3ObjectStore,
        location: Location,
        config: MultipartUploadConfig,
        resumed: Option<Arc<Resumed>>,
    ) -> Result<Self> {
        let runtime = Handle::try_current().map_err(|error| {
            Error::new(
                ErrorKind::InvalidInput,
                "an upload needs a tokio runtime: make it within one",
            )
            .with_source(error)
        })?;
        let budget = store.budget();
        let plan = PartPlan::new(&config.writer, store.part_limits(), budget.capacity())?;
        let multipart = plan.total().is_some_and(|total| total > plan.part_size(1));
        let set_aside = config.writer.buffer_capacity;
        let auto_flush = config.auto_flush;
        let whole = plan.total().is_some_and(|total| total <= plan.part_size(1));
        let condition = store.condition(&config.writer, !whole)?;
        store.service().refuse_ignored(&config.writer, !whole)?;
        let watch = Watch::new(Reporter::open(&location.uri(), &config.writer));
        let context = store.upload_context(location, config, condition, resumed, watch);
        Ok(Self {
            intake: Intake::new(plan, budget, set_aside),
            sources: Sources::default(),
            outbox: Outbox {
                uri: context.api.location.uri(),
                context,
                runtime,
                cleanups: Arc::clone(store.cleanups()),
                upload: None,
                held: VecDeque::new(),
                auto_flush,
                multipart,
            },
            started: Instant::now(),
        })
    }

    /// Copies `chunk` (once) and uploads it.
    ///
    /// # Errors
    ///
    /// The first error of this upload. With `auto_flush` off, [`ErrorKind::LimitExceeded`] if the
    /// budget has no room for `chunk`; nothing of it was taken then, and it can be written again
    /// after a [`flush`](Self::flush).
    ///
    /// # Cancellation
    ///
    /// Not safe, but noticed: see [`ObjectWriter`](writer_core::ObjectWriter::write_chunk).
    pub async fn write(&mut self, chunk: &[u8]) -> Result<()> {
        let copied = (chunk.len() as u64).saturating_sub(self.intake.spare_len());
        self.make_room(copied)?;
        let written = self.intake.write_chunk(&mut self.outbox, chunk).await;
        self.named(written)
    }

    /// Uploads `segment` without copying it.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Cancellation
    ///
    /// Safe: the segment is taken before the first wait.
    pub async fn write_owned(&mut self, segment: Segment) -> Result<()> {
        self.make_room(segment.charge())?;
        if let Segment::File(range) = &segment {
            let noted = self.sources.note(range);
            self.named(noted)?;
        }
        let written = self.intake.write_owned(&mut self.outbox, segment).await;
        self.named(written)
    }

    /// Lends memory of the budget; see [`ObjectWriter`](writer_core::ObjectWriter::reserve).
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub async fn reserve(&mut self, at_least: usize) -> Result<Box<dyn Page>> {
        self.make_room(at_least.max(PAGE_SIZE) as u64)?;
        let page = self.intake.reserve(&mut self.outbox, at_least).await;
        self.named(page)
    }

    /// Sends the full parts that were held because `auto_flush` is off; does not wait for them.
    pub fn flush(&mut self) {
        self.outbox.release();
    }

    pub(crate) fn options(&self) -> &WriterOptions {
        &self.outbox.context.options
    }

    pub(crate) fn condition(&self) -> Option<Condition> {
        self.outbox.context.condition
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.outbox.context.resumed.is_some()
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.intake.bytes_written()
    }

    /// Bytes that were copied in this process so far: those of [`write`](Self::write), and small
    /// owned segments. What [`write_owned`](Self::write_owned) links is sent from where it is.
    #[must_use]
    pub fn bytes_copied(&self) -> u64 {
        self.intake.bytes_copied()
    }

    /// Sends the rest, waits for what is in flight, and makes the object visible.
    ///
    /// # Errors
    ///
    /// The first error of this upload; [`ErrorKind::Ambiguous`] if the last answer was lost and
    /// nothing tells whether the object was made. The upload is aborted before the call returns.
    ///
    /// # Cancellation
    ///
    /// A call that is dropped aborts, unless the last request is on its way already.
    pub async fn finish(mut self) -> Result<MultipartCompleteInfo> {
        if let Err(error) = self.intake.finish(&mut self.outbox) {
            let error = match self.outbox.cancel().await {
                Ok(()) => error,
                Err(left) => error.with_note(left.message()),
            };
            return self.named(Err(error));
        }
        self.outbox.release();
        let sources = mem::take(&mut self.sources);
        let receipt = self.outbox.finish(sources).await;
        let receipt = self.named(receipt)?;
        let watch = &self.outbox.context.watch;
        Ok(MultipartCompleteInfo {
            e_tag: receipt.e_tag,
            version_id: receipt.version_id,
            checksum: receipt.checksum,
            encryption: receipt.encryption,
            total_bytes: receipt.size,
            parts: receipt.parts,
            retries: watch.retries(),
            bytes_resent: watch.bytes_resent(receipt.size - receipt.bytes_reused),
            bytes_reused: receipt.bytes_reused,
            peak_buffered: self.intake.peak_held(),
            elapsed: self.started.elapsed(),
        })
    }

    /// Stops, aborts the upload and returns when it is gone; with `keep_parts`, what is stored
    /// stays.
    ///
    /// # Errors
    ///
    /// If it could not be aborted; the text names the upload that is left.
    ///
    /// # Cancellation
    ///
    /// Safe: the abort goes on.
    pub async fn abort(mut self) -> Result<()> {
        let aborted = self.outbox.cancel().await;
        self.named(aborted)
    }

    fn named<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.with_uri(&self.outbox.uri))
    }

    /// Held parts give no memory back by themselves, so waiting for some would not end.
    fn make_room(&mut self, bytes: u64) -> Result<()> {
        if self.outbox.auto_flush || self.intake.set_aside(bytes) {
            return Ok(());
        }
        let held = self.outbox.held.len();
        let error = Error::new(
            ErrorKind::LimitExceeded,
            format!(
                "no room for {bytes} bytes more in the memory budget, with {held} full parts held \
                 because auto_flush is off: call flush, write less at once, or raise the budget"
            ),
        );
        self.named(Err(error))
    }
}

impl fmt::Debug for StreamingMultipartSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamingMultipartSink")
            .field("uri", &self.outbox.uri)
            .field("intake", &self.intake)
            .field("held", &self.outbox.held.len())
            .finish_non_exhaustive()
    }
}

/// The writer's end of the line to its upload.
struct Outbox {
    uri: String,
    context: Context,
    runtime: Handle,
    cleanups: Arc<CleanUps>,
    /// The upload's task, from when there is something for it to do.
    upload: Option<Line>,
    held: VecDeque<LeavingPart>,
    auto_flush: bool,
    /// The size is known to need more than one part.
    multipart: bool,
}

struct Line {
    commands: mpsc::UnboundedSender<Command>,
    failure: watch::Receiver<Option<Error>>,
}

impl Outbox {
    /// The line to the upload's task, which is started when it is first needed.
    fn line(&mut self) -> &Line {
        self.upload.get_or_insert_with(|| {
            let (commands, receiver) = mpsc::unbounded_channel();
            let (sender, failure) = watch::channel(None);
            let span = tracing::info_span!("upload", uri = %self.uri);
            let run = upload::run(self.context.clone(), receiver, sender);
            self.runtime.spawn(run.instrument(span));
            Line { commands, failure }
        })
    }

    fn send(&mut self, command: Command) {
        // The task ends before its writer only with the runtime, and then nothing can be sent;
        // `finish` and `cancel` say so.
        let _ = self.line().commands.send(command);
    }

    /// Sends a part on its way. What is the whole object waits for `finish`.
    fn send_part(&mut self, mut part: LeavingPart) {
        if !part.part().is_whole() {
            part.begin();
        }
        self.send(Command::Part(part));
    }

    fn release(&mut self) {
        while let Some(part) = self.held.pop_front() {
            self.send_part(part);
        }
    }

    async fn finish(&mut self, sources: Sources) -> Result<Receipt> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Finish(sources, reply));
        answer.await.unwrap_or_else(|_| Err(shut_down()))
    }

    async fn cancel(&mut self) -> Result<()> {
        self.held.clear();
        if self.upload.is_none() {
            self.context.watch.given_up(None);
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        self.send(Command::Cancel(reply));
        answer.await.unwrap_or_else(|_| Err(shut_down()))
    }
}

impl PartSink for Outbox {
    fn begin(&mut self) {
        if self.multipart {
            self.send(Command::Begin);
        }
    }

    fn accept(&mut self, part: LeavingPart) {
        self.context.watch.queued(part.part());
        if self.auto_flush {
            self.send_part(part);
        } else {
            self.held.push_back(part);
        }
    }

    fn failure(&self) -> Option<Error> {
        self.upload.as_ref()?.failure.borrow().clone()
    }

    async fn failed(&self) -> Error {
        if let Some(line) = &self.upload {
            let mut failure = line.failure.clone();
            return match failure.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(error)) => error.clone(),
                _ => shut_down(),
            };
        }
        std::future::pending().await
    }

    fn fail(&mut self, error: &Error) {
        self.held.clear();
        if self.upload.is_some() {
            self.send(Command::Fail(error.clone()));
        } else {
            self.context.watch.given_up(Some(error));
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        if let Some(line) = &self.upload {
            let abandon = Command::Abandon(self.cleanups.begin());
            let _ = line.commands.send(abandon);
        } else {
            self.context.watch.given_up(None);
        }
    }
}

fn shut_down() -> Error {
    Error::new(
        ErrorKind::Interrupted,
        "the runtime shut down before the upload was done",
    )
}
