//! One upload as a task of its own: parts leave and are confirmed while the producer goes on.
//!
//! ```text
//!            first part, or known length          all parts stored
//!   Idle ──────────────────────────▶ Uploading ─────────────────────▶ Completed
//!    │ finish with one part            │ a part fails for good,
//!    ▼                                 ▼ cancel, or the writer is dropped
//!   PutObject                        Aborted (and looked after)
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tracing::{Instrument, debug, debug_span, warn};
use writer_core::{Crc64Nvme, Error, ErrorKind, IfExists, Result, WriterOptions};
use writer_tokio::{CleanUp, LeavingPart, Sources};

use crate::api::{Api, Stored, StoredPart};
use crate::digest::{Hasher, PartDigest, Wanted, combine};
use crate::retry::RetryPolicy;

/// An abort is repeated this often while parts that were on their way keep arriving: "it might
/// be necessary to abort a given multipart upload multiple times"
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html>).
const ABORTS: u32 = 5;

/// What an upload needs to know of its store and its object.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) api: Api,
    pub(crate) options: Arc<WriterOptions>,
    pub(crate) retry: RetryPolicy,
    pub(crate) hasher: Hasher,
    /// Payloads are signed, by configuration.
    pub(crate) sign: bool,
    pub(crate) abort_on_drop: bool,
}

/// What a writer tells its upload.
#[derive(Debug)]
pub(crate) enum Command {
    /// A multipart upload will be needed.
    Begin,
    Part(LeavingPart),
    Finish(Sources, oneshot::Sender<Result<Receipt>>),
    /// The producer's side failed: stop and clean up.
    Fail(Error),
    Cancel(oneshot::Sender<Result<()>>),
    /// The writer was dropped; `close` waits for the guard.
    Abandon(CleanUp),
}

/// What the service confirmed.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub(crate) size: u64,
    pub(crate) parts: u32,
    pub(crate) e_tag: Option<String>,
    pub(crate) version_id: Option<String>,
    pub(crate) checksum: Option<Crc64Nvme>,
    pub(crate) retries: u64,
}

type Created = watch::Receiver<Option<Result<Arc<str>>>>;

/// Runs one upload until its writer is gone.
pub(crate) async fn run(
    context: Context,
    mut commands: mpsc::UnboundedReceiver<Command>,
    failure: watch::Sender<Option<Error>>,
) {
    let mut upload = Upload::new(context, failure);
    let mut abandoned = None;
    loop {
        tokio::select! {
            biased;
            Some(done) = upload.active.join_next() => upload.on_part(done).await,
            command = commands.recv() => match command {
                Some(Command::Begin) => upload.create(),
                Some(Command::Part(part)) => upload.on_ready(part),
                Some(Command::Finish(sources, reply)) => upload.finishing = Some((sources, reply)),
                Some(Command::Fail(error)) => upload.fail(error).await,
                Some(Command::Cancel(reply)) => {
                    // Whoever gave up on the answer does not need it.
                    let _ = reply.send(upload.stop().await);
                }
                Some(Command::Abandon(cleanup)) => abandoned = Some(cleanup),
                None => break,
            },
        }
        upload.start_parts();
        upload.finish_if_idle().await;
    }
    upload.on_writer_gone(abandoned.as_ref()).await;
}

struct Upload {
    context: Context,
    failure: watch::Sender<Option<Error>>,
    /// The upload id, once Create was sent.
    created: Option<Created>,
    /// Parts that wait for a place in flight.
    queue: VecDeque<LeavingPart>,
    active: JoinSet<Result<StoredPart>>,
    stored: Vec<StoredPart>,
    /// An object of one part, which waits for `finish`.
    whole: Option<LeavingPart>,
    finishing: Option<(Sources, oneshot::Sender<Result<Receipt>>)>,
    /// Completed, failed or cancelled: nothing is left to do.
    ended: bool,
    retries: Arc<AtomicU64>,
    /// The service echoes no checksum, so the rest of the payloads is signed.
    silent: Arc<AtomicBool>,
}

