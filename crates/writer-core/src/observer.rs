//! Watching a write: what becomes of an object and of each of its parts, as it happens.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{Error, WriterOptions};

/// Told what happens to the objects that are written with it
/// ([`WriterOptions::with_observer`]): for a progress bar, for metrics, for a trace.
///
/// It is called on the threads that write, between one piece of work and the next, and with no lock
/// held that anything but this object waits for. So it must be quick, and must not wait: it counts,
/// or hands the event on. What it takes in time, the write takes longer; nothing else depends on it.
/// One that panics is not called again for that object, and the write goes on.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use writer_core::{Event, EventKind, Observer, WriterOptions};
///
/// #[derive(Default)]
/// struct Retries(AtomicU64);
///
/// impl Observer for Retries {
///     fn on_event(&self, event: &Event<'_>) {
///         if let EventKind::Retried { .. } = event.kind {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
///
/// let retries = Arc::new(Retries::default());
/// let options = WriterOptions::default().with_observer(retries.clone());
/// # drop(options);
/// ```
pub trait Observer: Send + Sync {
    /// Something has happened. Events of one part come in their order; those of different parts,
    /// and of different objects, may come at the same time from several threads.
    fn on_event(&self, event: &Event<'_>);
}

/// Something that happened to an object that is being written.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The object's URI.
    pub uri: &'a str,
    /// Which writer of this program it was, from 1: one object may have two at once.
    pub writer: u64,
    /// What has happened.
    pub kind: EventKind<'a>,
}

/// What happened.
///
/// ```text
///  Opened ── Queued 1 ── Began 1 ── Sent 1 … Sent 1 ── Done 1 ──┐
///         ├─ Queued 2 ── Began 2 ── Sent 2 ── Retried 2 ─┐      │
///         │              └───────── Began 2 ── Sent 2 … ◀┘ ─ Done 2 ── Finished
///         └─ Began Create ── Done Create          Began Complete ── Done Complete ─┘
/// ```
///
/// Sizes are in bytes of what is stored, which is after compression. An attempt is a request, counted
/// from 1 for each step of each object. A part that has neither `Done` nor `Failed` when its object
/// ends was given up with it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum EventKind<'a> {
    /// A writer was made.
    Opened {
        /// The object's size in bytes, if it is known.
        size: Option<u64>,
    },
    /// A part is full, and waits for a place in flight. (Only on S3: a disk takes bytes as they
    /// come.)
    Queued {
        /// The part's number, from 1.
        part: u32,
        /// Its length in bytes.
        bytes: u64,
        /// How many of those are held in memory; the others are read from a file.
        memory: u64,
    },
    /// A request leaves, or a disk is asked.
    Began {
        /// What for.
        step: Step,
        /// Which attempt of this step it is.
        attempt: u32,
    },
    /// Bytes of a part were taken by the socket; the kernel may still have some of them.
    Sent {
        /// The part's number.
        part: u32,
        /// Which attempt.
        attempt: u32,
        /// Bytes of this attempt so far.
        sent: u64,
        /// Bytes that it will be: from here on, only the answer is missing.
        of: u64,
    },
    /// A part is late, and is sent a second time over another connection. What is stored first
    /// counts.
    Repeated {
        /// The part's number.
        part: u32,
    },
    /// An attempt was in vain, and the step is tried again.
    Retried {
        /// What was tried.
        step: Step,
        /// Which attempt it was.
        attempt: u32,
        /// Why.
        error: &'a Error,
    },
    /// A step is done.
    Done {
        /// Which.
        step: Step,
        /// Bytes that are stored by it: the length of a part; 0 for other steps.
        bytes: u64,
        /// An earlier upload had stored the part, and it was not sent.
        reused: bool,
    },
    /// A step failed for good.
    Failed {
        /// Which.
        step: Step,
        /// Why.
        error: &'a Error,
    },
    /// Bytes were written to a disk.
    Written {
        /// How many there are so far.
        bytes: u64,
    },
    /// The object is visible. The last event.
    Finished {
        /// Its size in bytes, as stored.
        bytes: u64,
    },
    /// The writer failed, was cancelled or dropped, and what it had stored is removed as far as
    /// possible. The last event.
    GivenUp {
        /// The failure, if there was one.
        error: Option<&'a Error>,
    },
}

/// A step on the way to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// The upload is created (CreateMultipartUpload).
    Create,
    /// A part is stored, by its number. Part 1 of an object that is one request makes it visible.
    Part(u32),
    /// A disk is told to keep what was written.
    Sync,
    /// The object is made visible: CompleteMultipartUpload; on a disk, the rename and the sync of
    /// its directory.
    Complete,
    /// What was stored is removed (AbortMultipartUpload).
    Abort,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create => f.write_str("create"),
            Self::Part(number) => write!(f, "part {number}"),
            Self::Sync => f.write_str("sync"),
            Self::Complete => f.write_str("complete"),
            Self::Abort => f.write_str("abort"),
        }
    }
}

