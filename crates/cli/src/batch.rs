//! Objects that are written side by side.

use std::error::Error as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};
use tracing::Instrument as _;
use writer_core::{Error, ErrorKind, ObjectMetadata, ObjectStore, Result, WriterOptions};

use crate::exit;
use crate::input::Input;
use crate::jobs::Job;
use crate::printer::Printer;
use crate::read_back::read_back;
use crate::signals::Signals;
use crate::source::Source;
use crate::tally::Tally;

/// Receipts are printed at least so often.
const PRINT_EVERY: Duration = Duration::from_millis(100);

/// The largest file, in bytes, that is read rather than sent from where it is.
const SMALL: u64 = 256 << 10;

/// Most small files that one thread reads in one turn: the change to that thread and back takes
/// longer than to read one.
const MOST_READ_AT_ONCE: usize = 8;

/// How objects are written.
pub(crate) struct How {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) options: WriterOptions,
    /// The store's memory, in bytes.
    pub(crate) memory: u64,
    /// Each object is read into memory before it is stored, one at a time: one is enough there.
    pub(crate) buffered: bool,
    /// Each object is read after it was stored, and compared.
    pub(crate) verify: bool,
    /// An upload that stopped is taken up.
    pub(crate) resumes: bool,
    /// A failure does not keep others from being begun.
    pub(crate) keep_going: bool,
    /// Receipts say what they are for.
    pub(crate) named: bool,
}

/// What has become of a batch.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) stored: u64,
    /// Bytes stored.
    pub(crate) bytes: u64,
    /// Requests that were sent again for them.
    pub(crate) retries: u64,
    pub(crate) failures: Tally,
    /// Why it ended before its time: a signal, or output that can't be printed.
    pub(crate) ended_by: Option<anyhow::Error>,
}

/// Objects that are being written.
struct Batch {
    how: How,
    printer: Arc<Printer>,
    jobs: Mutex<Box<dyn Iterator<Item = Job> + Send>>,
    /// Most small files that one thread reads in one turn.
    read_at_once: usize,
    /// One for each part that may be in flight. An object takes as many as it has parts, so that
    /// a large one goes alone, and small ones side by side.
    slots: Semaphore,
    stopping: AtomicBool,
    outcome: Mutex<Outcome>,
}

/// Writes `total` objects, with their receipts to `printer`.
pub(crate) async fn write(
    how: How,
    jobs: impl Iterator<Item = Job> + Send + 'static,
    total: usize,
    printer: &Arc<Printer>,
    signals: &Signals,
    failures: Tally,
) -> Outcome {
    let at_once = if how.buffered {
        1
    } else {
        how.options.max_concurrency
    };
    let at_once = at_once.min(total);
    let batch = Arc::new(Batch {
        // Towards the end there must be some left for everyone.
        read_at_once: (total / at_once.max(1) / 4).clamp(1, MOST_READ_AT_ONCE),
        slots: Semaphore::new(how.options.max_concurrency),
        how,
        printer: Arc::clone(printer),
        jobs: Mutex::new(Box::new(jobs)),
        stopping: AtomicBool::new(false),
        outcome: Mutex::new(Outcome {
            stored: 0,
            bytes: 0,
            retries: 0,
            failures,
            ended_by: None,
        }),
    });
    let mut tasks = JoinSet::new();
    for _ in 0..at_once {
        let (batch, signals) = (Arc::clone(&batch), signals.clone());
        tasks.spawn(async move {
            // Writers that a signal drops clean up, and closing their store waits for that.
            if let Err(error) = signals.guard(batch.work()).await {
                batch.end(error);
            }
        });
    }
    batch.supervise(tasks).await;
    batch.finish()
}

impl Batch {
    /// Prints receipts now and then, until all workers have ended.
    async fn supervise(&self, mut tasks: JoinSet<()>) {
        let mut clock = interval(PRINT_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let printed = tokio::select! {
                biased;
                ended = tasks.join_next() => match ended {
                    Some(Ok(())) => continue,
                    Some(Err(panicked)) => Err(panicked.into()),
                    None => break,
                },
                _ = clock.tick() => self.printer.flush().await,
            };
            if let Err(error) = printed {
                self.end(error);
            }
        }
        if let Err(error) = self.printer.flush().await {
            self.end(error);
        }
    }

    async fn work(self: &Arc<Self>) -> anyhow::Result<()> {
        loop {
            let batch = Arc::clone(self);
            let opened = spawn_blocking(move || batch.open_some()).await?;
            if opened.is_empty() {
                return Ok(());
            }
            for (job, input) in opened {
                if self.stopping.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let span = tracing::info_span!("put", source = %job.source, uri = %job.uri);
                match self.put(&job, input).instrument(span).await {
                    Ok(receipt) => self.stored(&job, &receipt).await?,
                    Err(error) => self.failed(error),
                }
            }
        }
    }