impl Upload {
    fn new(context: Context, failure: watch::Sender<Option<Error>>) -> Self {
        Self {
            context,
            failure,
            created: None,
            queue: VecDeque::new(),
            active: JoinSet::new(),
            stored: Vec::new(),
            whole: None,
            finishing: None,
            ended: false,
            retries: Arc::default(),
            silent: Arc::default(),
        }
    }

    /// Sends CreateMultipartUpload, in a task that outlives a failure of this upload: its answer
    /// is needed to abort.
    fn create(&mut self) {
        if self.created.is_some() || self.ended {
            return;
        }
        let (sender, receiver) = watch::channel(None);
        self.created = Some(receiver);
        let context = self.context.clone();
        let span = debug_span!("create");
        let create = async move {
            let id = context
                .retry
                .run(|_| context.api.create(&context.options))
                .await;
            if let Ok(id) = &id {
                debug!(upload_id = %id, "created");
            }
            sender.send_replace(Some(id));
        };
        tokio::spawn(create.instrument(span.or_current()));
    }

    fn on_ready(&mut self, part: LeavingPart) {
        if self.ended {
            return;
        }
        if part.part().is_whole() {
            self.whole = Some(part);
        } else {
            self.create();
            self.queue.push_back(part);
        }
    }

    fn start_parts(&mut self) {
        let Some(created) = &self.created else { return };
        while self.active.len() < self.context.options.max_concurrency
            && let Some(part) = self.queue.pop_front()
        {
            let task = PartTask {
                context: self.context.clone(),
                created: created.clone(),
                part,
                retries: Arc::clone(&self.retries),
                silent: Arc::clone(&self.silent),
            };
            let number = task.part.part().number();
            let span = debug_span!("part", number, bytes = task.part.part().len());
            self.active.spawn(task.run().instrument(span.or_current()));
        }
    }

    async fn on_part(&mut self, done: Result<Result<StoredPart>, JoinError>) {
        match done {
            Ok(Ok(part)) => self.stored.push(part),
            Ok(Err(error)) => self.fail(error).await,
            Err(join) if join.is_cancelled() => {}
            Err(join) => {
                let error = Error::new(ErrorKind::Other, "the task of a part panicked");
                self.fail(error.with_source(join)).await;
            }
        }
    }

    async fn finish_if_idle(&mut self) {
        let idle = self.active.is_empty() && self.queue.is_empty();
        if !idle || self.finishing.is_none() {
            return;
        }
        let Some((sources, reply)) = self.finishing.take() else {
            return;
        };
        let receipt = match self.publish(&sources).await {
            Ok(receipt) => {
                self.ended = true;
                Ok(receipt)
            }
            Err(error) => {
                self.fail(error.clone()).await;
                Err(error)
            }
        };
        // A `finish` that was dropped: the object is there, whole, all the same.
        let _ = reply.send(receipt);
    }

    async fn publish(&mut self, sources: &Sources) -> Result<Receipt> {
        if let Some(error) = self.failure.borrow().as_ref() {
            return Err(error.clone());
        }
        match self.whole.take() {
            Some(whole) => self.put(whole, sources).await,
            None => {
                sources.verify()?;
                self.complete().await
            }
        }
    }

    async fn put(&mut self, whole: LeavingPart, sources: &Sources) -> Result<Receipt> {
        let context = &self.context;
        let part = whole.part();
        let mut sign = context.sign;
        loop {
            let digest = context.hasher.digest(part, context.wanted(sign)).await?;
            sources.verify()?;
            let (digest, retries) = (&digest, &self.retries);
            let put = |attempt| async move {
                count_retry(retries, attempt);
                match context.api.put_object(part, digest, &context.options).await {
                    Err(error) if attempt > 1 && error.kind() == ErrorKind::AlreadyExists => {
                        context.resolve(part.len(), digest.crc, error).await
                    }
                    other => other,
                }
            };
            let stored = context.retry.run(put).await?;
            match context.verify(&stored, digest) {
                Verdict::Stored => {}
                Verdict::Unverified => {
                    sign = true;
                    continue;
                }
                Verdict::Damaged(error) => return Err(error),
            }
            return Ok(Receipt {
                size: part.len(),
                parts: 1,
                e_tag: stored.e_tag,
                version_id: stored.version_id,
                checksum: digest.crc,
                retries: self.retries.load(Ordering::Relaxed),
            });
        }
    }

