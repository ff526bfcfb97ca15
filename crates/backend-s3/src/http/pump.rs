//! Bytes into a socket, as fast as it takes them.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite as _;
use writer_core::Segment;

use super::connection::Head;
use super::stream::Stream;
use crate::body::Cursor;
use crate::file::{READ_AHEAD, Reading, prefetch, read_cached};

/// Most bytes that are written at once. Smaller writes wake the other side more often: at 64 KiB
/// the whole costs up to a third more (docs/benchmarks.md).
const MOST: usize = 256 * 1024;

/// Fewest bytes of a file that are read to be written, where a socket takes little.
const LEAST: usize = 16 * 1024;

thread_local! {
    /// What is read of files. What a socket does not take at once is not kept but read again:
    /// the page cache has it, and a thousand connections that back up need no memory.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; MOST]);
}

/// Sends one request.
pub(super) struct Pump {
    head: Head,
    head_sent: usize,
    body: Cursor,
    /// Bytes to read next of a file: about as many as the socket took of late.
    want: usize,
    disk: Disk,
    /// Up to where the kernel was asked to fetch the file: known where it had to be asked once.
    fetched: Option<u64>,
}

/// Bytes that the page cache did not have.
enum Disk {
    Idle,
    Reading(Reading),
    Read(Vec<u8>, usize),
}

impl Pump {
    pub(super) fn new(head: Head, body: Cursor) -> Self {
        Self {
            head,
            head_sent: 0,
            body,
            want: MOST,
            disk: Disk::Idle,
            fetched: None,
        }
    }

    /// Writes until the socket takes no more, or everything is sent.
    pub(super) fn poll(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Disk::Reading(reading) = &mut self.disk {
                let bytes = ready!(reading.poll(cx)).map_err(io::Error::other)?;
                self.disk = Disk::Read(bytes, 0);
            }
            ready!(stream.poll_writable(cx))?;
            if let Disk::Read(..) = self.disk {
                ready!(self.poll_read_bytes(stream, cx))?;
                continue;
            }
            let turn = ready!(self.body.poll_turn(self.want, cx));
            match self.body.peek(turn) {
                Some(Segment::Memory(bytes)) => {
                    let sent = ready!(self.poll_write(bytes.as_ref(), stream, cx))?;
                    self.body.advance(&bytes.as_ref()[..sent]);
                }
                Some(Segment::File(range)) => ready!(SCRATCH.with_borrow_mut(|scratch| {
                    let read = read_cached(&range, &mut scratch[..turn]);
                    if read == 0 {
                        self.fetched = Some(range.offset() + READ_AHEAD);
                        // All of the segment, so that what is fetched ahead may go beyond.
                        let all = self.body.peek(usize::MAX);
                        if let Some(Segment::File(all)) = all {
                            self.disk = Disk::Reading(Reading::begin(all));
                        }
                        return Poll::Ready(Ok(()));
                    }
                    self.fetch_on(range.offset());
                    let sent = ready!(self.poll_write(&scratch[..read], stream, cx))?;
                    self.body.advance(&scratch[..sent]);
                    self.adapt(turn, read, sent);
                    Poll::Ready(Ok::<_, io::Error>(()))
                }))?,
                None if self.head_sent < self.head.as_bytes().len() => {
                    ready!(self.poll_write(&[], stream, cx))?;
                }
                None => return Pin::new(stream).poll_flush(cx),
            }
        }
    }

    /// Writes what is left of the head, and `bytes`; gives how many of those were taken.
    fn poll_write(
        &mut self,
        bytes: &[u8],
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let head = &self.head.as_bytes()[self.head_sent..];
        let head_len = head.len();
        let written = if head.is_empty() {
            ready!(Pin::new(stream).poll_write(cx, bytes))?
        } else {
            let buffers = [IoSlice::new(head), IoSlice::new(bytes)];
            ready!(Pin::new(stream).poll_write_vectored(cx, &buffers))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        let of_head = written.min(head_len);
        self.head_sent += of_head;
        Poll::Ready(Ok(written - of_head))
    }

    fn poll_read_bytes(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Disk::Read(bytes, from) = std::mem::replace(&mut self.disk, Disk::Idle) else {
            return Poll::Ready(Ok(()));
        };
        let turn = match self.body.poll_turn(bytes.len() - from, cx) {
            Poll::Ready(turn) => turn,
            Poll::Pending => {
                self.disk = Disk::Read(bytes, from);
                return Poll::Pending;
            }
        };
        let written = self.poll_write(&bytes[from..from + turn], stream, cx);
        let sent = match &written {
            Poll::Ready(Ok(sent)) => *sent,
            _ => 0,
        };
        self.body.advance(&bytes[from..from + sent]);
        if from + sent < bytes.len() {
            self.disk = Disk::Read(bytes, from + sent);
        }
        written.map_ok(|_| ())
    }

    /// Where the disk is behind, has the next bytes fetched while these are sent.
    fn fetch_on(&mut self, offset: u64) {
        if let Some(fetched) = self.fetched
            && offset + READ_AHEAD / 2 >= fetched
            && let Some(Segment::File(rest)) = self.body.peek(usize::MAX)
        {
            prefetch(rest, fetched);
            self.fetched = Some(fetched + READ_AHEAD);
        }
    }

    fn adapt(&mut self, turn: usize, read: usize, sent: usize) {
        // A turn that was small says nothing of the socket.
        self.want = if turn < self.want && sent == read {
            self.want
        } else if sent < read {
            sent.next_power_of_two().clamp(LEAST, MOST)
        } else {
            (self.want * 2).min(MOST)
        };
    }
}