    /// Opens the source of the next object; of the next objects, if they are small files.
    fn open_some(&self) -> Vec<(Job, Result<Input>)> {
        let small = self.small();
        let (mut opened, mut read) = (Vec::new(), 0);
        while opened.len() < self.read_at_once && read < small {
            let Some(job) = self.next() else { break };
            let input = job.source.open(small);
            let size = input.as_ref().ok().filter(|input| input.is_read());
            let size = size.and_then(Input::size);
            // What the user names may be a pipe, to open which may take for ever.
            let is_found = matches!(job.source, Source::Found(..));
            opened.push((job, input));
            match size.filter(|_| is_found) {
                Some(size) => read += size,
                None => break,
            }
        }
        opened
    }

    fn next(&self) -> Option<Job> {
        if self.stopping.load(Ordering::Relaxed) {
            return None;
        }
        lock(&self.jobs).next()
    }

    async fn put(&self, job: &Job, input: Result<Input>) -> Result<ObjectMetadata> {
        let start = Instant::now();
        let mut input = input?;
        if self.how.buffered {
            input = input.read_all().await?;
        }
        // Never closed.
        let _slots = self.slots.acquire_many(self.parts(&input)).await;
        let receipt = self.store(job, input).await?;
        if self.how.verify {
            read_back(&*self.how.store, &job.uri, &receipt).await?;
        }
        let seconds = start.elapsed().as_secs_f64();
        tracing::info!(
            bytes = receipt.size,
            parts = receipt.parts,
            seconds,
            "uploaded"
        );
        Ok(receipt)
    }

    /// The largest file that is read: all that may be read at once must fit the store's memory,
    /// in which it is counted from when it is written.
    fn small(&self) -> u64 {
        let most = self.how.options.max_concurrency as u64;
        (self.how.memory / 4 / most).min(SMALL)
    }

    /// How many parts of `input` there will be in flight.
    fn parts(&self, input: &Input) -> u32 {
        let options = &self.how.options;
        let parts = input.size().unwrap_or(0).div_ceil(options.part_size);
        let parts = parts.clamp(1, options.max_concurrency as u64);
        u32::try_from(parts).unwrap_or(u32::MAX)
    }

    async fn store(&self, job: &Job, input: Input) -> Result<ObjectMetadata> {
        let mut options = self.how.options.clone();
        job.guess_type(&mut options)?;
        // What the user says of the size comes first, and must be true.
        options.expected_size = options.expected_size.or(input.size());
        let mut writer = self
            .how
            .store
            .create_writer(&job.uri, Some(options))
            .await?;
        match input.feed(&mut *writer).await {
            Ok(()) => writer.finish().await.map_err(|error| self.sized(error)),
            Err(error) => {
                if let Err(left) = writer.cancel().await {
                    exit::warn(&left.to_string());
                }
                Err(self.sized(error))
            }
        }
    }

    /// `error`, with the size that the user says as its cause, if it is that.
    fn sized(&self, error: Error) -> Error {
        let said = self.how.options.expected_size.is_some();
        // What the service refuses has its answer as the cause.
        let is_ours = error.kind() == ErrorKind::InvalidInput && error.source().is_none();
        match said && is_ours {
            true => error.with_source(exit::OtherSize),
            false => error,
        }
    }

    async fn stored(&self, job: &Job, receipt: &ObjectMetadata) -> anyhow::Result<()> {
        self.count(receipt);
        if self.how.resumes && receipt.bytes_reused.is_none() {
            let text = "there was no upload to take up, so all of it was sent";
            lock(&self.outcome)
                .failures
                .tell(&format!("{}: {text}", job.uri));
        }
        let (named, verified) = (self.how.named, self.how.verify);
        // The objects matter, not who reads of them.
        let _nobody_reads = self
            .printer
            .uploaded(receipt, &job.source, named, verified)
            .await?;
        Ok(())
    }

    fn count(&self, receipt: &ObjectMetadata) {
        let mut outcome = lock(&self.outcome);
        outcome.stored += 1;
        outcome.bytes += receipt.size;
        outcome.retries += receipt.retries.unwrap_or(0);
    }

    fn failed(&self, error: writer_core::Error) {
        if !self.how.keep_going {
            self.stopping.store(true, Ordering::Relaxed);
        }
        lock(&self.outcome).failures.add(&error.into());
    }

    /// Ends the batch for a reason that is none of its objects'; the first one counts.
    fn end(&self, error: anyhow::Error) {
        self.stopping.store(true, Ordering::Relaxed);
        lock(&self.outcome).ended_by.get_or_insert(error);
    }

    fn finish(&self) -> Outcome {
        let mut outcome = lock(&self.outcome);
        Outcome {
            stored: outcome.stored,
            bytes: outcome.bytes,
            retries: outcome.retries,
            failures: std::mem::take(&mut outcome.failures),
            ended_by: outcome.ended_by.take(),
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counters and iterators are whole between any two steps.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
