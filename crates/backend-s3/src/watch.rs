//! What is counted and told of one upload.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use writer_core::{Error, EventKind, Part, Reporter, Result, Segment, Step};

use crate::retry::Retries;

/// The counters of one upload, and its line to an observer. The clones are of the same upload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    reporter: Reporter,
    retries: AtomicU64,
    bytes_sent: AtomicU64,
}

impl Watch {
    pub(crate) fn new(reporter: Reporter) -> Self {
        Self(Arc::new(Inner {
            reporter,
            ..Inner::default()
        }))
    }

    pub(crate) fn tell(&self, kind: EventKind<'_>) {
        self.0.reporter.tell(kind);
    }

    /// Requests that were sent again.
    pub(crate) fn retries(&self) -> u64 {
        self.0.retries.load(Ordering::Relaxed)
    }

    /// Bytes of bodies that sockets took, but for the `stored` ones that they had to.
    pub(crate) fn bytes_resent(&self, stored: u64) -> u64 {
        let sent = self.0.bytes_sent.load(Ordering::Relaxed);
        sent.saturating_sub(stored)
    }

    pub(crate) fn queued(&self, part: &Part) {
        if !self.0.reporter.is_heard() {
            return;
        }
        let in_memory = |segment: &&Segment| matches!(segment, Segment::Memory(_));
        let memory = part.segments().iter().filter(in_memory).map(Segment::len);
        self.tell(EventKind::Queued {
            part: part.number(),
            bytes: part.len(),
            memory: memory.sum(),
        });
    }

    /// The end of the upload without an object.
    pub(crate) fn given_up(&self, error: Option<&Error>) {
        self.tell(EventKind::GivenUp { error });
    }

    /// The attempts of one step, of which there were none yet.
    pub(crate) fn step(&self, step: Step) -> Attempts {
        Attempts {
            watch: self.clone(),
            step,
            last: Arc::default(),
            current: Arc::default(),
        }
    }
}

/// The attempts of one step, counted from 1. The clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    watch: Watch,
    step: Step,
    last: Arc<AtomicU32>,
    /// The last one that was made through this handle or its clones.
    current: Arc<AtomicU32>,
}

impl Attempts {
    /// A handle for attempts that go on beside those of this one.
    pub(crate) fn beside(&self) -> Self {
        Self {
            current: Arc::default(),
            ..self.clone()
        }
    }

    /// The next attempt, which has not [begun](Attempt::begin).
    pub(crate) fn next(&self) -> Attempt {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.current.store(number, Ordering::Relaxed);
        Attempt {
            number,
            of: self.clone(),
        }
    }

    /// [`Retries::run`] of a request with each attempt of this step.
    pub(crate) async fn run<T, F>(
        &self,
        retries: &Retries,
        mut request: impl FnMut(Attempt) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let attempt = |number| {
            if number > 1 {
                self.watch.0.retries.fetch_add(1, Ordering::Relaxed);
            }
            request(self.next())
        };
        retries
            .run_watched(attempt, |error| self.in_vain(error))
            .await
    }

    /// [`run`](Self::run) of a request without a body.
    pub(crate) async fn run_short<T, F>(
        &self,
        retries: &Retries,
        mut request: impl FnMut(u32) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let request = |attempt: Attempt| {
            attempt.begin();
            request(attempt.number)
        };
        let answer = self.run(retries, request).await;
        match &answer {
            Ok(_) => self.done(0, false),
            Err(error) => self.failed(error),
        }
        answer
    }

    /// Says that the last attempt was in vain, and another follows.
    pub(crate) fn in_vain(&self, error: &Error) {
        self.watch.tell(EventKind::Retried {
            step: self.step,
            attempt: self.current.load(Ordering::Relaxed),
            error,
        });
    }

    pub(crate) fn done(&self, bytes: u64, reused: bool) {
        self.watch.tell(EventKind::Done {
            step: self.step,
            bytes,
            reused,
        });
    }

    pub(crate) fn failed(&self, error: &Error) {
        let step = self.step;
        self.watch.tell(EventKind::Failed { step, error });
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    of: Attempts,
    number: u32,
}

impl Attempt {
    /// The request leaves.
    pub(crate) fn begin(&self) {
        self.of.watch.tell(EventKind::Began {
            step: self.of.step,
            attempt: self.number,
        });
    }

    /// A socket took `now` more bytes of the body, which are `sent` of its `of` in all.
    pub(crate) fn sent(&self, now: u64, sent: u64, of: u64) {
        let inner = &self.of.watch.0;
        inner.bytes_sent.fetch_add(now, Ordering::Relaxed);
        if let Step::Part(part) = self.of.step {
            inner.reporter.tell(EventKind::Sent {
                part,
                attempt: self.number,
                sent,
                of,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An attempt that nobody watches.
    impl Default for Attempt {
        fn default() -> Self {
            Watch::default().step(Step::Part(1)).next()
        }
    }

    #[test]
    fn only_what_was_sent_in_vain_was_resent() {
        let watch = Watch::default();
        let part = watch.step(Step::Part(1));
        part.next().sent(70, 70, 100);
        let second = part.next();
        second.sent(60, 60, 100);
        second.sent(40, 100, 100);
        assert_eq!((second.number, watch.bytes_resent(100)), (2, 70));
        assert_eq!(Watch::default().bytes_resent(100), 0);
    }
}
