//! A part as the body of a request: memory by reference, files read as they are sent.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use http_body::{Body, Frame, SizeHint};
use writer_core::{Crc64Nvme, Error, Part, Result, Segment};

use crate::file::{Reading, read_cached};
use crate::rate::{Rate, Turns};
use crate::watch::Attempt;

/// Bytes in one frame of a client that is not ours. hyper queues up to 16 frames, or 408 KiB,
/// for each connection.
const FRAME: usize = 64 * 1024;

/// The time of the last progress of one request.
#[derive(Debug)]
pub(crate) struct Progress {
    start: Instant,
    /// Microseconds after `start`; ahead of now while the body waits for its turn.
    last: AtomicU64,
    left: AtomicU64,
}

impl Progress {
    fn new(len: u64) -> Self {
        Self {
            start: Instant::now(),
            last: AtomicU64::new(0),
            left: AtomicU64::new(len),
        }
    }

    fn made(&self, bytes: u64) {
        let now = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
        self.left.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Says that nothing is to move before `time`.
    fn rests_until(&self, time: Instant) {
        let time = time.saturating_duration_since(self.start).as_micros();
        let time = u64::try_from(time).unwrap_or(u64::MAX);
        self.last.fetch_max(time, Ordering::Relaxed);
    }

    /// How long nothing has moved that was to move.
    pub(crate) fn idle(&self) -> Duration {
        let last = Duration::from_micros(self.last.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last)
    }

    /// True when the whole body was taken, and only the answer is missing.
    pub(crate) fn is_sent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

/// What one request sends. The clones share its progress and its checksum.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    segments: Vec<Segment>,
    len: u64,
    progress: Progress,
    hash: bool,
    crc: OnceLock<Crc64Nvme>,
    rate: Option<Rate>,
    /// Which request it is, if that is of interest.
    attempt: Option<Attempt>,
}

impl Outgoing {
    /// The bytes of `part`, for one `attempt`. With `hash`, their checksum is computed on their
    /// way; with `rate`, they leave as fast as that has it.
    pub(crate) fn new(part: &Part, hash: bool, rate: Option<Rate>, attempt: Attempt) -> Self {
        let segments = part.segments().to_vec();
        Self::of_segments(segments, part.len(), hash, rate, Some(attempt))
    }

    /// A body that is in memory.
    pub(crate) fn of_bytes(bytes: Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        let segments = Vec::from_iter((len > 0).then(|| bytes.into()));
        Self::of_segments(segments, len, false, None, None)
    }

    fn of_segments(
        segments: Vec<Segment>,
        len: u64,
        hash: bool,
        rate: Option<Rate>,
        attempt: Option<Attempt>,
    ) -> Self {
        Self(Arc::new(Inner {
            segments,
            len,
            progress: Progress::new(len),
            hash,
            crc: OnceLock::new(),
            rate,
            attempt,
        }))
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.0.progress
    }

    /// The checksum of what was sent, once that is everything and if it was asked for.
    pub(crate) fn crc(&self) -> Option<Crc64Nvme> {
        self.0.crc.get().copied()
    }

    /// Says that so many bytes more are sent, and how many are left.
    fn made(&self, sent: u64, left: u64) {
        self.progress().made(sent);
        if let Some(attempt) = self.0.attempt.as_ref().filter(|_| sent > 0) {
            attempt.sent(sent, self.0.len - left, self.0.len);
        }
    }

    pub(crate) fn cursor(&self) -> Cursor {
        let mut cursor = Cursor {
            segments: self.0.segments.iter().cloned().collect(),
            left: self.0.len,
            digest: self.0.hash.then(|| Digest::new(CrcAlgorithm::Crc64Nvme)),
            turns: Turns::new(self.0.rate.clone()),
            outgoing: self.clone(),
        };
        cursor.end_if_done();
        cursor
    }

