//! What is watched of a command while it goes on: progress, and a trace.

mod bar;
mod numbers;
mod reading;
mod trace;

use std::sync::Arc;
use std::time::{Duration, Instant};

use writer_core::{Event, Observer, ObserverHandle, Result, WriterOptions};

use crate::args::watch::WatchArgs;
use crate::batch::Outcome;
use crate::tally::grouped;
use crate::usage;

pub(crate) use self::bar::Goal;
pub(crate) use self::bar::human;
use self::bar::{Bar, is_wanted};
use self::numbers::Numbers;
pub(crate) use self::reading::watched;
pub(crate) use self::trace::Trace;

/// A put that takes longer and shows its progress says at its end what it did.
const LONG: Duration = Duration::from_secs(5);

/// Watches the objects of one command, and shows their progress until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    started: Instant,
    bar: Option<Bar>,
    observer: Option<ObserverHandle>,
}

impl Watch {
    /// What `args` ask for, on the way to `goal`.
    ///
    /// # Errors
    ///
    /// If progress can't be shown.
    pub(crate) fn begin(
        args: &WatchArgs,
        trace: Option<Arc<Trace>>,
        quiet: bool,
        goal: impl FnOnce() -> Goal,
    ) -> Result<Self> {
        let numbers = is_wanted(args.progress.progress, quiet).then(Arc::<Numbers>::default);
        let bar = match &numbers {
            Some(numbers) => Some(Bar::show(Arc::clone(numbers), goal())?),
            None => None,
        };
        let observer: Option<Arc<dyn Observer>> = match (numbers, trace) {
            (Some(numbers), Some(trace)) => Some(Arc::new(Both(numbers, trace))),
            (Some(numbers), None) => Some(numbers),
            (None, Some(trace)) => Some(trace),
            (None, None) => None,
        };
        Ok(Self {
            started: Instant::now(),
            bar,
            observer: observer.map(ObserverHandle::new),
        })
    }

    /// `options` of writers that are watched.
    pub(crate) fn over(&self, mut options: WriterOptions) -> WriterOptions {
        options.observer.clone_from(&self.observer);
        options
    }

    /// True if the end is worth a line, though nothing else asks for one.
    pub(crate) fn was_long(&self) -> bool {
        self.bar.is_some() && self.started.elapsed() >= LONG
    }

    /// The end in one line; from here on, progress is not shown.
    pub(crate) fn summary(self, outcome: &Outcome) -> String {
        let took = self.started.elapsed();
        drop(self.bar);
        summary(outcome, took, usage::peak())
    }
}

#[derive(Debug)]
struct Both(Arc<Numbers>, Arc<Trace>);

impl Observer for Both {
    fn on_event(&self, event: &Event<'_>) {
        self.0.on_event(event);
        self.1.on_event(event);
    }
}

fn summary(outcome: &Outcome, took: Duration, peak: Option<u64>) -> String {
    let objects = match outcome.stored {
        1 => "1 object".to_owned(),
        number => format!("{} objects", grouped(number)),
    };
    let seconds = took.as_secs_f64();
    let bytes = outcome.bytes as f64;
    let mut text = format!(
        "Uploaded {objects}, {} in {seconds:.1} s ({}/s)",
        human(bytes),
        human(bytes / seconds.max(1e-3))
    );
    match outcome.retries {
        0 => {}
        1 => text += ", 1 retry",
        retries => text += &format!(", {} retries", grouped(retries)),
    }
    if let Some(peak) = peak {
        text += &format!(", peak memory {}", human(peak as f64));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;

    #[test]
    fn a_summary_says_what_counts() {
        let mut outcome = Outcome {
            stored: 12,
            bytes: 3 << 30,
            retries: 2,
            failures: Tally::new(true),
            ended_by: None,
        };
        let took = Duration::from_secs(8);
        assert_eq!(
            summary(&outcome, took, Some(96 << 20)),
            "Uploaded 12 objects, 3.0 GiB in 8.0 s (384 MiB/s), 2 retries, peak memory 96.0 MiB"
        );
        (outcome.stored, outcome.bytes, outcome.retries) = (1, 10, 0);
        assert_eq!(
            summary(&outcome, Duration::ZERO, None),
            "Uploaded 1 object, 10 B in 0.0 s (9.8 KiB/s)"
        );
        assert!(usage::peak().is_some_and(|peak| peak > 1 << 20));
    }
}
