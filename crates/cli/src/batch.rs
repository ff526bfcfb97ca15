//! Objects that are written side by side.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::Instrument as _;
use writer_core::{ObjectMetadata, ObjectStore, Result, WriterOptions};

use crate::exit;
use crate::input::Input;
use crate::jobs::Job;
use crate::printer::Printer;
use crate::signals::Signals;
use crate::tally::Tally;

/// Receipts are printed at least so often.
const PRINT_EVERY: Duration = Duration::from_millis(100);

/// The largest file, in bytes, that is read rather than sent from where it is.
const SMALL: u64 = 256 << 10;

/// How objects are written.
pub(crate) struct How {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) options: WriterOptions,
    /// The store's memory, in bytes.
    pub(crate) memory: u64,
    /// Most objects that are written at once.
    pub(crate) at_once: usize,
    /// Each object is read into memory before it is stored.
    pub(crate) buffered: bool,
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
    pub(crate) failures: Tally,
    /// Why it ended before its time: a signal, or output that can't be printed.
    pub(crate) ended_by: Option<anyhow::Error>,
}

/// Objects that are being written.
struct Batch {
    how: How,
    printer: Arc<Printer>,
    jobs: Mutex<Box<dyn Iterator<Item = Job> + Send>>,
    /// One for each part that may be in flight. An object takes as many as it has parts, so that
    /// a large one goes alone, and small ones side by side.
    slots: Semaphore,
    stopping: AtomicBool,
    outcome: Mutex<Outcome>,
}

/// Writes `jobs`, with their receipts to `printer`.
pub(crate) async fn write(
    how: How,
    jobs: impl Iterator<Item = Job> + Send + 'static,
    printer: &Arc<Printer>,
    signals: &Signals,
    failures: Tally,
) -> Outcome {
    let batch = Arc::new(Batch {
        slots: Semaphore::new(how.options.max_concurrency),
        how,
        printer: Arc::clone(printer),
        jobs: Mutex::new(Box::new(jobs)),
        stopping: AtomicBool::new(false),
        outcome: Mutex::new(Outcome {
            stored: 0,
            bytes: 0,
            failures,
            ended_by: None,
        }),
    });
    let mut tasks = JoinSet::new();
    for _ in 0..batch.how.at_once {
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

    async fn work(&self) -> anyhow::Result<()> {
        while let Some(job) = self.next() {
            let span = tracing::info_span!("put", source = %job.source, uri = %job.uri);
            match self.put(&job).instrument(span).await {
                Ok(receipt) => self.stored(&job, &receipt).await?,
                Err(error) => self.failed(error),
            }
        }
        Ok(())
    }

    fn next(&self) -> Option<Job> {
        if self.stopping.load(Ordering::Relaxed) {
            return None;
        }
        lock(&self.jobs).next()
    }

    async fn put(&self, job: &Job) -> Result<ObjectMetadata> {
        let start = Instant::now();
        let mut input = job.source.open(self.small()).await?;
        if self.how.buffered {
            input = input.read_all().await?;
        }
        // Never closed.
        let _slots = self.slots.acquire_many(self.parts(&input)).await;
        let receipt = self.store(&job.uri, input).await?;
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

    async fn store(&self, uri: &str, input: Input) -> Result<ObjectMetadata> {
        let mut options = self.how.options.clone();
        // What the user says of the size comes first, and must be true.
        options.expected_size = options.expected_size.or(input.size());
        let mut writer = self.how.store.create_writer(uri, Some(options)).await?;
        match input.feed(&mut *writer).await {
            Ok(()) => writer.finish().await,
            Err(error) => {
                if let Err(left) = writer.cancel().await {
                    exit::warn(&left.to_string());
                }
                Err(error)
            }
        }
    }

    async fn stored(&self, job: &Job, receipt: &ObjectMetadata) -> anyhow::Result<()> {
        self.count(receipt);
        let source = self.how.named.then_some(&job.source);
        // The objects matter, not who reads of them.
        let _nobody_reads = self.printer.uploaded(receipt, source).await?;
        Ok(())
    }

    fn count(&self, receipt: &ObjectMetadata) {
        let mut outcome = lock(&self.outcome);
        outcome.stored += 1;
        outcome.bytes += receipt.size;
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
            failures: std::mem::take(&mut outcome.failures),
            ended_by: outcome.ended_by.take(),
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counters and iterators are whole between any two steps.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
