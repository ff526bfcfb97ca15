//! What is told of parts while objects are written.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use writer_core::{Event, EventKind, Observer, Step};

/// Counts retries, and takes the time of parts.
#[derive(Debug, Default)]
pub(super) struct Parts(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// When the first request of a part left, by its writer and number.
    began: HashMap<(u64, u32), Instant>,
    times: Vec<Duration>,
    retries: u64,
}

impl Parts {
    /// How long each part took that is stored, shortest first, and how often a request was made
    /// again.
    pub(super) fn take(&self) -> (Vec<Duration>, u64) {
        let mut counted = std::mem::take(&mut *self.counted());
        counted.times.sort_unstable();
        (counted.times, counted.retries)
    }

    fn counted(&self) -> std::sync::MutexGuard<'_, Counted> {
        // Numbers are whole between any two events.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Parts {
    fn on_event(&self, event: &Event<'_>) {
        let now = Instant::now();
        match event.kind {
            EventKind::Began {
                step: Step::Part(number),
                ..
            } => {
                let part = (event.writer, number);
                self.counted().began.entry(part).or_insert(now);
            }
            EventKind::Done {
                step: Step::Part(number),
                ..
            } => {
                let mut counted = self.counted();
                if let Some(began) = counted.began.remove(&(event.writer, number)) {
                    counted.times.push(now - began);
                }
            }
            EventKind::Retried { .. } => self.counted().retries += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use writer_core::{Error, ErrorKind, Reporter, WriterOptions};

    use super::*;

    /// Parts, and the lines of two writers to them.
    fn watched() -> (Arc<Parts>, [Reporter; 2]) {
        let parts = Arc::<Parts>::default();
        let options = WriterOptions::default().with_observer(parts.clone());
        let writers = ["s3://b/1", "s3://b/2"].map(|uri| Reporter::open(uri, &options));
        (parts, writers)
    }

    fn began(step: Step, attempt: u32) -> EventKind<'static> {
        EventKind::Began { step, attempt }
    }

    fn done(step: Step) -> EventKind<'static> {
        EventKind::Done {
            step,
            bytes: 1,
            reused: false,
        }
    }

    #[test]
    fn the_time_of_a_part_is_from_its_first_request_until_it_is_stored() {
        let (parts, [one, other]) = watched();
        let (step, pause) = (Step::Part(1), Duration::from_millis(5));
        one.tell(began(step, 1));
        std::thread::sleep(pause);
        one.tell(EventKind::Retried {
            step,
            attempt: 1,
            error: &Error::new(ErrorKind::Unavailable, "slow down"),
        });
        other.tell(began(step, 1));
        one.tell(began(step, 2));
        one.tell(done(step));
        other.tell(done(step));
        let (times, retries) = parts.take();
        assert_eq!((times.len(), retries), (2, 1));
        assert!(times.is_sorted() && times[1] >= pause, "{times:?}");
        assert_eq!(parts.take(), (Vec::new(), 0));
    }

    #[test]
    fn other_steps_are_no_parts() {
        let (parts, [writer, _]) = watched();
        for step in [Step::Create, Step::Sync, Step::Complete] {
            writer.tell(began(step, 1));
            writer.tell(done(step));
        }
        assert_eq!(parts.take(), (Vec::new(), 0));
    }
}
