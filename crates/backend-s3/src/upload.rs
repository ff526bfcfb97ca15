//! One upload as a task of its own: parts leave and are confirmed while the producer goes on.
//!
//! ```text
//!            first part, or known length          all parts stored
//!   Idle ──────────────────────────▶ Uploading ─────────────────────▶ Completed
//!    │ finish with one part            │ a part fails for good,
//!    ▼                                 ▼ cancel, or the writer is dropped
//!   PutObject                        Aborted (and looked after)
//! ```

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tracing::{Instrument, debug, debug_span, warn};
use writer_core::{Error, ErrorKind, EventKind, Result, Step};
use writer_tokio::{CleanUp, LeavingPart, Sources};

use crate::api::StoredPart;
use crate::context::Context;
use crate::create::{self, Leftovers};
use crate::part::{Created, PartTask, upload_id};
use crate::publish::{self, Receipt};
use crate::stragglers::Stragglers;

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

/// Runs one upload until its writer is gone.
pub(crate) async fn run(
    context: Context,
    mut commands: mpsc::UnboundedReceiver<Command>,
    failure: watch::Sender<Option<Error>>,
) {
    let mut upload = Upload::new(context, failure);
    let mut abandoned = None;
    loop {
        let late = upload.late();
        tokio::select! {
            biased;
            Some(done) = upload.active.join_next() => upload.on_part(done).await,
            command = commands.recv() => match command {
                Some(Command::Begin) => upload.create(),
                Some(Command::Part(part)) => upload.on_ready(part),
                Some(Command::Finish(sources, reply)) => upload.finishing = Some((sources, reply)),
                Some(Command::Fail(error)) => {
                    upload.fail(error).await;
                }
                Some(Command::Cancel(reply)) => {
                    let stopped = upload.stop().await;
                    upload.tell(reply, stopped);
                }
                Some(Command::Abandon(cleanup)) => abandoned = Some(cleanup),
                None => break,
            },
            number = late => upload.repeat(number),
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
    /// Gives the uploads that lost answers to Create may have left.
    creating: Option<JoinHandle<Leftovers>>,
    /// Parts that wait for a place in flight.
    queue: VecDeque<LeavingPart>,
    active: JoinSet<Result<StoredPart>>,
    stragglers: Stragglers,
    /// Tells a part in flight to send a second request.
    repeat: HashMap<u32, Arc<Notify>>,
    stored: Vec<StoredPart>,
    /// An object of one part, which waits for `finish`.
    whole: Option<LeavingPart>,
    finishing: Option<(Sources, oneshot::Sender<Result<Receipt>>)>,
    /// Completed, failed or cancelled: nothing is left to do.
    ended: bool,
    /// What could not be removed.
    left: Option<Error>,
    /// Tells the task that creates the upload not to try again.
    stopping: Arc<AtomicBool>,
}

impl Upload {
    fn new(context: Context, failure: watch::Sender<Option<Error>>) -> Self {
        let resumed = context.resumed.as_ref();
        if let Some(resumed) = resumed {
            context.running.add(&resumed.upload_id);
        }
        let created = resumed.map(|resumed| watch::channel(Some(Ok(resumed.upload_id.clone()))).1);
        Self {
            context,
            failure,
            created,
            creating: None,
            queue: VecDeque::new(),
            active: JoinSet::new(),
            stragglers: Stragglers::default(),
            repeat: HashMap::new(),
            stored: Vec::new(),
            whole: None,
            finishing: None,
            ended: false,
            left: None,
            stopping: Arc::default(),
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
        let create = create::create(self.context.clone(), Arc::clone(&self.stopping), sender);
        let span = debug_span!("create");
        self.creating = Some(tokio::spawn(create.instrument(span.or_current())));
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
                attempts: self.context.watch.step(Step::Part(part.part().number())),
                part,
                late: Arc::default(),
            };
            self.stragglers
                .departed(task.number(), task.len(), Instant::now());
            self.repeat.insert(task.number(), Arc::clone(&task.late));
            let span = debug_span!("part", number = task.number(), bytes = task.len());
            self.active.spawn(task.run().instrument(span.or_current()));
        }
    }

    /// The number of the part that everything waits for, once it is late.
    fn late(&self) -> impl Future<Output = u32> + use<> {
        let waits = self.context.repeat_late && self.finishing.is_some() && self.queue.is_empty();
        let next = waits.then(|| self.stragglers.next()).flatten();
        async move {
            match next {
                Some((number, at)) => {
                    tokio::time::sleep_until(at.into()).await;
                    number
                }
                None => std::future::pending().await,
            }
        }
    }

    fn repeat(&mut self, number: u32) {
        self.stragglers.repeated(number);
        if let Some(late) = self.repeat.get(&number) {
            late.notify_one();
        }
    }

    async fn on_part(&mut self, done: Result<Result<StoredPart>, JoinError>) {
        match done {
            Ok(Ok(part)) => {
                self.stragglers.landed(part.number, Instant::now());
                self.repeat.remove(&part.number);
                self.stored.push(part);
            }
            Ok(Err(error)) => {
                self.fail(error).await;
            }
            Err(join) if join.is_cancelled() => {}
            Err(join) => {
                let error = Error::new(ErrorKind::Other, "the task of a part panicked");
                self.fail(error.with_source(join)).await;
            }
        }
    }

    async fn finish_if_idle(&mut self) {
        if !self.active.is_empty() || !self.queue.is_empty() {
            return;
        }
        let Some((sources, mut reply)) = self.finishing.take() else {
            return;
        };
        let published = tokio::select! {
            biased;
            // A `finish` that was dropped: what is on its way may still take effect, as its
            // contract says, but nothing is begun or tried again. The clean-up follows.
            () = reply.closed() => return,
            published = self.publish(&sources) => published,
        };
        let receipt = match published {
            Ok(receipt) => {
                self.ended = true;
                if let Err(left) = self.remove_leftovers().await {
                    warn!(error = %left, "an upload is left that is not needed any more");
                }
                self.leave();
                let bytes = receipt.size;
                self.context.watch.tell(EventKind::Finished { bytes });
                Ok(receipt)
            }
            Err(error) => Err(self.fail(error).await),
        };
        self.tell(reply, receipt);
    }

    /// Answers the writer. What the clean-up left is said with it, and not once more by `close`,
    /// unless nobody listens.
    fn tell<T>(&mut self, reply: oneshot::Sender<Result<T>>, answer: Result<T>) {
        if reply.send(answer).is_ok() {
            self.left = None;
        }
    }

    async fn publish(&mut self, sources: &Sources) -> Result<Receipt> {
        if let Some(error) = self.failure.borrow().as_ref() {
            return Err(error.clone());
        }
        let Some(whole) = self.whole.take() else {
            sources.verify()?;
            return self.complete().await;
        };
        let receipt = publish::put(&self.context, whole, sources).await?;
        // An upload that was taken up, and that turned out not to be needed.
        if let Some(resumed) = &self.context.resumed {
            let upload_id = &resumed.upload_id;
            warn!(%upload_id, "what is written now is one part: the upload is removed");
        }
        if let Err(left) = self.abort().await {
            warn!(error = %left, "an upload is left that is not needed any more");
        }
        Ok(receipt)
    }

    async fn complete(&mut self) -> Result<Receipt> {
        let Some(created) = &self.created else {
            return Err(Error::new(
                ErrorKind::Other,
                "there is no upload to complete",
            ));
        };
        let upload_id = upload_id(created).await?;
        self.stored.sort_unstable_by_key(|part| part.number);
        publish::complete(&self.context, &upload_id, &self.stored).await
    }

    /// Latches `error`, so that the producer hears of it at once, and cleans up. Gives the error
    /// back, with what the clean-up left.
    async fn fail(&mut self, error: Error) -> Error {
        let mut error = error.with_uri(self.context.api.location.uri());
        if self.ended {
            return error;
        }
        debug!(%error, "failed");
        self.failure.send_replace(Some(error.clone()));
        if let Some(id) = self.kept() {
            error = error.with_note(format!("upload {id} keeps its parts, to be resumed"));
            self.failure.send_replace(Some(error.clone()));
        }
        if let Err(left) = self.stop().await {
            error = error.with_note(left.message());
        }
        if let Some((_, reply)) = self.finishing.take() {
            self.tell(reply, Err(error.clone()));
        }
        error
    }

    /// Stops whatever is in flight and removes what is stored; called again, says again what
    /// could not be removed.
    async fn stop(&mut self) -> Result<()> {
        if !self.ended {
            self.ended = true;
            self.left = self.clean_up().await.err();
            self.leave();
            let failure = self.failure.borrow().clone();
            self.context.watch.given_up(failure.as_ref());
        }
        match &self.left {
            Some(left) => Err(left.clone()),
            None => Ok(()),
        }
    }

    async fn clean_up(&mut self) -> Result<()> {
        self.stopping.store(true, Ordering::Relaxed);
        self.queue.clear();
        self.whole = None;
        self.active.shutdown().await;
        let aborted = match self.kept() {
            Some(upload_id) => {
                let bytes: u64 = self.stored.iter().map(|part| part.len).sum();
                warn!(%upload_id, bytes, "what is stored stays, to be resumed");
                Ok(())
            }
            None => self.abort().await,
        };
        aborted.and(self.remove_leftovers().await)
    }

    /// Leaves the upload, if any is left, to others.
    fn leave(&self) {
        let created = self
            .created
            .as_ref()
            .map(|created| created.borrow().clone());
        if let Some(Some(Ok(id))) = created {
            self.context.running.remove(&id);
        }
    }

    /// Removes what creating the upload left besides.
    async fn remove_leftovers(&mut self) -> Result<()> {
        match self.creating.take() {
            Some(creating) => match creating.await {
                Ok(leftovers) => create::remove(&self.context, leftovers).await,
                Err(_the_runtime_shuts_down) => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// True if there is something that could be resumed, and is to stay for that.
    fn is_worth_keeping(&self) -> bool {
        let has_parts = !self.stored.is_empty() || self.context.resumed.is_some();
        let failure = self.failure.borrow().as_ref().map(Error::kind);
        // Of these, no other try makes an object.
        let is_final = matches!(
            failure,
            Some(ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed)
        );
        self.context.keep_parts && has_parts && !is_final
    }

    /// The id of the upload whose parts stay, if it has one.
    fn kept(&self) -> Option<Arc<str>> {
        let created = self.created.as_ref().filter(|_| self.is_worth_keeping())?;
        created.borrow().as_ref()?.as_ref().ok().cloned()
    }

    async fn abort(&self) -> Result<()> {
        let Some(created) = &self.created else {
            return Ok(());
        };
        // Without an id there is nothing that could be aborted.
        let Ok(upload_id) = upload_id(created).await else {
            return Ok(());
        };
        create::abort(&self.context, &upload_id).await
    }

    async fn on_writer_gone(&mut self, cleanup: Option<&CleanUp>) {
        if !self.ended && !self.context.abort_on_drop {
            self.active.shutdown().await;
            self.leave();
            self.context.watch.given_up(None);
            return;
        }
        if let Err(error) = self.stop().await {
            match cleanup {
                Some(cleanup) => cleanup.failed(&error),
                None => warn!(%error, "an upload could not be aborted"),
            }
        }
    }
}