/// An [`Observer`] as one of the [`WriterOptions`]; equal to its clones only.
#[derive(Clone)]
pub struct ObserverHandle(Arc<dyn Observer>);

impl ObserverHandle {
    /// A handle of `observer`.
    #[must_use]
    pub fn new(observer: Arc<dyn Observer>) -> Self {
        Self(observer)
    }
}

impl PartialEq for ObserverHandle {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ObserverHandle {}

impl fmt::Debug for ObserverHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObserverHandle")
    }
}

/// A backend's line to the observer of one writer; costs nothing where there is none.
#[derive(Clone, Debug, Default)]
pub struct Reporter(Option<Arc<Line>>);

#[derive(Debug)]
struct Line {
    observer: ObserverHandle,
    uri: String,
    writer: u64,
    /// The last event was told, or the observer has panicked.
    closed: AtomicBool,
}

static WRITERS: AtomicU64 = AtomicU64::new(0);

impl Reporter {
    /// The line of a writer of `uri`, made with `options`. Tells that it was opened.
    #[must_use]
    pub fn open(uri: &str, options: &WriterOptions) -> Self {
        let line = options.observer.as_ref().map(|observer| {
            Arc::new(Line {
                observer: observer.clone(),
                uri: uri.to_owned(),
                writer: WRITERS.fetch_add(1, Ordering::Relaxed) + 1,
                closed: AtomicBool::new(false),
            })
        });
        let reporter = Self(line);
        reporter.tell(EventKind::Opened {
            size: options.expected_size,
        });
        reporter
    }

    /// True if somebody listens.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.0.is_some()
    }

    /// Tells what has happened. Called without locks held.
    pub fn tell(&self, kind: EventKind<'_>) {
        let Some(line) = &self.0 else { return };
        let is_last = matches!(kind, EventKind::Finished { .. } | EventKind::GivenUp { .. });
        let was_closed = match is_last {
            true => line.closed.swap(true, Ordering::AcqRel),
            false => line.closed.load(Ordering::Acquire),
        };
        if was_closed {
            return;
        }
        let event = Event {
            uri: &line.uri,
            writer: line.writer,
            kind,
        };
        // The observer is somebody's, and the object must not suffer from it.
        let told = catch_unwind(AssertUnwindSafe(|| line.observer.0.on_event(&event)));
        if told.is_err() {
            line.closed.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::ErrorKind;

    #[derive(Default)]
    struct Log(Mutex<Vec<String>>);

    impl Observer for Log {
        fn on_event(&self, event: &Event<'_>) {
            let text = format!("{} {:?}", event.uri, event.kind);
            let mut log = self.0.lock().unwrap();
            log.push(text);
            assert!(log.len() < 3, "more than it can bear");
        }
    }

    #[test]
    fn nothing_comes_after_the_last_event() {
        let log = Arc::new(Log::default());
        let options = WriterOptions::default().with_observer(log.clone());
        let reporter = Reporter::open("s3://b/k", &options);
        reporter.tell(EventKind::Finished { bytes: 1 });
        reporter.tell(EventKind::GivenUp { error: None });
        reporter.tell(EventKind::Written { bytes: 1 });
        assert_eq!(
            *log.0.lock().unwrap(),
            [
                "s3://b/k Opened { size: None }",
                "s3://b/k Finished { bytes: 1 }"
            ]
        );
    }

    #[test]
    fn an_observer_that_panics_is_left_alone() {
        let log = Arc::new(Log::default());
        let options = WriterOptions::default().with_observer(log.clone());
        let reporter = Reporter::open("s3://b/k", &options);
        for _ in 0..4 {
            reporter.tell(EventKind::Written { bytes: 1 });
        }
        let told = log.0.lock().unwrap_or_else(|e| e.into_inner()).len();
        assert_eq!(told, 3, "not once more after the panic");
    }

    #[test]
    fn handles_are_equal_to_their_clones_only() {
        let observed = |log: &Arc<Log>| WriterOptions::default().with_observer(log.clone());
        let (one, other) = (Arc::new(Log::default()), Arc::new(Log::default()));
        assert_eq!(observed(&one), observed(&one).clone());
        assert_ne!(observed(&one), observed(&other));
        assert_ne!(observed(&one), WriterOptions::default());
        let steps = [Step::Part(3), Step::Create].map(|step| step.to_string());
        assert_eq!(steps, ["part 3", "create"]);
        let error = Error::new(ErrorKind::Unavailable, "x");
        let silent = Reporter::open("s3://b/k", &WriterOptions::default());
        silent.tell(EventKind::GivenUp {
            error: Some(&error),
        });
        assert!(!silent.is_heard());
    }
}
