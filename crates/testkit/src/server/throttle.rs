//! A pace for reading: bytes per second, shared by any number of readers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::shared::lock;

/// How far ahead of a fast pace a reader may be before it sleeps. Timers fire
/// once a millisecond: a reader that slept after each read would read little
/// each time, and use the CPU to wake.
const AHEAD: Duration = Duration::from_millis(4);

/// In bytes per second. Slower readers sleep after each read: what comes in
/// while they stay awake is small packets, which cost more than to wake.
const FAST: u64 = 16_000_000;

/// How late a reader may be and still catch up. Longer than timers and
/// schedulers are late, else every sleep would cost bandwidth for good.
const CREDIT: Duration = Duration::from_millis(10);

/// `SO_RCVBUF` of a slow connection. The kernel's default takes some MiB in
/// before the client notices that nobody reads.
const LEAST_RECEIVE_BUFFER: u64 = 32 * 1024;

/// `SO_RCVBUF` for a pace in bytes per second: what comes in while its reader
/// sleeps must find room.
pub(super) fn receive_buffer(bytes_per_second: u64) -> u32 {
    let while_asleep = bytes_per_second / 1000 * (AHEAD.as_millis() as u64 + 2);
    while_asleep.clamp(LEAST_RECEIVE_BUFFER, 4 << 20) as u32
}

/// A rate, and the moment until which what was read so far is paid for.
///
/// Readers read first and pay afterwards: each is told when its bytes are paid
/// for and sleeps until then, unless that is soon. Payments queue up one after
/// another, so the rate holds however many readers there are, and nobody starves.
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

    /// How much to read at once, `None` without a limit: some milliseconds'
    /// worth, so that the flow is smooth.
    pub(super) fn quantum(&self) -> Option<usize> {
        match self.bytes_per_second.load(Ordering::Relaxed) {
            0 => None,
            rate => Some((rate / 1000 * AHEAD.as_millis() as u64).clamp(1024, 1 << 20) as usize),
        }
    }

    /// Pays for bytes just read; the result is when to read on, `None` if at once.
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
        let until = from + cost;
        *paid_until = Some(until);
        let ahead = if rate < FAST { Duration::ZERO } else { AHEAD };
        (until > now + ahead).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn readers_queue_behind_each_other() {
        let pace = Pace::new(1000);
        let now = Instant::now();
        assert_eq!(pace.charge(100, now), Some(now + ms(100)));
        assert_eq!(pace.charge(100, now), Some(now + ms(200)));
        // Idle time is not saved up beyond the credit.
        let later = now + ms(10_000);
        assert_eq!(pace.charge(100, later), Some(later + ms(90)));
    }

    #[test]
    fn at_a_fast_pace_a_little_ahead_is_remembered_and_not_slept_for() {
        let pace = Pace::new(20_000_000);
        let now = Instant::now();
        assert_eq!(pace.charge(40_000, now), None);
        assert_eq!(pace.charge(40_000, now), None);
        assert_eq!(pace.charge(40_000, now), Some(now + ms(6)));
    }

    #[test]
    fn no_limit_costs_nothing() {
        let pace = Pace::new(0);
        assert_eq!(pace.quantum(), None);
        assert_eq!(pace.charge(1 << 30, Instant::now()), None);
    }

    #[test]
    fn the_receive_buffer_follows_the_rate() {
        assert_eq!(receive_buffer(1), 32 << 10);
        assert_eq!(receive_buffer(80_000_000), 480_000);
        assert_eq!(receive_buffer(u64::MAX / 1000), 4 << 20);
    }
}
