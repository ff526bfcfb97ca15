//! How fast bodies leave: so many bytes a second, of all requests of a store together.

use std::num::NonZero;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Turns a second, as long as a turn has a byte. With the 256 requests that a store has at once by
/// default, each one's turn comes round every five seconds, which no service takes for a stall.
const TURNS: u64 = 50;

/// Most bytes of one turn: no more are written at once.
const MOST: u64 = 256 * 1024;

/// What was not used for so long may be made up for: timers and sockets are late now and then.
const SLACK: Duration = Duration::from_millis(50);

/// A rate that the clones share.
#[derive(Clone, Debug)]
pub(crate) struct Rate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bytes_per_second: f64,
    /// Bytes of one turn.
    turn: usize,
    /// When the next turn begins: each goes to who asked first.
    next: Mutex<Instant>,
}

impl Rate {
    pub(crate) fn new(bytes_per_second: NonZero<u64>) -> Self {
        let turn = (bytes_per_second.get() / TURNS).clamp(1, MOST);
        #[expect(clippy::cast_precision_loss)] // Of a rate beyond 2^53 bytes a second.
        let bytes_per_second = bytes_per_second.get() as f64;
        Self(Arc::new(Inner {
            bytes_per_second,
            turn: usize::try_from(turn).unwrap_or(usize::MAX),
            next: Mutex::new(Instant::now()),
        }))
    }

    /// The next turn: how many of `want` bytes, and from when on.
    fn reserve(&self, want: usize, now: Instant) -> (usize, Instant) {
        let inner = &*self.0;
        let bytes = want.min(inner.turn);
        #[expect(clippy::cast_precision_loss)] // At most 256 KiB.
        let takes = Duration::from_secs_f64(bytes as f64 / inner.bytes_per_second);
        // An instant is whole between any two steps.
        let mut next = inner.next.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        let start = earliest.max(*next);
        *next = start + takes;
        (bytes, start)
    }
}

/// What one body may send next.
#[derive(Debug)]
pub(crate) struct Turns {
    rate: Option<Rate>,
    /// Bytes that may leave now.
    granted: usize,
    /// When more of them may, and how many.
    waiting: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Turns {
    /// As `rate` has it; without one, bytes leave as they come.
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self {
            rate,
            granted: 0,
            waiting: None,
        }
    }

    /// How many of `want` bytes (at least 1) may leave now: at least 1.
    pub(crate) fn poll(&mut self, want: usize, cx: &mut Context<'_>) -> Poll<usize> {
        let Some(rate) = &self.rate else {
            return Poll::Ready(want);
        };
        if self.granted == 0 {
            if self.waiting.is_none() {
                let now = Instant::now();
                let (bytes, start) = rate.reserve(want, now);
                if start <= now {
                    self.granted = bytes;
                    return Poll::Ready(bytes);
                }
                self.waiting = Some((Box::pin(sleep_until(start)), bytes));
            }
            if let Some((sleep, bytes)) = &mut self.waiting {
                ready!(sleep.as_mut().poll(cx));
                self.granted = *bytes;
                self.waiting = None;
            }
        }
        Poll::Ready(want.min(self.granted))
    }

    /// When this body's turn begins, if it is not yet.
    pub(crate) fn waits_for(&self) -> Option<Instant> {
        self.waiting.as_ref().map(|(sleep, _)| sleep.deadline())
    }

    /// Says that `bytes` of what was allowed have left.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.granted = self.granted.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(bytes_per_second: u64) -> Rate {
        Rate::new(NonZero::new(bytes_per_second).unwrap())
    }

    #[test]
    fn turns_follow_one_another_at_the_rate() {
        let rate = rate(1_000_000);
        let now = Instant::now() + Duration::from_secs(1);
        let (bytes, first) = rate.reserve(1 << 20, now);
        assert_eq!((bytes, first), (20_000, now - SLACK));
        let starts: Vec<_> = (0..5).map(|_| rate.reserve(1 << 20, now).1).collect();
        for (turn, start) in starts.iter().enumerate() {
            let expected = first + Duration::from_millis(20) * (turn as u32 + 1);
            assert_eq!(*start, expected);
        }
    }

    #[test]
    fn what_was_not_used_is_lost_but_for_a_moment() {
        let rate = rate(1_000_000);
        let now = Instant::now() + Duration::from_secs(100);
        let at_once = (0..)
            .take_while(|_| rate.reserve(20_000, now).1 <= now)
            .count();
        assert_eq!(at_once, 3, "50 ms, and the turn that begins now");
    }

    #[test]
    fn the_slowest_rate_still_sends_a_byte() {
        assert_eq!(rate(1).reserve(1 << 20, Instant::now()).0, 1);
        let most = rate(u64::MAX).reserve(usize::MAX, Instant::now()).0;
        assert_eq!(most as u64, MOST);
    }
}
