//! What the connections, the S3 operations and the handle share.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::access::Keys;
use super::builder::Options;
use super::fault::Faults;
use super::hold::Holds;
use super::late::Late;
use super::load::Load;
use super::record::{Journal, Stats};
use super::store::Store;
use super::throttle::Pace;
use super::tls::Tls;

/// The state of one server.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) store: Store,
    pub(super) journal: Journal,
    pub(super) faults: Faults,
    pub(super) holds: Holds,
    pub(super) load: Load,
    pub(super) late: Late,
    pub(super) keys: Keys,
    pub(super) tls: Option<Tls>,
    /// The throttle that all connections share.
    pub(super) pace: Pace,
    /// Bytes per second of each connection; 0 is no limit.
    pub(super) connection_bandwidth: AtomicU64,
    latency_micros: AtomicU64,
    denied: Mutex<BTreeSet<&'static str>>,
}

impl Shared {
    pub(super) fn new(options: Options, tls: Option<Tls>) -> Self {
        let shared = Self {
            store: Store::new(options.repeat_complete),
            journal: Journal::new(options.keep_log),
            faults: Faults::default(),
            holds: Holds::default(),
            load: Load::new(options.load.clone()),
            late: Late::default(),
            keys: Keys::new(&options.access_key, &options.secret_key),
            tls,
            pace: Pace::new(options.bandwidth),
            connection_bandwidth: AtomicU64::new(options.connection_bandwidth),
            latency_micros: AtomicU64::new(0),
            denied: Mutex::new(options.denied.clone()),
            options,
        };
        shared.set_latency(shared.options.latency);
        shared
    }

    pub(super) fn latency(&self) -> Duration {
        Duration::from_micros(self.latency_micros.load(Ordering::Relaxed))
    }

    pub(super) fn set_latency(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency_micros.store(micros, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            faults_injected: self.faults.total(),
            slow_downs: self.load.refused(),
            ..self.journal.stats()
        }
    }

    pub(super) fn denies(&self, operation: &str) -> bool {
        lock(&self.denied).contains(operation)
    }

    pub(super) fn set_denied(&self, operation: &'static str, denied: bool) {
        let mut set = lock(&self.denied);
        if denied {
            set.insert(operation);
        } else {
            set.remove(operation);
        }
    }
}

/// Locks, also after a panic elsewhere: a test that fails should fail for its
/// own reason.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
