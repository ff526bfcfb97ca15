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

    /// Takes a token, for which there may be a wait.
    pub(crate) fn take(&self, now: Instant) -> Turn<'_> {
        let wait = self.change(now, |state| {
            state.tokens -= 1.0;
            INTERVAL.mul_f64((-state.tokens).max(0.0))
        });
        Turn {
            bucket: Some(self),
            wait,
        }
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

/// A token that was taken. One that is dropped before its turn came goes back.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    bucket: Option<&'a Bucket>,
    wait: Duration,
}

impl Turn<'_> {
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }

    pub(crate) fn came(mut self) {
        self.bucket = None;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(bucket) = self.bucket {
            bucket.give(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(bucket: &Bucket, now: Instant) -> Duration {
        let turn = bucket.take(now);
        let wait = turn.wait();
        turn.came();
        wait
    }

    #[test]
    fn a_burst_goes_at_once_and_what_follows_queues() {
        let now = Instant::now();
        let bucket = Bucket::new(now);
        for _ in 0..100 {
            assert_eq!(took(&bucket, now), Duration::ZERO);
        }
        assert_eq!(took(&bucket, now), INTERVAL);
        assert_eq!(took(&bucket, now), INTERVAL * 2);
        // Both have had their turn.
        let later = now + INTERVAL * 2;
        assert_eq!(took(&bucket, later), INTERVAL);
    }

    #[test]
    fn success_and_time_fill_it_no_further_than_it_goes() {
        let now = Instant::now();
        let bucket = Bucket::new(now);
        for _ in 0..102 {
            took(&bucket, now);
        }
        bucket.give(now);
        assert_eq!(took(&bucket, now), INTERVAL * 2);
        let later = now + Duration::from_secs(3600);
        for _ in 0..100 {
            assert_eq!(took(&bucket, later), Duration::ZERO);
        }
        assert_eq!(took(&bucket, later), INTERVAL);
    }

    #[test]
    fn who_does_not_wait_to_the_end_leaves_the_turn_to_others() {
        let now = Instant::now();
        let bucket = Bucket::new(now);
        let given_up: Vec<_> = (0..500).map(|_| bucket.take(now)).collect();
        assert!(given_up[499].wait() > Duration::from_secs(10));
        drop(given_up);
        assert_eq!(took(&bucket, now), Duration::ZERO);
    }
}
