//! HTTP answers: whatever the pieces they come in, they are the same, and no larger than allowed.

#![no_main]

use std::fmt;
use std::io;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[path = "../../crates/backend-s3/src/http/answer.rs"]
mod answer;

use answer::{Answer, Incoming};

/// Most bytes of a body that is kept.
const MAX_BODY: usize = 4 * 1024 * 1024;

fn invalid_data(text: impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_string())
}

fn invalid_input(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    step: u8,
    bytes: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let whole = read(input.bytes, input.bytes.len().max(1));
    let pieces = read(input.bytes, usize::from(input.step).max(1));
    match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => {
            assert_eq!(whole.status, pieces.status);
            assert_eq!(whole.headers, pieces.headers);
            assert_eq!(whole.body, pieces.body);
            assert!((200..1000).contains(&whole.status));
            assert!(whole.body.len() <= MAX_BODY);
            // What comes after the answer may come too late to be seen.
            assert!(pieces.keep_alive || !whole.keep_alive);
        }
        (Err(_), Err(_)) => {}
        (whole, pieces) => panic!("{whole:?} at once, {pieces:?} in pieces"),
    }
});

/// The answer in `bytes`, which come in pieces of `step`, and are then cut off.
fn read(bytes: &[u8], step: usize) -> io::Result<Answer> {
    let mut incoming = Incoming::default();
    for piece in bytes.chunks(step) {
        if let Some(answer) = incoming.push(piece)? {
            return Ok(answer);
        }
    }
    incoming.end()
}
