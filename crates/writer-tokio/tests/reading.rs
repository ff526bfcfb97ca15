//! An object reader in the shapes that other code reads from.

#![allow(clippy::unwrap_used, reason = "the helpers are tests too")]

use std::collections::VecDeque;
use std::fs::File;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncBufReadExt as _, AsyncRead as _, AsyncReadExt as _, ReadBuf};
use writer_core::{Error, ErrorKind, ObjectMetadata, ObjectReader, Result, Segment};
use writer_tokio::AsyncObjectReader;

/// Gives what it was given, each time after a turn of the runtime.
struct Scripted {
    metadata: ObjectMetadata,
    answers: VecDeque<Result<Segment>>,
}

#[async_trait]
impl ObjectReader for Scripted {
    fn metadata(&self) -> &ObjectMetadata {
        &self.metadata
    }

    async fn next_chunk(&mut self) -> Result<Option<Segment>> {
        tokio::task::yield_now().await;
        self.answers.pop_front().transpose()
    }
}

fn reader(answers: impl IntoIterator<Item = Result<Segment>>) -> AsyncObjectReader {
    let mut metadata = ObjectMetadata::new("memory://object", 11);
    metadata.e_tag = Some("tag".to_owned());
    AsyncObjectReader::new(Box::new(Scripted {
        metadata,
        answers: answers.into_iter().collect(),
    }))
}

fn text(text: &'static str) -> Result<Segment> {
    Ok(Segment::from(text))
}

fn broken() -> Result<Segment> {
    Err(Error::new(ErrorKind::Unavailable, "broken off"))
}

#[tokio::test]
async fn chunks_are_read_in_pieces_of_any_size() {
    for len in 1..13 {
        let mut input = reader([text("hello"), text(" "), text("world")]);
        assert_eq!(input.metadata().e_tag.as_deref(), Some("tag"));
        let (mut bytes, mut piece) = (Vec::new(), vec![0; len]);
        loop {
            let read = input.read(&mut piece).await.unwrap();
            if read == 0 {
                break;
            }
            bytes.extend_from_slice(&piece[..read]);
        }
        assert_eq!(bytes, b"hello world", "by {len}");
        assert_eq!(input.read(&mut piece).await.unwrap(), 0, "the end stays");
    }
    let mut output = Vec::new();
    let mut input = reader([text("hello"), text(" world")]);
    let copied = tokio::io::copy(&mut input, &mut output).await.unwrap();
    assert_eq!((copied, &*output), (11, &b"hello world"[..]));
    let mut none = reader([]);
    assert_eq!(tokio::io::copy(&mut none, &mut output).await.unwrap(), 0);
}

#[tokio::test]
async fn an_empty_buffer_asks_for_nothing() {
    let mut input = reader([broken()]);
    let mut nothing = ReadBuf::new(&mut []);
    let read = std::future::poll_fn(|cx| Pin::new(&mut input).poll_read(cx, &mut nothing));
    read.await.unwrap();
    assert!(input.read_u8().await.is_err());
}

/// An end that is none would cut the object off.
#[tokio::test]
async fn an_empty_chunk_is_not_the_end() {
    let mut bytes = String::new();
    let mut input = reader([text("a"), text(""), text("b")]);
    input.read_to_string(&mut bytes).await.unwrap();
    assert_eq!(bytes, "ab");
}

#[tokio::test]
async fn what_is_buffered_is_where_it_was() {
    let chunk: Arc<[u8]> = Arc::from(&b"one\ntwo"[..]);
    let mut input = reader([Ok(Segment::from(Arc::clone(&chunk))), text("\nthree")]);
    let buffered = input.fill_buf().await.unwrap();
    assert_eq!((buffered, buffered.as_ptr()), (&*chunk, chunk.as_ptr()));
    input.consume(1);
    assert_eq!(input.fill_buf().await.unwrap(), b"ne\ntwo");
    let mut lines = input.lines();
    for line in ["ne", "two", "three"] {
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some(line));
    }
    assert_eq!(lines.next_line().await.unwrap(), None);
}

#[tokio::test]
async fn a_chunk_that_was_read_is_let_go() {
    let chunk: Arc<[u8]> = Arc::from(&b"abc"[..]);
    let mut input = reader([Ok(Segment::from(Arc::clone(&chunk))), text("d")]);
    let mut three = [0; 3];
    input.read_exact(&mut three).await.unwrap();
    assert_eq!(Arc::strong_count(&chunk), 1);
}

#[tokio::test]
async fn an_error_comes_whole_after_the_bytes_and_stays() {
    let mut input = reader([text("abc"), broken(), text("def")]);
    let mut bytes = Vec::new();
    let error = input.read_to_end(&mut bytes).await.unwrap_err();
    assert_eq!(Error::from(error).kind(), ErrorKind::Unavailable);
    assert_eq!(bytes, b"abc");
    let again = input.read_to_end(&mut bytes).await.unwrap_err();
    assert_eq!(Error::from(again).kind(), ErrorKind::Unavailable);
    assert_eq!(bytes, b"abc", "nothing comes after an error");
}

#[tokio::test]
async fn a_file_range_is_an_error_and_no_end() {
    let file = Arc::new(File::open("/dev/null").unwrap());
    let mut input = reader([Ok(Segment::file(file, 0..5))]);
    let error = input.read_u8().await.unwrap_err();
    assert_eq!(Error::from(error).kind(), ErrorKind::InvalidInput);
}

/// A read that is given up loses nothing of what it had asked for.
#[tokio::test]
async fn a_read_that_is_dropped_loses_nothing() {
    let mut input = reader([text("hello "), text("world")]);
    let mut bytes = Vec::new();
    let mut given_up = 0;
    loop {
        let mut piece = [0; 4];
        tokio::select! {
            biased;
            read = input.read(&mut piece) => match read.unwrap() {
                0 => break,
                read => bytes.extend_from_slice(&piece[..read]),
            },
            () = std::future::ready(()) => {
                given_up += 1;
                tokio::time::sleep(Duration::ZERO).await;
            }
        }
    }
    assert_eq!(bytes, b"hello world");
    assert_eq!(given_up, 3, "each chunk, and the end, was asked for once");
}

#[cfg(feature = "futures")]
#[tokio::test]
async fn the_traits_of_futures() {
    use futures_util::{StreamExt as _, TryStreamExt as _};

    let chunk: Arc<[u8]> = Arc::from(&b"hello"[..]);
    let mut input = reader([Ok(Segment::from(Arc::clone(&chunk))), text(" world")]);
    let first = input.next().await.unwrap().unwrap();
    assert_eq!((&*first, first.as_ptr()), (&*chunk, chunk.as_ptr()));
    let mut piece = [0; 3];
    futures_util::AsyncReadExt::read_exact(&mut input, &mut piece)
        .await
        .unwrap();
    let rest: Vec<_> = input.try_collect().await.unwrap();
    assert_eq!((&piece, rest), (b" wo", vec!["rld".into()]));

    let input = reader([text("abc"), broken(), text("def")]);
    let items: Vec<std::io::Result<bytes::Bytes>> = input.collect().await;
    assert_eq!(items.len(), 2, "an error is the last item");
    let kind = Error::from(items.into_iter().nth(1).unwrap().unwrap_err()).kind();
    assert_eq!(kind, ErrorKind::Unavailable);

    let input = reader([text("a\nb"), text("c\n")]);
    let lines: Vec<_> = futures_util::AsyncBufReadExt::lines(input)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(lines, ["a", "bc"]);
}
