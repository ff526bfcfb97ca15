//! Which part of an upload is sent a second time, because it keeps the others waiting.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A part is late after this many times as long as half of the others took.
const LATE: u32 = 3;

/// No part is late before this: below, a second request costs more than it can gain.
const SOONEST: Duration = Duration::from_millis(250);

/// So many parts must have been stored before any can be called late.
const ENOUGH: usize = 4;

/// How many of the last durations are known.
const KEPT: usize = 64;

/// One part of so many bytes may be sent again: 2 %.
const SHARE: u64 = 50;

/// When the parts in flight began, and how long those before them took.
#[derive(Debug, Default)]
pub(crate) struct Stragglers {
    flying: HashMap<u32, Flight>,
    durations: Vec<Duration>,
    landed: usize,
    bytes_landed: u64,
    bytes_repeated: u64,
}

#[derive(Debug)]
struct Flight {
    since: Instant,
    len: u64,
    repeated: bool,
}

impl Stragglers {
    pub(crate) fn departed(&mut self, number: u32, len: u64, now: Instant) {
        let flight = Flight {
            since: now,
            len,
            repeated: false,
        };
        self.flying.insert(number, flight);
    }

    pub(crate) fn landed(&mut self, number: u32, now: Instant) {
        let Some(flight) = self.flying.remove(&number) else {
            return;
        };
        let took = now.duration_since(flight.since);
        match self.durations.get_mut(self.landed % KEPT) {
            Some(oldest) => *oldest = took,
            None => self.durations.push(took),
        }
        self.landed += 1;
        self.bytes_landed += flight.len;
    }

    /// The part that is due to be sent again, and when, if nothing else waits to be sent.
    pub(crate) fn next(&self) -> Option<(u32, Instant)> {
        let patience = self.patience()?;
        let late = self
            .flying
            .iter()
            .filter(|(_, flight)| self.may_repeat(flight));
        late.map(|(number, flight)| (*number, flight.since + patience))
            .min_by_key(|(_, at)| *at)
    }

    pub(crate) fn repeated(&mut self, number: u32) {
        if let Some(flight) = self.flying.get_mut(&number) {
            flight.repeated = true;
            self.bytes_repeated += flight.len;
        }
    }

    fn patience(&self) -> Option<Duration> {
        if self.landed < ENOUGH {
            return None;
        }
        let mut durations = self.durations.clone();
        let middle = durations.len() / 2;
        let (_, median, _) = durations.select_nth_unstable(middle);
        Some((*median * LATE).max(SOONEST))
    }

    /// One part at least; of more, no more than a fixed share of the bytes.
    fn may_repeat(&self, flight: &Flight) -> bool {
        let allowed = self.bytes_landed / SHARE;
        !flight.repeated
            && (self.bytes_repeated == 0 || self.bytes_repeated + flight.len <= allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn after(landed: u32, took: Duration, now: Instant) -> Stragglers {
        let mut stragglers = Stragglers::default();
        for number in 1..=landed {
            stragglers.departed(number, 100, now);
            stragglers.landed(number, now + took);
        }
        stragglers
    }

    #[test]
    fn a_part_is_late_by_what_the_others_took() {
        let now = Instant::now();
        let mut stragglers = after(10, 200 * MS, now);
        stragglers.departed(11, 100, now);
        stragglers.departed(12, 100, now + 5 * MS);
        assert_eq!(stragglers.next(), Some((11, now + 600 * MS)));
        stragglers.landed(11, now + 300 * MS);
        assert_eq!(stragglers.next(), Some((12, now + 605 * MS)));
    }

    #[test]
    fn nothing_is_late_where_nothing_is_known_or_all_is_fast() {
        let now = Instant::now();
        let mut unknown = after(3, MS, now);
        unknown.departed(4, 100, now);
        assert_eq!(unknown.next(), None);
        let mut fast = after(4, MS, now);
        fast.departed(5, 100, now);
        assert_eq!(fast.next(), Some((5, now + SOONEST)));
    }

    #[test]
    fn one_part_may_be_repeated_and_more_only_of_many() {
        let now = Instant::now();
        let mut few = after(10, MS, now);
        few.departed(11, 100, now);
        few.departed(12, 100, now);
        few.repeated(11);
        assert_eq!(few.next(), None, "a tenth of the bytes is enough");

        let mut many = after(200, MS, now);
        for number in 201..=210 {
            many.departed(number, 100, now);
        }
        let mut repeated = 0;
        while let Some((number, _)) = many.next() {
            many.repeated(number);
            repeated += 1;
        }
        assert_eq!(repeated, 4, "2 % of 200");
    }
}