    async fn complete(&mut self) -> Result<Receipt> {
        let Some(created) = &mut self.created else {
            return Err(Error::new(
                ErrorKind::Other,
                "there is no upload to complete",
            ));
        };
        let upload_id = upload_id(created).await?;
        self.stored.sort_unstable_by_key(|part| part.number);
        let size = self.stored.iter().map(|part| part.len).sum();
        let whole = whole_checksum(&self.stored);
        let (context, parts, retries) = (&self.context, &self.stored, &self.retries);
        let (api, options, id) = (&context.api, &context.options, &upload_id);
        let complete = |attempt| async move {
            count_retry(retries, attempt);
            match api.complete(id, parts, whole, options).await {
                // An earlier attempt may have done it, and only its answer been lost.
                Err(error) if attempt > 1 && is_settled(&error) => {
                    context.resolve(size, whole, error).await
                }
                other => other,
            }
        };
        let completed = context.retry.run(complete).await?;
        if let (Some(sent), Some(stored)) = (whole, completed.crc)
            && sent != stored
        {
            return Err(damaged(sent, stored));
        }
        debug!(size, parts = self.stored.len(), "completed");
        Ok(Receipt {
            size,
            parts: u32::try_from(self.stored.len()).unwrap_or(u32::MAX),
            e_tag: completed.e_tag,
            version_id: completed.version_id,
            checksum: whole,
            retries: self.retries.load(Ordering::Relaxed),
        })
    }

    /// Latches `error`, so that the producer hears of it at once, and cleans up.
    async fn fail(&mut self, error: Error) {
        if self.ended {
            return;
        }
        let uri = self.context.api.location.uri();
        let error = error.with_uri(uri);
        debug!(%error, "failed");
        self.failure.send_replace(Some(error.clone()));
        if let Err(left) = self.stop().await {
            warn!(error = %left, "the failed upload could not be aborted");
        }
        if let Some((_, reply)) = self.finishing.take() {
            let _ = reply.send(Err(error));
        }
    }

    /// Stops whatever is in flight and removes what is stored.
    async fn stop(&mut self) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        self.ended = true;
        self.queue.clear();
        self.whole = None;
        self.active.shutdown().await;
        let Some(created) = &mut self.created else {
            return Ok(());
        };
        // Without an id there is nothing that could be aborted.
        let Ok(upload_id) = upload_id(created).await else {
            return Ok(());
        };
        self.context.abort(&upload_id).await
    }

    async fn on_writer_gone(&mut self, cleanup: Option<&CleanUp>) {
        if self.ended {
            return;
        }
        if !self.context.abort_on_drop {
            self.active.shutdown().await;
            return;
        }
        debug!("the writer was dropped: aborting");
        if let Err(error) = self.stop().await {
            warn!(%error, "the dropped upload could not be aborted");
            if let Some(cleanup) = cleanup {
                cleanup.failed(&error);
            }
        }
    }
}

/// One part on its way.
struct PartTask {
    context: Context,
    created: Created,
    part: LeavingPart,
    retries: Arc<AtomicU64>,
    silent: Arc<AtomicBool>,
}

impl PartTask {
    async fn run(mut self) -> Result<StoredPart> {
        let number = self.part.part().number();
        // Hashed while Create is on its way.
        let digest = self
            .digest()
            .await
            .map_err(|error| error.with_part(number))?;
        let upload_id = upload_id(&mut self.created).await?;
        let sent = self.send(&upload_id, digest).await;
        sent.map_err(|error| error.with_part(number))
    }

    async fn digest(&self) -> Result<PartDigest> {
        let sign = self.context.sign || self.silent.load(Ordering::Relaxed);
        let wanted = self.context.wanted(sign);
        self.context.hasher.digest(self.part.part(), wanted).await
    }

