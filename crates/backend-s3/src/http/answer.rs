//! Answers, from bytes: `httparse` reads the head, this the rest.
//!
//! <https://www.rfc-editor.org/rfc/rfc9112.html#name-message-body-length>

use std::io;

use super::invalid_data;

/// Most bytes of a head.
const MAX_HEAD: usize = 64 * 1024;

/// Most bytes of a body: what answers a request that sends something is an XML document of some
/// hundred bytes.
const MAX_BODY: usize = 4 * 1024 * 1024;

const MAX_HEADERS: usize = 100;

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The connection may be used again.
    pub(super) keep_alive: bool,
}

/// An answer on its way.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// What has come and is not understood yet.
    bytes: Vec<u8>,
    head: Option<(Answer, Length)>,
    /// Bytes of heads that come before the answer.
    before: usize,
}

/// How far a body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Known(usize),
    /// Bytes that are left of a chunk with the line break that ends it, 0 before the next size.
    Chunked(usize),
    /// After the last chunk: lines until an empty one; so many bytes of them have come.
    Trailer(usize),
    UntilClosed,
}

impl Incoming {
    /// Takes `bytes`, and gives the answer once it is complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<Option<Answer>> {
        self.bytes.extend_from_slice(bytes);
        while self.head.is_none() {
            let Some((len, head)) = parse_head(&self.bytes)? else {
                return Ok(None);
            };
            self.bytes.drain(..len);
            self.before += len;
            if self.before > MAX_HEAD {
                return Err(invalid_data("heads of more than 64 KiB"));
            }
            // Anything below 200 comes before the answer.
            self.head = Some(head).filter(|(answer, _)| answer.status >= 200);
        }
        self.parse_body()
    }

    /// The connection was closed.
    pub(super) fn end(&mut self) -> io::Result<Answer> {
        match self.head.take() {
            Some((answer, Length::UntilClosed)) => Ok(answer),
            _ => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection was closed before the answer was complete",
            )),
        }
    }

    fn parse_body(&mut self) -> io::Result<Option<Answer>> {
        let Some((answer, length)) = &mut self.head else {
            return Ok(None);
        };
        let done = match length {
            Length::Known(len) => {
                take(&mut self.bytes, *len - answer.body.len(), &mut answer.body);
                answer.body.len() == *len
            }
            Length::UntilClosed => {
                answer.body.append(&mut self.bytes);
                false
            }
            Length::Chunked(_) | Length::Trailer(_) => {
                parse_chunks(&mut self.bytes, length, &mut answer.body)?
            }
        };
        if answer.body.len() > MAX_BODY {
            return Err(invalid_data("a body of more than 4 MiB"));
        }
        if !done {
            return Ok(None);
        }
        let surplus = !self.bytes.is_empty();
        Ok(self.head.take().map(|(mut answer, _)| {
            answer.keep_alive &= !surplus;
            answer
        }))
    }
}

/// Moves up to `len` bytes, from the front of one to the end of the other.
fn take(from: &mut Vec<u8>, len: usize, to: &mut Vec<u8>) {
    let len = len.min(from.len());
    to.extend(from.drain(..len));
}

/// What a service that speaks TLS says to a request in plain text
/// (<https://www.rfc-editor.org/rfc/rfc8446#section-5.1>).
const TLS_ALERT: &[u8] = &[21, 3];

