//! A part as the body of a request: memory by reference, files read as they are sent.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use aws_smithy_types::body::SdkBody;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use rustix::io::ReadWriteFlags;
use tokio::task::JoinHandle;
use writer_core::{Error, ErrorKind, FileRange, Part, Result, Segment};

use crate::digest::ended_early;

/// Bytes of memory in one frame: a measure of progress, no copy depends on it.
const MEMORY_FRAME: u64 = 256 * 1024;

/// Bytes of a file in one frame. hyper queues up to 16 frames, or 408 KiB, for each connection.
const FILE_FRAME: u64 = 64 * 1024;

/// The time of the last progress of one request.
#[derive(Debug)]
pub(crate) struct Progress {
    start: Instant,
    /// Microseconds after `start`.
    last: AtomicU64,
    left: AtomicU64,
}

impl Progress {
    pub(crate) fn new(len: u64) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            last: AtomicU64::new(0),
            left: AtomicU64::new(len),
        })
    }

    fn made(&self, bytes: u64) {
        let now = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
        self.left.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// How long nothing has moved.
    pub(crate) fn idle(&self) -> Duration {
        let last = Duration::from_micros(self.last.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last)
    }

    /// True when the whole body was taken, and only the answer is missing.
    pub(crate) fn is_sent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

/// The body of one request.
pub(crate) struct PartBody {
    segments: VecDeque<Segment>,
    left: u64,
    progress: Arc<Progress>,
    reading: Option<JoinHandle<Result<Bytes>>>,
}

impl PartBody {
    /// A body with the bytes of `part`; each attempt makes its own.
    pub(crate) fn sdk_body(part: &Part, progress: Arc<Progress>) -> SdkBody {
        SdkBody::from_body_1_x(Self {
            segments: part.segments().iter().cloned().collect(),
            left: part.len(),
            progress,
            reading: None,
        })
    }

    fn give(&mut self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>>>> {
        let len = bytes.len() as u64;
        self.left -= len;
        self.progress.made(len);
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
            let read = ready!(Pin::new(reading).poll(cx));
            this.reading = None;
            return match read.unwrap_or_else(|error| Err(shut_down(error))) {
                Ok(bytes) => this.give(bytes),
                Err(error) => Poll::Ready(Some(Err(error))),
            };
        }
        let Some(segment) = this.segments.front_mut() else {
            return Poll::Ready(None);
        };
        let frame = match segment {
            Segment::Memory(_) => segment.split_to(MEMORY_FRAME),
            Segment::File(_) => segment.split_to(FILE_FRAME),
        };
        if segment.is_empty() {
            this.segments.pop_front();
        }
        match frame {
            Segment::Memory(bytes) => this.give(Bytes::from_owner(bytes)),
            Segment::File(range) => match read_cached(&range) {
                Some(bytes) => this.give(bytes),
                None => {
                    this.reading = Some(tokio::task::spawn_blocking(move || read(&range)));
                    self.poll_frame(cx)
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// The bytes of `range` if all of them are in the page cache; does not wait for a disk.
fn read_cached(range: &FileRange) -> Option<Bytes> {
    let mut buffer = BytesMut::zeroed(usize::try_from(range.len()).ok()?);
    let target = &mut [io::IoSliceMut::new(&mut buffer)];
    let read = rustix::io::preadv2(range.file(), target, range.offset(), ReadWriteFlags::NOWAIT);
    (read.ok()? as u64 == range.len()).then(|| buffer.freeze())
}

/// The bytes of `range`, from the disk if need be.
fn read(range: &FileRange) -> Result<Bytes> {
    let len = usize::try_from(range.len()).unwrap_or(usize::MAX);
    let mut buffer = BytesMut::zeroed(len);
    match range.file().read_exact_at(&mut buffer, range.offset()) {
        Ok(()) => Ok(buffer.freeze()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let end = range.file().metadata().map_or(0, |metadata| metadata.len());
            let missing = (range.offset() + range.len()).saturating_sub(end);
            Err(ended_early(end, missing))
        }
        Err(error) => Err(error.into()),
    }
}

fn shut_down(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Interrupted, "the runtime shuts down").with_source(error)
}
