//! One connection: a request goes out, an answer comes back.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use aws_sdk_s3::config::http::HttpRequest;
use tokio::io::{AsyncRead as _, ReadBuf};

use super::answer::{Answer, Incoming};
use super::connect::Endpoint;
use super::invalid_input;
use super::pump::Pump;
use super::stream::Stream;
use crate::body::Outgoing;

/// Bytes that are read of an answer at once.
const READ: usize = 4096;

/// The first lines of a request.
pub(super) struct Head(Vec<u8>);

impl Head {
    pub(super) fn of(request: &HttpRequest, endpoint: &Endpoint, len: u64) -> io::Result<Self> {
        let mut head = Vec::with_capacity(1024);
        let target = target_of(request.uri());
        line(&mut head, &[request.method(), " ", target, " HTTP/1.1"])?;
        let mut has_host = false;
        for (name, value) in request.headers().iter() {
            // Said below, by what is sent.
            if name.eq_ignore_ascii_case("content-length") {
                continue;
            }
            has_host |= name.eq_ignore_ascii_case("host");
            line(&mut head, &[name, ": ", value])?;
        }
        if !has_host {
            line(&mut head, &["host: ", endpoint.authority()])?;
        }
        line(&mut head, &["content-length: ", &len.to_string()])?;
        line(&mut head, &[])?;
        Ok(Self(head))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn line(head: &mut Vec<u8>, parts: &[&str]) -> io::Result<()> {
    for part in parts {
        // Would end the line early, and begin another header or request.
        if part.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(invalid_input("a line break in the head of a request"));
        }
        head.extend_from_slice(part.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    Ok(())
}

/// Path and query.
fn target_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    match url[after_scheme..].find(['/', '?']) {
        Some(at) => &url[after_scheme + at..],
        None => "/",
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream }
    }

    /// False if the other side has closed it, or sent what nobody asked for.
    pub(super) fn is_alive(&mut self) -> bool {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(&mut self.stream)
            .poll_read(&mut cx, &mut buffer)
            .is_pending()
    }

    /// Sends a request and waits for its answer, which may come before all is sent.
    pub(super) async fn exchange(&mut self, head: Head, outgoing: &Outgoing) -> io::Result<Answer> {
        let mut sending = Sending::Going(Box::new(Pump::new(head, outgoing.cursor())));
        let mut incoming = Incoming::default();
        let mut answer = poll_fn(|cx| {
            sending.poll(&mut self.stream, cx)?;
            let answer = poll_answer(&mut self.stream, &mut incoming, cx);
            match (answer, &mut sending) {
                // That the answer is missing is the effect, that nothing could be sent the cause.
                (Poll::Ready(Err(_)), Sending::Failed(error)) => {
                    Poll::Ready(Err(error.take().unwrap_or_else(closed)))
                }
                (answer, _) => answer,
            }
        })
        .await?;
        let is_sent = matches!(sending, Sending::Done);
        if !is_sent && (200..300).contains(&answer.status) {
            // Of what was not received nothing can have been done.
            let text = "the service claims success before it has the whole request";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        answer.keep_alive &= is_sent;
        Ok(answer)
    }
}

enum Sending {
    Going(Box<Pump>),
    Done,
    /// The other side may have said why before it closed.
    Failed(Option<io::Error>),
}

impl Sending {
    fn poll(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> io::Result<()> {
        let Self::Going(pump) = self else {
            return Ok(());
        };
        match pump.poll(stream, cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => *self = Self::Done,
            // Not the connection's fault: the source failed.
            Poll::Ready(Err(error))
                if error
                    .get_ref()
                    .is_some_and(|e| e.is::<writer_core::Error>()) =>
            {
                return Err(error);
            }
            Poll::Ready(Err(error)) => *self = Self::Failed(Some(error)),
        }
        Ok(())
    }
}

fn poll_answer(
    stream: &mut Stream,
    incoming: &mut Incoming,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Answer>> {
    loop {
        let mut bytes = [0; READ];
        let mut buffer = ReadBuf::new(&mut bytes);
        std::task::ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
        let read = buffer.filled();
        let answer = if read.is_empty() {
            Some(incoming.end()?)
        } else {
            incoming.push(read)?
        };
        if let Some(answer) = answer {
            return Poll::Ready(Ok(answer));
        }
    }
}

fn closed() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_what_follows_the_host() {
        assert_eq!(target_of("http://h:1/b/k%20?x=1"), "/b/k%20?x=1");
        assert_eq!(target_of("https://h"), "/");
        assert_eq!(target_of("https://h?uploads"), "?uploads");
    }

    #[test]
    fn a_line_break_can_not_smuggle_a_header_in() {
        for evil in ["a\r\nb: c", "a\nb", "a\0"] {
            assert!(line(&mut Vec::new(), &["x: ", evil]).is_err());
        }
    }
}
