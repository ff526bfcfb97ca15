//! What happened: a record of every request, and counters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use http::HeaderMap;
use serde::Serialize;

use super::operation::Target;
use super::shared::lock;

/// One request, as far as it got.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestRecord {
    /// When its head had arrived.
    pub at: Instant,
    /// One of [`OPERATIONS`](super::OPERATIONS).
    pub operation: &'static str,
    /// The bucket; empty for ListBuckets.
    pub bucket: String,
    /// The key; empty for operations on a bucket.
    pub key: String,
    /// Of an UploadPart.
    pub part_number: Option<i32>,
    /// Counts the connections from 1: which one it came over.
    pub connection: u64,
    /// When the first bytes of its body had arrived.
    pub first_body_byte_at: Option<Instant>,
    /// Bytes of its body that arrived, aws-chunked framing included.
    pub received: u64,
    /// When the head of the reply was handed over, or the connection cut.
    pub finished_at: Option<Instant>,
    /// The status of the reply; 0 if there was none, or not yet.
    pub status: u16,
    /// Whether it carried an `Authorization` header.
    pub authorized: bool,
    /// The headers of the request that tell how it was protected, identified
    /// and made conditional, by their lower-case name: `content-*`, `if-*`,
    /// `range`, `user-agent`, `expect`, `transfer-encoding` and `x-amz-*`.
    pub headers: BTreeMap<String, String>,
}

impl RequestRecord {
    /// A header of the request among those that are kept.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// Counters since the server started.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Connections accepted.
    pub connections_opened: u64,
    /// Connections open right now.
    pub connections_open: u64,
    /// The most connections ever open together.
    pub max_connections: u64,
    /// Requests, by operation.
    pub requests: BTreeMap<&'static str, u64>,
    /// Bytes of request bodies that arrived.
    pub bytes_received: u64,
    /// Requests in flight right now.
    pub requests_in_flight: u64,
    /// The most requests ever in flight together.
    pub max_concurrent_requests: u64,
    /// The most UploadPart and PutObject requests ever in flight together.
    pub max_concurrent_parts: u64,
    /// Requests refused because of [`Builder::slow_down_above`](super::Builder::slow_down_above).
    pub slow_downs: u64,
    /// Faults that were injected.
    pub faults_injected: u64,
}

impl Stats {
    /// The number of requests of `operation`.
    pub fn requests_of(&self, operation: &str) -> u64 {
        self.requests.get(operation).copied().unwrap_or(0)
    }
}

/// The log and the counters of one server.
#[derive(Debug, Default)]
pub(super) struct Journal {
    keep: bool,
    entries: Mutex<Vec<Arc<Entry>>>,
    requests: Mutex<BTreeMap<&'static str, u64>>,
    bytes_received: AtomicU64,
    connections_opened: AtomicU64,
    connections: Gauge,
    in_flight: Gauge,
    parts: Gauge,
}

impl Journal {
    pub(super) fn new(keep: bool) -> Self {
        Self {
            keep,
            ..Self::default()
        }
    }

    /// A connection is open until the result drops.
    pub(super) fn connect(self: &Journal) -> u64 {
        self.connections.enter();
        self.connections_opened.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn disconnect(&self) {
        self.connections.leave();
    }

    /// A request has come; it is in flight until [`end`](Self::end).
    pub(super) fn begin(
        &self,
        target: &Target,
        headers: &HeaderMap,
        connection: u64,
    ) -> Arc<Entry> {
        self.in_flight.enter();
        if target.is_part() {
            self.parts.enter();
        }
        *lock(&self.requests).entry(target.operation).or_default() += 1;
        let entry = Arc::new(Entry {
            at: Instant::now(),
            target: target.clone(),
            connection,
            authorized: headers.contains_key(http::header::AUTHORIZATION),
            headers: of_interest(headers),
            first_body_byte_at: OnceLock::new(),
            received: AtomicU64::new(0),
            finished: OnceLock::new(),
        });
        if self.keep {
            lock(&self.entries).push(Arc::clone(&entry));
        }
        entry
    }

    /// The request was answered with this status, or with nothing at all.
    pub(super) fn end(&self, entry: &Entry, status: u16) {
        if entry.finished.set((Instant::now(), status)).is_ok() {
            self.in_flight.leave();
            if entry.target.is_part() {
                self.parts.leave();
            }
        }
    }

    pub(super) fn count_bytes(&self, entry: &Entry, bytes: usize) {
        if entry.received.fetch_add(bytes as u64, Ordering::Relaxed) == 0 {
            let _ = entry.first_body_byte_at.set(Instant::now());
        }
        self.bytes_received
            .fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn records(&self) -> Vec<RequestRecord> {
        lock(&self.entries)
            .iter()
            .map(|entry| entry.record())
            .collect()
    }

    pub(super) fn clear(&self) {
        lock(&self.entries).clear();
    }

    /// What others count is left at 0.
    pub(super) fn stats(&self) -> Stats {
        Stats {
            connections_opened: self.connections_opened.load(Ordering::Relaxed),
            connections_open: self.connections.now(),
            max_connections: self.connections.max(),
            requests: lock(&self.requests).clone(),
            bytes_received: self.bytes_received.load(Ordering::Relaxed),
            requests_in_flight: self.in_flight.now(),
            max_concurrent_requests: self.in_flight.max(),
            max_concurrent_parts: self.parts.max(),
            ..Stats::default()
        }
    }
}

/// A request while it runs.
#[derive(Debug)]
pub(super) struct Entry {
    at: Instant,
    pub(super) target: Target,
    connection: u64,
    authorized: bool,
    headers: BTreeMap<String, String>,
    first_body_byte_at: OnceLock<Instant>,
    received: AtomicU64,
    finished: OnceLock<(Instant, u16)>,
}

impl Entry {
    fn record(&self) -> RequestRecord {
        let finished = self.finished.get();
        RequestRecord {
            at: self.at,
            operation: self.target.operation,
            bucket: self.target.bucket.clone(),
            key: self.target.key.clone(),
            part_number: self.target.part_number,
            connection: self.connection,
            first_body_byte_at: self.first_body_byte_at.get().copied(),
            received: self.received.load(Ordering::Relaxed),
            finished_at: finished.map(|(at, _)| *at),
            status: finished.map_or(0, |(_, status)| *status),
            authorized: self.authorized,
            headers: self.headers.clone(),
        }
    }
}

fn of_interest(headers: &HeaderMap) -> BTreeMap<String, String> {
    const NAMES: [&str; 4] = ["range", "user-agent", "expect", "transfer-encoding"];
    const PREFIXES: [&str; 3] = ["x-amz-", "content-", "if-"];
    let wanted = |name: &str| NAMES.contains(&name) || PREFIXES.iter().any(|p| name.starts_with(p));
    headers
        .iter()
        .filter(|(name, _)| wanted(name.as_str()))
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect()
}

/// How many there are, and the most there ever were.
#[derive(Debug, Default)]
struct Gauge {
    now: AtomicU64,
    max: AtomicU64,
}

impl Gauge {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.max.fetch_max(now, Ordering::Relaxed);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }
}

/// A connection, from accept to close.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) number: u64,
    /// Close with a TCP reset instead of an orderly end.
    pub(super) reset: AtomicBool,
}

impl Connection {
    pub(super) fn new(number: u64) -> Self {
        Self {
            number,
            reset: AtomicBool::new(false),
        }
    }
}
