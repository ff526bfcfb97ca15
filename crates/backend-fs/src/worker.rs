//! The half of a writer that works on the disk: parts are queued, and written one after another
//! on a thread for blocking work, while the producer goes on.

use std::any::Any;
use std::collections::VecDeque;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};
use tracing::Span;
use writer_core::{
    Error, ErrorKind, EventKind, ObjectMetadata, Reporter, Result, Step, WriterOptions,
};
use writer_tokio::{LeavingPart, MemoryBudget};

use crate::copy::{Copy, Snapshot};
use crate::directory::Directories;
use crate::error;
use crate::metadata::Attributes;
use crate::output::Output;
use crate::staging::{Staging, Trace};
use crate::sync::Lead;
use writer_tokio::{CleanUp, CleanUps};

/// What the worker does, in this order.
pub(crate) enum Job {
    /// Makes sure that the disk has room for so many bytes.
    Preallocate(u64),
    /// Stores a part; a snapshot for each file range in it.
    Part(LeavingPart, Vec<Snapshot>),
    /// Stores a part, or several, of one file range.
    Copy(Copy),
    /// Makes the object of so many parts visible and durable.
    Publish(u32, Reply),
    /// Removes everything.
    Discard(Discard),
}

/// Tells whoever called `finish`.
pub(crate) type Reply = oneshot::Sender<Result<ObjectMetadata>>;

/// Who waits for the removal.
pub(crate) enum Discard {
    Caller(oneshot::Sender<Result<()>>),
    Store(CleanUp),
}

/// A write as the worker sees it.
pub(crate) struct Task {
    pub(crate) uri: String,
    pub(crate) staging: Staging,
    pub(crate) attributes: Attributes,
    pub(crate) options: WriterOptions,
    pub(crate) budget: MemoryBudget,
    pub(crate) directories: Arc<Directories>,
    pub(crate) cleanups: Arc<CleanUps>,
    pub(crate) runtime: Handle,
    pub(crate) reporter: Reporter,
}

/// Shared by the writer, which queues, and the thread that works.
pub(crate) struct Worker {
    uri: String,
    span: Span,
    runtime: Handle,
    directories: Arc<Directories>,
    cleanups: Arc<CleanUps>,
    trace: Arc<Trace>,
    reporter: Reporter,
    queue: Mutex<Queue>,
    /// Bytes were written, or the write failed.
    moved: Notify,
    /// The first error; it stays.
    failure: watch::Sender<Option<Error>>,
    /// Set when nothing that is still queued matters.
    stop: AtomicBool,
    /// Locked by the one thread that works. `None` once published or removed.
    output: Mutex<Option<Output>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// A thread is at it, or will be.
    running: bool,
    /// Bytes of memory that wait.
    bytes: u64,
}

impl Worker {
    pub(crate) fn new(task: Task) -> Arc<Self> {
        let span = tracing::debug_span!("write", uri = task.uri);
        Arc::new(Self {
            uri: task.uri,
            span,
            runtime: task.runtime,
            directories: task.directories,
            cleanups: task.cleanups,
            trace: Arc::clone(task.staging.trace()),
            reporter: task.reporter.clone(),
            queue: Mutex::default(),
            moved: Notify::new(),
            failure: watch::Sender::default(),
            stop: AtomicBool::new(false),
            output: Mutex::new(Some(Output::new(
                task.staging,
                task.attributes,
                task.budget,
                task.options,
                task.reporter,
            ))),
        })
    }

    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// Queues `jobs` and has them worked on.
    pub(crate) fn push(self: &Arc<Self>, jobs: impl IntoIterator<Item = Job>) {
        let mut queue = lock(&self.queue);
        for job in jobs {
            queue.bytes += job.memory();
            queue.jobs.push_back(job);
        }
        drop(queue);
        self.start();
    }

    /// Queues `copy`, joined to the one before it if they are neighbours. The caller calls
    /// [`start`](Self::start) when there is no more to join.
    pub(crate) fn push_copy(&self, copy: Copy) {
        let mut queue = lock(&self.queue);
        let strange = match queue.jobs.back_mut() {
            Some(Job::Copy(last)) => last.try_join(copy),
            _ => Some(copy),
        };
        queue.jobs.extend(strange.map(Job::Copy));
    }

    /// Has what is queued worked on.
    pub(crate) fn start(self: &Arc<Self>) {
        let mut queue = lock(&self.queue);
        if !queue.running && !queue.jobs.is_empty() {
            queue.running = true;
            drop(queue);
            let worker = Arc::clone(self);
            self.runtime.spawn_blocking(move || worker.work());
        }
    }

