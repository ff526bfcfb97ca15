//! Sockets: listening, accepting, pacing what is read, and resets.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::service::S3Service;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep_until};

use super::builder::Options;
use super::record::Connection;
use super::service;
use super::shared::Shared;
use super::throttle::Pace;

/// `SO_RCVBUF` of a server with a throttle. The kernel's default takes some MiB
/// in before the client notices that nobody reads.
const THROTTLED_RECEIVE_BUFFER: u32 = 32 * 1024;

pub(super) fn listen(options: &Options) -> io::Result<TcpListener> {
    let socket = match options.address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    let throttled = options.bandwidth > 0 || options.connection_bandwidth > 0;
    let receive_buffer = options
        .receive_buffer
        .or(throttled.then_some(THROTTLED_RECEIVE_BUFFER));
    if let Some(bytes) = receive_buffer {
        // Before listening: the window scale is settled by the handshake.
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(options.address)?;
    socket.listen(1024)
}

/// Serves connections until it is aborted, and with it they are.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>, s3: S3Service) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An error here is the client's (gone already) or passes (no
                // file descriptor left just now).
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, Arc::clone(&shared), s3.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, s3: S3Service) {
    // Only delays small writes when it fails.
    let _ = stream.set_nodelay(true);
    let connection = Arc::new(Connection::new(shared.journal.connect()));
    let socket = Socket::new(stream, Arc::clone(&shared), Arc::clone(&connection));
    let answer = service_fn(move |request| {
        service::answer(
            Arc::clone(&shared),
            s3.clone(),
            Arc::clone(&connection),
            request,
        )
    });
    // The errors are those of the client, or resets that a fault asked for.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(socket), answer)
        .await;
}

/// A connection that reads no faster than it may, and can end in a reset.
struct Socket {
    stream: TcpStream,
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    pace: Pace,
    wait: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    fn new(stream: TcpStream, shared: Arc<Shared>, connection: Arc<Connection>) -> Self {
        Self {
            stream,
            shared,
            connection,
            pace: Pace::new(0),
            wait: None,
        }
    }

    /// The most to read at once, `None` without a throttle.
    fn quantum(&self) -> Option<usize> {
        self.pace
            .set_rate(self.shared.connection_bandwidth.load(Ordering::Relaxed));
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
        if let Some(until) = until.filter(|until| *until > now) {
            self.wait = Some(Box::pin(sleep_until(until.into())));
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.connection.reset.load(Ordering::SeqCst) {
            // Dropping the stream now sends RST; if not, it sends FIN.
            let _ = self.stream.set_zero_linger();
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
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        };
        let wanted = quantum.min(buf.remaining());
        let mut some = ReadBuf::new(buf.initialize_unfilled_to(wanted));
        ready!(Pin::new(&mut this.stream).poll_read(cx, &mut some))?;
        let read = some.filled().len();
        buf.advance(read);
        this.pay(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
