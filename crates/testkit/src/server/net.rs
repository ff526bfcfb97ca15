//! Listening, accepting, and speaking HTTP over what was accepted.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::service::S3Service;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::builder::Options;
use super::record::Connection;
use super::service;
use super::shared::Shared;
use super::socket::Socket;
use super::throttle;

pub(super) fn listen(options: &Options) -> io::Result<TcpListener> {
    let socket = match options.address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    if let Some(bytes) = receive_buffer(options) {
        // Before listening: the window scale is settled by the handshake.
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(options.address)?;
    socket.listen(1024)
}

fn receive_buffer(options: &Options) -> Option<u32> {
    let rates = [options.bandwidth, options.connection_bandwidth];
    let slowest = rates.into_iter().filter(|rate| *rate > 0).min();
    options
        .receive_buffer
        .or(slowest.map(throttle::receive_buffer))
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
                    let socket = accepted_socket(stream, &shared);
                    connections.spawn(serve(socket, Arc::clone(&shared), s3.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

fn accepted_socket(stream: TcpStream, shared: &Arc<Shared>) -> Socket {
    let options = &shared.options;
    let socket = Socket::new(stream, shared);
    // Only delays small writes when it fails.
    let _ = socket.stream().set_nodelay(true);
    if let Some(rate) = options.load.slow_rate(socket.connection().number)
        && options.receive_buffer.is_none()
    {
        // The pace reaches the client later when it fails.
        let _ = SockRef::from(socket.stream())
            .set_recv_buffer_size(throttle::receive_buffer(rate) as usize);
    }
    socket
}

async fn serve(socket: Socket, shared: Arc<Shared>, s3: S3Service) {
    let connection = Arc::clone(socket.connection());
    let Some(tls) = &shared.tls else {
        return speak_http(socket, Arc::clone(&shared), connection, s3).await;
    };
    // The client learns by itself why a handshake failed.
    if let Ok(stream) = tls.accept(socket).await {
        speak_http(stream, Arc::clone(&shared), connection, s3).await;
    }
}

async fn speak_http(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    s3: S3Service,
) {
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
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Builder;

    #[tokio::test]
    async fn the_kernel_is_asked_for_the_receive_buffer() {
        let size = |builder: Builder| {
            let listener = listen(&builder.options).unwrap();
            SockRef::from(&listener).recv_buffer_size().unwrap()
        };
        let asked = size(Builder::default().receive_buffer(40_000));
        assert!((40_000..=80_000).contains(&asked), "{asked}");
        let throttled = size(Builder::default().connection_bandwidth(1000));
        assert!(throttled <= 64 << 10, "{throttled}");
        assert!(size(Builder::default()) > throttled);
        let both = Builder::default().bandwidth(1000).receive_buffer(40_000);
        assert_eq!(size(both), asked);
    }
}
