//! A pace for reading: bytes per second, shared by any number of readers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::shared::lock;

/// How late a reader may be and still catch up. Longer than the granularity of
/// timers (1 ms in tokio), else every sleep would cost bandwidth for good.
const CREDIT: Duration = Duration::from_millis(10);

/// A rate, and the moment until which what was read so far is paid for.
///
/// Readers read first and pay afterwards: each is told when its bytes are paid
/// for and sleeps until then. Payments queue up one after another, so the rate
/// holds however many readers there are, and nobody starves.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_second: AtomicU64,
    paid_until: Mutex<Option<Instant>>,
}

impl Pace {
    /// No more than so many bytes per second; 0 is no limit.
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: AtomicU64::new(bytes_per_second),
            paid_until: Mutex::new(None),
        }
    }

    pub(super) fn set_rate(&self, bytes_per_second: u64) {
        if self
            .bytes_per_second
            .swap(bytes_per_second, Ordering::Relaxed)
            != bytes_per_second
        {
            *lock(&self.paid_until) = None;
        }
    }

    /// How much to read at once, `None` without a limit: some 5 ms worth, so
    /// that the flow is smooth.
    pub(super) fn quantum(&self) -> Option<usize> {
        match self.bytes_per_second.load(Ordering::Relaxed) {
            0 => None,
            rate => Some((rate / 200).clamp(1024, 64 * 1024) as usize),
        }
    }

    /// Pays for bytes just read; the result is when to read on.
    pub(super) fn charge(&self, bytes: usize, now: Instant) -> Option<Instant> {
        let rate = self.bytes_per_second.load(Ordering::Relaxed);
        if rate == 0 || bytes == 0 {
            return None;
        }
        let cost = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let mut paid_until = lock(&self.paid_until);
        let from = match *paid_until {
            Some(until) => until.max(now.checked_sub(CREDIT).unwrap_or(now)),
            None => now,
        };
        *paid_until = Some(from + cost);
        Some(from + cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_queue_behind_each_other() {
        let pace = Pace::new(1000);
        let now = Instant::now();
        assert_eq!(
            pace.charge(100, now),
            Some(now + Duration::from_millis(100))
        );
        assert_eq!(
            pace.charge(100, now),
            Some(now + Duration::from_millis(200))
        );
        // Idle time is not saved up beyond the credit.
        let later = now + Duration::from_secs(10);
        assert_eq!(
            pace.charge(100, later),
            Some(later + Duration::from_millis(90))
        );
    }

    #[test]
    fn no_limit_costs_nothing() {
        let pace = Pace::new(0);
        assert_eq!(pace.quantum(), None);
        assert_eq!(pace.charge(1 << 30, Instant::now()), None);
    }
}
