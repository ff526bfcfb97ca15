//! How often a whole store may try again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// This many requests may be tried again at once.
const BURST: f64 = 100.0;

/// One more may be, so often, after that.
const INTERVAL: Duration = Duration::from_millis(50);

/// A token bucket: each request that is tried again takes a token, time and each success bring one
/// back. Where there is none, a request waits for the one that will be its own. So a service that
/// fails everything is asked 20 times a second again, by all writers together, and not as often as
/// there are parts in flight.
#[derive(Debug)]
pub(crate) struct Bucket(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Below 0: so many requests wait.
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(State {
            tokens: BURST,
            at: now,
        }))
    }

    /// Takes a token; says how long to wait for it.
    pub(crate) fn take(&self, now: Instant) -> Duration {
        self.change(now, |state| {
            state.tokens -= 1.0;
            INTERVAL.mul_f64((-state.tokens).max(0.0))
        })
    }

    /// Brings a token back: the service works.
    pub(crate) fn give(&self, now: Instant) {
        self.change(now, |state| state.tokens = (state.tokens + 1.0).min(BURST));
    }

    fn change<T>(&self, now: Instant, change: impl FnOnce(&mut State) -> T) -> T {
        // Two numbers, which are whole between any two calls.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(state.at).as_secs_f64();
        state.tokens = (state.tokens + passed / INTERVAL.as_secs_f64()).min(BURST);
        state.at = state.at.max(now);
        change(&mut state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_what_follows_queues() {
        let now = Instant::now();
        let bucket = Bucket::new(now);
        for _ in 0..100 {
            assert_eq!(bucket.take(now), Duration::ZERO);
        }
        assert_eq!(bucket.take(now), INTERVAL);
        assert_eq!(bucket.take(now), INTERVAL * 2);
        // Both have had their turn.
        let later = now + INTERVAL * 2;
        assert_eq!(bucket.take(later), INTERVAL);
    }

    #[test]
    fn success_and_time_fill_it_no_further_than_it_goes() {
        let now = Instant::now();
        let bucket = Bucket::new(now);
        for _ in 0..102 {
            bucket.take(now);
        }
        bucket.give(now);
        assert_eq!(bucket.take(now), INTERVAL * 2);
        let later = now + Duration::from_secs(3600);
        for _ in 0..100 {
            assert_eq!(bucket.take(later), Duration::ZERO);
        }
        assert_eq!(bucket.take(later), INTERVAL);
    }
}