/// The length of the head, and what it says, once it is complete.
fn parse_head(bytes: &[u8]) -> io::Result<Option<(usize, (Answer, Length))>> {
    if bytes.starts_with(TLS_ALERT) {
        return Err(super::invalid_input(
            "the service speaks TLS: its URL must begin with https://",
        ));
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let len = match response.parse(bytes).map_err(invalid_data)? {
        httparse::Status::Complete(len) => len,
        httparse::Status::Partial if bytes.len() > MAX_HEAD => {
            return Err(invalid_data("a head of more than 64 KiB"));
        }
        httparse::Status::Partial => return Ok(None),
    };
    let mut answer = Answer {
        status: response.code.unwrap_or_default(),
        headers: Vec::with_capacity(response.headers.len()),
        body: Vec::new(),
        keep_alive: response.version == Some(1),
    };
    for header in &*response.headers {
        let value = String::from_utf8_lossy(header.value).into_owned();
        answer.headers.push((header.name.to_owned(), value));
    }
    let length = length_of(&mut answer)?;
    Ok(Some((len, (answer, length))))
}

fn length_of(answer: &mut Answer) -> io::Result<Length> {
    let mut chunked = false;
    let mut known = None;
    for (name, value) in &answer.headers {
        if name.eq_ignore_ascii_case("connection") {
            answer.keep_alive &= !has_token(value, "close");
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.trim().eq_ignore_ascii_case("chunked") {
                return Err(invalid_data(format_args!("transfer encoding {value}")));
            }
            chunked = true;
        } else if name.eq_ignore_ascii_case("content-length") {
            let len = value.trim();
            let digits = !len.is_empty() && len.bytes().all(|byte| byte.is_ascii_digit());
            let len: Option<usize> = len.parse().ok().filter(|_| digits);
            let len = len.ok_or_else(|| invalid_data(format_args!("content length {value}")))?;
            if known.is_some_and(|known| known != len) || len > MAX_BODY {
                return Err(invalid_data(format_args!("content length {value}")));
            }
            known = Some(len);
        }
    }
    // Both at once is how requests are smuggled: read it, but do not go on.
    answer.keep_alive &= !(chunked && known.is_some());
    let has_none = matches!(answer.status, ..200 | 204 | 304);
    // A body where none may be would be taken for the next answer.
    answer.keep_alive &= !has_none || !chunked && known.unwrap_or(0) == 0;
    Ok(match (answer.status, chunked, known) {
        _ if has_none => Length::Known(0),
        (_, true, _) => Length::Chunked(0),
        (_, _, Some(len)) => Length::Known(len),
        _ => {
            answer.keep_alive = false;
            Length::UntilClosed
        }
    })
}

fn has_token(value: &str, token: &str) -> bool {
    value
        .split(',')
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// Takes what has come of a chunked body; true at its end.
fn parse_chunks(bytes: &mut Vec<u8>, length: &mut Length, body: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        match length {
            Length::Chunked(0) => {
                match httparse::parse_chunk_size(bytes).map_err(|_| invalid_data("a chunk"))? {
                    httparse::Status::Partial if bytes.len() > MAX_HEAD => {
                        return Err(invalid_data("a chunk's size of more than 64 KiB"));
                    }
                    httparse::Status::Partial => return Ok(false),
                    httparse::Status::Complete(_) if !bytes[0].is_ascii_hexdigit() => {
                        return Err(invalid_data("a chunk without a size"));
                    }
                    httparse::Status::Complete((line, 0)) => {
                        bytes.drain(..line);
                        *length = Length::Trailer(0);
                    }
                    httparse::Status::Complete((line, size)) => {
                        bytes.drain(..line);
                        let size = usize::try_from(size).ok().filter(|size| *size <= MAX_BODY);
                        let size =
                            size.ok_or_else(|| invalid_data("a chunk of more than 4 MiB"))?;
                        *length = Length::Chunked(size + 2);
                    }
                }
            }
            Length::Chunked(left) => {
                let data = left.saturating_sub(2).min(bytes.len());
                take(bytes, data, body);
                *left -= data;
                if body.len() > MAX_BODY {
                    return Err(invalid_data("a body of more than 4 MiB"));
                }
                if *left > 2 || bytes.len() < *left {
                    return Ok(false);
                }
                if !bytes.starts_with(b"\r\n") {
                    return Err(invalid_data("a chunk longer than its size"));
                }
                bytes.drain(..2);
                *left = 0;
            }
            Length::Trailer(read) => {
                let end = bytes.windows(2).position(|pair| pair == b"\r\n");
                if *read + end.unwrap_or(bytes.len()) > MAX_HEAD {
                    return Err(invalid_data("trailers of more than 64 KiB"));
                }
                let Some(end) = end else {
                    return Ok(false);
                };
                bytes.drain(..end + 2);
                *read += end + 2;
                if end == 0 {
                    return Ok(true);
                }
            }
            Length::Known(_) | Length::UntilClosed => return Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer in `text`, which comes in pieces of `step` bytes, and is then cut off.
    fn read(text: &str, step: usize) -> io::Result<Answer> {
        let mut incoming = Incoming::default();
        for piece in text.as_bytes().chunks(step) {
            if let Some(answer) = incoming.push(piece)? {
                return Ok(answer);
            }
        }
        incoming.end()
    }

    #[track_caller]
    fn assert_read(text: &str, status: u16, body: &str, keep_alive: bool) {
        for step in [1, 2, 3, 7, text.len()] {
            let answer = read(text, step).unwrap();
            let answer = (answer.status, &*answer.body, answer.keep_alive);
            assert_eq!(
                answer,
                (status, body.as_bytes(), keep_alive),
                "{step}: {text}"
            );
        }
    }

    #[test]
    fn bodies_of_all_lengths() {
        assert_read(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
            200,
            "ab",
            true,
        );
        assert_read(
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            200,
            "",
            true,
        );
        assert_read("HTTP/1.1 204 No Content\r\n\r\n", 204, "", true);
        assert_read("HTTP/1.1 503 x\r\n\r\nabc", 503, "abc", false);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_read(
            &format!("{chunked}2\r\nab\r\n3;x=y\r\ncde\r\n0\r\n\r\n"),
            200,
            "abcde",
            true,
        );
        assert_read(
            &format!("{chunked}1\r\na\r\n0\r\nTrailer: x\r\n\r\n"),
            200,
            "a",
            true,
        );
        assert_read(&format!("{chunked}0\r\n\r\n"), 200, "", true);
    }

    #[test]
    fn what_comes_before_the_answer_is_skipped() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\n!";
        assert_read(text, 403, "!", true);
    }

    #[test]
    fn a_connection_is_used_again_only_if_both_sides_agree_where_the_answer_ended() {
        let length = "Content-Length: 1\r\n";
        let chunked = "Transfer-Encoding: chunked\r\n";
        assert_read(
            &format!("HTTP/1.0 200 OK\r\n{length}\r\na"),
            200,
            "a",
            false,
        );
        let close = "Connection: keep-alive, Close\r\n";
        assert_read(
            &format!("HTTP/1.1 200 OK\r\n{close}{length}\r\na"),
            200,
            "a",
            false,
        );
        let both = format!("HTTP/1.1 200 OK\r\n{length}{chunked}\r\n0\r\n\r\n");
        assert_read(&both, 200, "", false);
        let surplus = read(&format!("HTTP/1.1 200 OK\r\n{length}\r\nabc"), 999).unwrap();
        assert!(!surplus.keep_alive);
    }

    #[test]
    fn what_is_not_http_is_an_error() {
        for head in [
            "HTTP/2 200 OK\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab",
            "HTTP/1.1 200 OK\r\n",
            "",
        ] {
            assert!(read(head, 5).is_err(), "{head}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(2 * MAX_HEAD));
        assert!(read(&endless, 4096).is_err());
    }

    #[test]
    fn what_does_not_end_is_refused() {
        let early = "HTTP/1.1 100 Continue\r\n\r\n".repeat(4_000);
        assert!(Incoming::default().push(early.as_bytes()).is_err());
        let trailers = "a: b\r\n".repeat(20_000);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
        let text = format!("{chunked}{trailers}");
        assert!(Incoming::default().push(text.as_bytes()).is_err());
        let text = format!("{}\r\n\r\n", chunked.trim_end_matches("0\r\n"));
        assert!(
            Incoming::default().push(text.as_bytes()).is_err(),
            "a chunk without a size"
        );
    }

    #[test]
    fn a_body_where_none_may_be_ends_the_connection() {
        for (length, keeps) in [("Content-Length: 0", true), ("Content-Length: 3", false)] {
            let text = format!("HTTP/1.1 204 No Content\r\n{length}\r\n\r\n");
            let answer = Incoming::default().push(text.as_bytes()).unwrap().unwrap();
            assert_eq!(answer.keep_alive, keeps, "{length}");
        }
    }
}
