//! A request body on its way to s3s: counted, perhaps stalled or damaged, never
//! copied.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::record::Entry;
use super::shared::{Shared, lock};

/// The body of one request. What is left of it when it is dropped can be
/// drained through [`Rest`].
pub(super) struct Tap {
    inner: Option<Incoming>,
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    rest: Rest,
    started: bool,
    bytes_until_flip: Option<u64>,
    bytes_until_cut: Option<u64>,
    stall: Option<Stall>,
    held: Option<Held>,
}

/// Where a body stops for a while.
struct Stall {
    bytes_left: u64,
    duration: Duration,
}

/// What came last before a stall.
struct Held {
    wait: Pin<Box<Sleep>>,
    data: Bytes,
}

/// Takes over what nobody read of a body.
#[derive(Clone, Default)]
pub(super) struct Rest(Arc<Mutex<Left>>);

#[derive(Default)]
struct Left {
    body: Option<Incoming>,
    started: bool,
}

impl Tap {
    pub(super) fn new(inner: Incoming, shared: Arc<Shared>, entry: Arc<Entry>) -> (Self, Rest) {
        let rest = Rest::default();
        let tap = Self {
            inner: Some(inner),
            shared,
            entry,
            rest: rest.clone(),
            started: false,
            bytes_until_flip: None,
            bytes_until_cut: None,
            stall: None,
            held: None,
        };
        (tap, rest)
    }

    /// Flips one bit of byte `at`.
    pub(super) fn flip_bit(&mut self, at: u64) {
        self.bytes_until_flip = Some(at);
    }

    /// Fails as soon as so many bytes were read.
    pub(super) fn cut_after(&mut self, bytes: u64) {
        self.bytes_until_cut = Some(bytes);
    }

    /// Stops reading for so long as soon as half of the body was read.
    pub(super) fn stall_halfway(&mut self, duration: Duration) {
        self.stall = Some(Stall {
            bytes_left: self.size_hint().lower() / 2,
            duration,
        });
    }

    fn pass(&mut self, data: Bytes) -> io::Result<Bytes> {
        self.shared.journal.count_bytes(&self.entry, data.len());
        if let Some(left) = &mut self.bytes_until_cut {
            *left = left.saturating_sub(data.len() as u64);
            if *left == 0 {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
        Ok(flipped(&mut self.bytes_until_flip, data))
    }

    /// How long to hold data of this length back, if a stall is due.
    fn stall_at(&mut self, length: usize) -> Option<Duration> {
        let stall = self.stall.as_mut()?;
        stall.bytes_left = stall.bytes_left.saturating_sub(length as u64);
        if stall.bytes_left > 0 {
            return None;
        }
        self.stall.take().map(|stall| stall.duration)
    }

    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(held) = &mut self.held {
            ready!(held.wait.as_mut().poll(cx));
        }
        Poll::Ready(self.held.take().map(|held| held.data))
    }
}

impl Rest {
    /// Reads and forgets what is left, so that the client can finish sending
    /// and surely sees the answer: closing a socket with unread bytes in it
    /// resets the connection, and with it an answer on its way.
    ///
    /// A client that waits for `100 Continue` is not made to send.
    pub(super) async fn drain(&self, shared: &Shared, entry: &Entry, expects_continue: bool) {
        let left = std::mem::take(&mut *lock(&self.0));
        let Some(mut body) = left.body else { return };
        if expects_continue && !left.started {
            return;
        }
        while let Some(Ok(frame)) = body.frame().await {
            if let Some(data) = frame.data_ref() {
                shared.journal.count_bytes(entry, data.len());
            }
        }
    }
}

impl Body for Tap {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        this.started = true;
        if let Some(data) = ready!(this.poll_held(cx)) {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        let frame = match ready!(Pin::new(inner).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
            Some(Ok(frame)) => frame,
        };
        let data = match frame.into_data() {
            Ok(data) => this.pass(data)?,
            Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
        };
        if let Some(duration) = this.stall_at(data.len()) {
            let wait = Box::pin(sleep(duration));
            this.held = Some(Held { wait, data });
            return Pin::new(this).poll_frame(cx);
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        *lock(&self.rest.0) = Left {
            body: self.inner.take(),
            started: self.started,
        };
    }
}

/// Flips one bit when the byte that is so many bytes on is in `data`.
pub(super) fn flipped(bytes_until_flip: &mut Option<u64>, data: Bytes) -> Bytes {
    let Some(left) = *bytes_until_flip else {
        return data;
    };
    if left >= data.len() as u64 {
        *bytes_until_flip = Some(left - data.len() as u64);
        return data;
    }
    *bytes_until_flip = None;
    let mut damaged = data.to_vec();
    damaged[left as usize] ^= 1;
    damaged.into()
}