    /// The same for an HTTP client that is not ours.
    pub(crate) fn sdk_body(&self) -> SdkBody {
        SdkBody::from_body_1_x(PartBody {
            cursor: self.cursor(),
            reading: None,
        })
    }
}

/// How much of a body has been sent.
#[derive(Debug)]
pub(crate) struct Cursor {
    segments: VecDeque<Segment>,
    left: u64,
    digest: Option<Digest>,
    turns: Turns,
    outgoing: Outgoing,
}

impl Cursor {
    /// How many bytes, up to `max`, may be sent next; 0 only if there are none. It waits where the
    /// store has a rate.
    pub(crate) fn poll_turn(&mut self, max: usize, cx: &mut Context<'_>) -> Poll<usize> {
        let want = max.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if want == 0 {
            return Poll::Ready(0);
        }
        let turn = self.turns.poll(want, cx);
        if let Some(start) = self.turns.waits_for() {
            self.outgoing.progress().rests_until(start.into_std());
        }
        turn
    }

    /// Up to `max` of the bytes that come next, all in memory or all of one file.
    pub(crate) fn peek(&self, max: usize) -> Option<Segment> {
        let mut next = self.segments.front()?.clone();
        Some(next.split_to(max as u64))
    }

    /// Says that `bytes`, which are those that come next, are sent.
    pub(crate) fn advance(&mut self, bytes: &[u8]) {
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        self.turns.spend(bytes.len());
        let mut sent = bytes.len() as u64;
        self.left -= sent;
        self.outgoing.made(sent, self.left);
        while let Some(front) = self.segments.front_mut() {
            sent -= front.split_to(sent).len();
            if !front.is_empty() {
                break;
            }
            self.segments.pop_front();
        }
        self.end_if_done();
    }

    fn end_if_done(&mut self) {
        if self.left == 0
            && let Some(digest) = self.digest.take()
        {
            // Set once: a cursor ends once, and each attempt has its own `Outgoing`.
            let _first = self.outgoing.0.crc.set(Crc64Nvme(digest.finalize()));
        }
    }
}

/// A body in frames, for hyper.
struct PartBody {
    cursor: Cursor,
    reading: Option<Reading>,
}

impl PartBody {
    fn give(&mut self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>>>> {
        self.cursor.advance(&bytes);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl Body for PartBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if let Some(reading) = &mut this.reading {
            let read = ready!(reading.poll(cx));
            this.reading = None;
            return match read {
                Ok(bytes) => this.give(bytes.into()),
                Err(error) => Poll::Ready(Some(Err(error))),
            };
        }
        let turn = ready!(this.cursor.poll_turn(FRAME, cx));
        match this.cursor.peek(turn) {
            None => Poll::Ready(None),
            Some(Segment::Memory(bytes)) => this.give(Bytes::from_owner(bytes)),
            Some(Segment::File(range)) => {
                let mut buffer = vec![0; turn];
                let read = read_cached(&range, &mut buffer);
                if read > 0 {
                    buffer.truncate(read);
                    return this.give(buffer.into());
                }
                this.reading = Some(Reading::begin(range));
                self.poll_frame(cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.cursor.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.cursor.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::tests::part_of;

    #[test]
    fn a_cursor_hashes_what_was_sent_and_knows_what_comes_next() {
        let part = part_of(vec!["1234".into(), "56789".into()]);
        let outgoing = Outgoing::new(&part, true, None, Attempt::default());
        let mut cursor = outgoing.cursor();
        assert_eq!(cursor.peek(3).unwrap().len(), 3);
        cursor.advance(b"123");
        assert!(outgoing.crc().is_none() && !outgoing.progress().is_sent());
        assert_eq!(cursor.peek(usize::MAX).map(|next| next.len()), Some(1));
        cursor.advance(b"456");
        assert_eq!(cursor.peek(usize::MAX).map(|next| next.len()), Some(3));
        cursor.advance(b"789");
        assert!(cursor.peek(1).is_none() && outgoing.progress().is_sent());
        assert_eq!(outgoing.crc(), Some(Crc64Nvme(0xae8b_1486_0a79_9888)));
    }

    #[test]
    fn an_empty_body_has_a_checksum_too() {
        let outgoing = Outgoing::new(&part_of(Vec::new()), true, None, Attempt::default());
        let _cursor = outgoing.cursor();
        assert_eq!(outgoing.crc(), Some(Crc64Nvme(0)));
    }
}