    async fn send(&self, upload_id: &str, mut digest: PartDigest) -> Result<StoredPart> {
        let context = &self.context;
        let part = self.part.part();
        loop {
            let stored = context
                .retry
                .run(|attempt| {
                    count_retry(&self.retries, attempt);
                    context.api.upload_part(upload_id, part, &digest)
                })
                .await?;
            match context.verify(&stored, &digest) {
                Verdict::Stored => {}
                Verdict::Unverified => {
                    self.silent.store(true, Ordering::Relaxed);
                    digest = self.digest().await?;
                    continue;
                }
                Verdict::Damaged(error) => return Err(error),
            }
            let Some(e_tag) = stored.e_tag else {
                return Err(Error::new(
                    ErrorKind::Other,
                    "the service stored the part but gave no ETag for it",
                ));
            };
            debug!("stored");
            return Ok(StoredPart {
                number: part.number(),
                len: part.len(),
                e_tag,
                crc: digest.crc,
            });
        }
    }
}

enum Verdict {
    Stored,
    /// Nothing vouches for the bytes: send them again, signed.
    Unverified,
    Damaged(Error),
}

impl Context {
    fn wanted(&self, sign: bool) -> Wanted {
        Wanted {
            crc: self.options.enable_checksums,
            sha256: sign,
        }
    }

    /// Whether the service has what was sent: it says the same checksum, or it says none but has
    /// checked the signed hash of the payload.
    fn verify(&self, stored: &Stored, digest: &PartDigest) -> Verdict {
        match (digest.crc, stored.crc) {
            (Some(sent), Some(stored)) if sent != stored => Verdict::Damaged(damaged(sent, stored)),
            (Some(_), None) if digest.sha256.is_none() => Verdict::Unverified,
            _ => Verdict::Stored,
        }
    }

    /// Whether the object is there after a Complete whose answer was lost: its size and its
    /// checksum decide.
    async fn resolve(&self, size: u64, whole: Option<Crc64Nvme>, error: Error) -> Result<Stored> {
        let found = self.retry.run(|_| self.api.head()).await;
        match found {
            Ok(object)
                if object.size == size
                    && whole.is_some()
                    && object.checksum == whole
                    && self.options.if_exists == IfExists::Replace =>
            {
                debug!("the answer to Complete was lost, but the object is there");
                Ok(Stored {
                    e_tag: object.e_tag,
                    version_id: object.version_id,
                    crc: object.checksum,
                })
            }
            Err(head) if head.kind() == ErrorKind::NotFound => Err(error),
            _ => Err(Error::new(
                ErrorKind::Ambiguous,
                "the answer to the request that makes the object visible was lost: it may have \
                 been written by this upload or by another; look at it",
            )
            .with_source(error)),
        }
    }

    /// Aborts until nothing is left.
    async fn abort(&self, upload_id: &str) -> Result<()> {
        let aborted = async {
            for round in 1..=ABORTS {
                self.retry.run(|_| self.api.abort(upload_id)).await?;
                if self.retry.run(|_| self.api.is_gone(upload_id)).await? {
                    debug!(upload_id, "aborted");
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(100) * round).await;
            }
            Err(Error::new(
                ErrorKind::Unavailable,
                "parts remain after it was aborted",
            ))
        };
        aborted.await.map_err(|error: Error| {
            Error::new(
                error.kind(),
                format!("upload {upload_id} is left on the service, which charges for it: {error}"),
            )
            .with_uri(self.api.location.uri())
            .with_source(error)
        })
    }
}

/// Waits for the answer to Create.
async fn upload_id(created: &mut Created) -> Result<Arc<str>> {
    match created.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(id)) => id.clone(),
        _ => Err(Error::new(ErrorKind::Interrupted, "the runtime shuts down")),
    }
}

/// The checksum of the whole object, in order of the parts.
fn whole_checksum(parts: &[StoredPart]) -> Option<Crc64Nvme> {
    let mut parts = parts.iter();
    let first = parts.next()?.crc?;
    parts.try_fold(first, |whole, part| {
        Some(combine(whole, part.crc?, part.len))
    })
}

fn damaged(sent: Crc64Nvme, stored: Crc64Nvme) -> Error {
    Error::new(
        ErrorKind::ChecksumMismatch,
        format!("the service stored CRC64NVME {stored}, but {sent} was sent"),
    )
}

/// True if the service no longer has the upload, or now has the object that a condition forbids.
fn is_settled(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed
    )
}

fn count_retry(retries: &AtomicU64, attempt: u32) {
    retries.fetch_add(u64::from(attempt > 1), Ordering::Relaxed);
}
