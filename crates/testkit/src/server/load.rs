//! Uneven service, on purpose: bodies that stall, slow connections, and too
//! much load.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::operation::Target;

/// What a server does to some of its clients; a count of 0 is never.
#[derive(Clone, Debug, Default)]
pub(super) struct LoadOptions {
    pub(super) stall_every: u64,
    pub(super) stall: Duration,
    pub(super) slow_every: u64,
    /// Bytes per second.
    pub(super) slow_bandwidth: u64,
    pub(super) slow_down_above: u64,
}

impl LoadOptions {
    /// Bytes per second of a connection that is one of the slow ones;
    /// connections count from 1.
    pub(super) fn slow_rate(&self, connection: u64) -> Option<u64> {
        is_due(connection, self.slow_every).then_some(self.slow_bandwidth)
    }
}

/// The options at work, and what they did.
#[derive(Debug)]
pub(super) struct Load {
    options: LoadOptions,
    bodies: AtomicU64,
    receiving: AtomicU64,
    refused: AtomicU64,
}

impl Load {
    pub(super) fn new(options: LoadOptions) -> Self {
        Self {
            options,
            bodies: AtomicU64::new(0),
            receiving: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Whether a request may be received, which it is until the result drops.
    pub(super) fn admit(&self, target: &Target) -> Option<Receiving<'_>> {
        let limit = self.options.slow_down_above;
        if limit == 0 || !target.is_part() {
            return Some(Receiving(None));
        }
        let one_more = |now| (now < limit).then_some(now + 1);
        let admitted = self
            .receiving
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more);
        if admitted.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Receiving(Some(&self.receiving)))
    }

    /// How long the next body is to stall; `None` for most.
    pub(super) fn next_stall(&self) -> Option<Duration> {
        let body = self.bodies.fetch_add(1, Ordering::Relaxed) + 1;
        is_due(body, self.options.stall_every).then_some(self.options.stall)
    }

    /// How many requests were too many.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

fn is_due(number: u64, every: u64) -> bool {
    every > 0 && number.is_multiple_of(every)
}

/// A request whose body is coming in.
#[derive(Debug)]
pub(super) struct Receiving<'a>(Option<&'a AtomicU64>);

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        if let Some(receiving) = self.0 {
            receiving.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
