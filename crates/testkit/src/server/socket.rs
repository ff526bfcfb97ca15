//! A connection that reads no faster than it may, and can end in a reset.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep_until};

use super::record::Connection;
use super::shared::Shared;
use super::throttle::Pace;

/// The raw socket of a connection, below TLS.
pub(super) struct Socket {
    /// Its limit is set before each read.
    stream: Take<TcpStream>,
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    pace: Pace,
    wait: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    /// A connection just accepted.
    pub(super) fn new(stream: TcpStream, shared: &Arc<Shared>) -> Self {
        Self {
            stream: stream.take(0),
            shared: Arc::clone(shared),
            connection: Arc::new(Connection::new(shared.journal.connect())),
            pace: Pace::new(0),
            wait: None,
        }
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    pub(super) fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// The most to read at once, `None` without a throttle.
    fn quantum(&self) -> Option<usize> {
        let options = &self.shared.options.load;
        let rate = options
            .slow_rate(self.connection.number)
            .unwrap_or_else(|| self.shared.connection_bandwidth.load(Ordering::Relaxed));
        self.pace.set_rate(rate);
        match (self.pace.quantum(), self.shared.pace.quantum()) {
            (Some(own), Some(common)) => Some(own.min(common)),
            (own, common) => own.or(common),
        }
    }

    fn pay(&mut self, bytes: usize) {
        let now = Instant::now();
        let until = self
            .pace
            .charge(bytes, now)
            .max(self.shared.pace.charge(bytes, now));
        if let Some(until) = until {
            self.wait = Some(Box::pin(sleep_until(until.into())));
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.connection.reset.load(Ordering::SeqCst) {
            // Dropping the stream now sends RST; if not, it sends FIN.
            let _ = self.stream().set_zero_linger();
        }
        self.shared.journal.disconnect();
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(wait) = &mut this.wait {
            ready!(wait.as_mut().poll(cx));
            this.wait = None;
        }
        let Some(quantum) = this.quantum() else {
            return Pin::new(this.stream.get_mut()).poll_read(cx, buf);
        };
        this.stream.set_limit(quantum as u64);
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        this.pay(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.stream.get_mut()).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.stream.get_mut()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_shutdown(cx)
    }
}