    /// Waits until at most `window` bytes of memory wait to be written, or the write has failed.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub(crate) async fn room(&self, window: u64) {
        while lock(&self.queue).bytes > window && self.failure.borrow().is_none() {
            self.moved.notified().await;
        }
    }

    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.borrow().clone()
    }

    pub(crate) fn failures(&self) -> watch::Receiver<Option<Error>> {
        self.failure.subscribe()
    }

    /// Latches `error` unless there was one before, and removes everything.
    pub(crate) fn fail(self: &Arc<Self>, error: &Error) {
        if self.latch(error.clone()) {
            self.discard(Discard::Store(self.cleanups.begin()));
        }
    }

    /// Removes everything: at once what has a name, and then, when the thread that works has let
    /// go of it, the rest.
    pub(crate) fn discard(self: &Arc<Self>, who: Discard) {
        self.stop.store(true, Ordering::Relaxed);
        let mut queue = lock(&self.queue);
        queue.bytes = 0;
        let dropped = mem::take(&mut queue.jobs);
        drop(queue);
        // Gives memory back, which wakes others: not under the lock.
        drop(dropped);
        if let Err(error) = self.trace.remove() {
            self.cleanups.report(&error.with_uri(&self.uri));
        }
        self.push([Job::Discard(who)]);
    }

    /// True if `error` is the first.
    fn latch(&self, error: Error) -> bool {
        let error = error.with_uri(&self.uri);
        let first = self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert(error);
            first
        });
        self.moved.notify_one();
        first
    }

    fn work(&self) {
        let _span = self.span.enter();
        let mut output = lock(&self.output);
        let mut lead = None;
        while let Some(job) = self.next() {
            let memory = job.memory();
            let done = panic::catch_unwind(AssertUnwindSafe(|| match job {
                Job::Publish(parts, reply) => lead = self.publish(parts, output.take(), reply),
                job => self.perform(job, &mut output),
            }));
            if let Err(panic) = done {
                self.give_up(panicked(&*panic), &mut output);
            }
            let mut queue = lock(&self.queue);
            queue.bytes = queue.bytes.saturating_sub(memory);
            drop(queue);
            self.moved.notify_one();
        }
        // From here on it is about other writers' objects as well, for as long as some finish:
        // whoever gives this one up must not wait for that.
        drop(output);
        if let Some(lead) = lead {
            self.directories.lead(lead);
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = lock(&self.queue);
        let job = queue.jobs.pop_front();
        queue.running = job.is_some();
        job
    }

    fn perform(&self, job: Job, output: &mut Option<Output>) {
        let result = match (job, output.as_mut()) {
            (Job::Discard(who), _) => {
                drop(output.take());
                let failure = self.failure();
                self.reporter.tell(EventKind::GivenUp {
                    error: failure.as_ref(),
                });
                match who {
                    Discard::Caller(reply) => {
                        let _nobody_waits = reply.send(self.trace.remove());
                    }
                    Discard::Store(cleanup) => drop(cleanup),
                }
                return;
            }
            // Published by `work`, which has what that takes.
            (Job::Publish(..), _) | (_, None) => return,
            _ if self.stop.load(Ordering::Relaxed) => return,
            (Job::Preallocate(len), Some(output)) => output.preallocate(len),
            (Job::Part(part, snapshots), Some(output)) => {
                output.write(&part, &snapshots, &self.stop)
            }
            (Job::Copy(copy), Some(output)) => output.copy(&copy, &self.stop),
        };
        if let Err(error) = result {
            self.give_up(error, output);
        }
    }

    /// The disk's space is free again before anyone hears of the error.
    fn give_up(&self, error: Error, output: &mut Option<Output>) {
        self.stop.store(true, Ordering::Relaxed);
        drop(output.take());
        if error.kind() != ErrorKind::Closed {
            tracing::debug!(%error, "write failed");
        }
        self.reporter.tell(EventKind::GivenUp {
            error: Some(&error),
        });
        self.latch(error);
    }

    /// Puts the object in its place and has its directory synced, by this thread if it is given
    /// the lead. Then `reply` tells, and no thread waits until then.
    fn publish(&self, parts: u32, output: Option<Output>, reply: Reply) -> Option<Lead<'_>> {
        let placed = self.put_in_place(parts, output);
        let (receipt, directory) = match placed.map_err(|error| error.with_uri(&self.uri)) {
            Ok(placed) => placed,
            Err(error) => {
                self.reporter.tell(EventKind::GivenUp {
                    error: Some(&error),
                });
                // A caller that has gone away finds the old object.
                let _nobody_waits = reply.send(Err(error));
                return None;
            }
        };
        let (span, reporter) = (self.span.clone(), self.reporter.clone());
        let synced = move |synced: Result<()>| {
            let _span = span.enter();
            let published = match synced {
                Ok(()) => {
                    let (step, bytes) = (Step::Complete, 0);
                    let reused = false;
                    reporter.tell(EventKind::Done {
                        step,
                        bytes,
                        reused,
                    });
                    let bytes = receipt.size;
                    reporter.tell(EventKind::Finished { bytes });
                    tracing::debug!(size = receipt.size, "published");
                    Ok(receipt)
                }
                Err(error) => {
                    let error = not_durable(error).with_uri(receipt.uri);
                    let step = Step::Complete;
                    let error_told = &error;
                    reporter.tell(EventKind::Failed {
                        step,
                        error: error_told,
                    });
                    reporter.tell(EventKind::GivenUp {
                        error: Some(error_told),
                    });
                    Err(error)
                }
            };
            // A caller that has gone away finds the new object.
            let _nobody_waits = reply.send(published);
        };
        let directories = &self.directories;
        directories.sync_with_others(&directory, Box::new(synced))
    }

    fn put_in_place(
        &self,
        parts: u32,
        output: Option<Output>,
    ) -> Result<(ObjectMetadata, PathBuf)> {
        if let Some(error) = self.failure() {
            return Err(error);
        }
        let output = output.filter(|_| !self.stop.load(Ordering::Relaxed));
        let output = output.ok_or_else(error::abandoned)?;
        let directory = output.directory().to_owned();
        let mut receipt = output.put_in_place(&self.uri, &self.directories)?;
        receipt.parts = Some(parts);
        Ok((receipt, directory))
    }
}

impl Job {
    fn memory(&self) -> u64 {
        match self {
            Self::Part(part, _) => part.part().len(),
            _ => 0,
        }
    }
}

fn not_durable(source: Error) -> Error {
    let text = "the object is in its place, but may not survive a power cut, because its \
                directory can't be synced";
    Error::new(ErrorKind::Ambiguous, text).with_source(source)
}

/// A segment's owner is not ours, and may panic when it is asked for its bytes.
fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text");
    let message = format!("the thread that writes panicked: {text}");
    Error::new(ErrorKind::Other, message)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic leaves half done is dropped by whoever caught it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
