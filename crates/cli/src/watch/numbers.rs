//! How far all objects of a command are, in a few numbers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use writer_core::{Event, EventKind, Observer, Step};

/// Counts what is told.
#[derive(Debug, Default)]
pub(crate) struct Numbers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    so_far: SoFar,
    objects: HashMap<u64, Object>,
}

/// The numbers at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SoFar {
    /// Bytes that are stored or sent; those of an attempt that failed do not count.
    pub(crate) bytes: u64,
    /// The size of all objects that were begun, in bytes.
    pub(crate) size: u64,
    /// The size of some object is not known.
    pub(crate) is_open: bool,
    pub(crate) stored: u64,
    pub(crate) in_flight: u64,
    pub(crate) retries: u64,
}

#[derive(Debug, Default)]
struct Object {
    size: u64,
    /// Bytes that count for this object.
    bytes: u64,
    flying: HashMap<u32, Flight>,
}

/// A part in flight.
#[derive(Debug, Default)]
struct Flight {
    /// Bytes that count for it.
    bytes: u64,
    /// Bytes sent, by attempt: more than one only of a part that is late.
    attempts: Vec<(u32, u64)>,
}

impl Numbers {
    pub(crate) fn so_far(&self) -> SoFar {
        self.lock().so_far
    }

    /// Counts bytes that were read.
    pub(crate) fn add(&self, bytes: u64) {
        self.lock().so_far.bytes += bytes;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // At worst a number is behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Numbers {
    fn on_event(&self, event: &Event<'_>) {
        let mut state = self.lock();
        let State { so_far, objects } = &mut *state;
        if let EventKind::Opened { size } = event.kind {
            so_far.is_open |= size.is_none();
            so_far.size += size.unwrap_or(0);
            let size = size.unwrap_or(0);
            let object = Object {
                size,
                ..Object::default()
            };
            objects.insert(event.writer, object);
        } else if let Some(object) = objects.get_mut(&event.writer) {
            object.take(&event.kind, so_far);
            let is_over = matches!(
                event.kind,
                EventKind::Finished { .. } | EventKind::GivenUp { .. }
            );
            if is_over {
                objects.remove(&event.writer);
            }
        }
    }
}

impl Object {
    fn take(&mut self, event: &EventKind<'_>, so_far: &mut SoFar) {
        match *event {
            EventKind::Began {
                step: Step::Part(part),
                attempt,
            } => {
                so_far.in_flight += u64::from(!self.flying.contains_key(&part));
                let flight = self.flying.entry(part).or_default();
                flight.attempts.push((attempt, 0));
            }
            EventKind::Sent {
                part,
                attempt,
                sent,
                ..
            } => {
                if let Some(flight) = self.flying.get_mut(&part) {
                    let mut attempts = flight.attempts.iter_mut();
                    if let Some(one) = attempts.find(|(number, _)| *number == attempt) {
                        one.1 = sent;
                    }
                    self.count(part, so_far);
                }
            }
            EventKind::Retried { step, attempt, .. } => {
                so_far.retries += 1;
                if let Step::Part(part) = step
                    && let Some(flight) = self.flying.get_mut(&part)
                {
                    flight.attempts.retain(|(number, _)| *number != attempt);
                    self.count(part, so_far);
                }
            }
            EventKind::Done {
                step: Step::Part(part),
                bytes,
                ..
            } => {
                let flight = self.flying.remove(&part);
                so_far.in_flight -= u64::from(flight.is_some());
                let counted = flight.map_or(0, |flight| flight.bytes);
                self.count_as(self.bytes - counted + bytes, so_far);
            }
            EventKind::Written { bytes } => self.count_as(bytes, so_far),
            EventKind::Finished { bytes } => {
                self.land(so_far);
                self.count_as(bytes, so_far);
                so_far.stored += 1;
            }
            EventKind::GivenUp { .. } => {
                self.land(so_far);
                self.count_as(0, so_far);
                so_far.size -= self.size;
            }
            _ => {}
        }
    }

    /// Of a part, the attempt that is ahead counts.
    fn count(&mut self, part: u32, so_far: &mut SoFar) {
        if let Some(flight) = self.flying.get_mut(&part) {
            let sent = flight.attempts.iter().map(|(_, sent)| *sent).max();
            let counted = std::mem::replace(&mut flight.bytes, sent.unwrap_or(0));
            let bytes = self.bytes - counted + flight.bytes;
            self.count_as(bytes, so_far);
        }
    }

    fn count_as(&mut self, bytes: u64, so_far: &mut SoFar) {
        so_far.bytes = so_far.bytes - self.bytes + bytes;
        self.bytes = bytes;
    }

    fn land(&mut self, so_far: &mut SoFar) {
        so_far.in_flight -= self.flying.len() as u64;
        self.flying.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use writer_core::{Error, ErrorKind, Reporter, WriterOptions};

    fn watched(size: u64) -> (Arc<Numbers>, Reporter) {
        let numbers = Arc::new(Numbers::default());
        let options = WriterOptions::default()
            .with_observer(numbers.clone())
            .with_expected_size(size);
        let reporter = Reporter::open("s3://b/k", &options);
        (numbers, reporter)
    }

    fn began(part: u32, attempt: u32) -> EventKind<'static> {
        let step = Step::Part(part);
        EventKind::Began { step, attempt }
    }

    fn sent(part: u32, attempt: u32, sent: u64) -> EventKind<'static> {
        EventKind::Sent {
            part,
            attempt,
            sent,
            of: 100,
        }
    }

    fn done(part: u32) -> EventKind<'static> {
        EventKind::Done {
            step: Step::Part(part),
            bytes: 100,
            reused: false,
        }
    }

    #[test]
    fn what_failed_does_not_count_and_what_was_sent_twice_counts_once() {
        let (numbers, reporter) = watched(200);
        let bytes = || numbers.so_far().bytes;
        reporter.tell(began(1, 1));
        reporter.tell(sent(1, 1, 60));
        reporter.tell(began(2, 1));
        reporter.tell(sent(2, 1, 10));
        assert_eq!((bytes(), numbers.so_far().in_flight), (70, 2));
        let error = Error::new(ErrorKind::Unavailable, "x");
        reporter.tell(EventKind::Retried {
            step: Step::Part(1),
            attempt: 1,
            error: &error,
        });
        assert_eq!((bytes(), numbers.so_far().retries), (10, 1));
        reporter.tell(began(1, 2));
        reporter.tell(sent(1, 2, 30));
        reporter.tell(began(1, 3));
        reporter.tell(sent(1, 3, 20));
        assert_eq!(bytes(), 40, "the one that is ahead");
        reporter.tell(done(1));
        reporter.tell(done(2));
        assert_eq!(bytes(), 200);
        reporter.tell(EventKind::Finished { bytes: 200 });
        let end = SoFar {
            bytes: 200,
            size: 200,
            is_open: false,
            stored: 1,
            in_flight: 0,
            retries: 1,
        };
        assert_eq!(numbers.so_far(), end);
    }

    #[test]
    fn what_is_given_up_does_not_count() {
        let (numbers, reporter) = watched(200);
        reporter.tell(began(1, 1));
        reporter.tell(sent(1, 1, 60));
        reporter.tell(EventKind::GivenUp { error: None });
        assert_eq!(numbers.so_far(), SoFar::default());
    }
}
