//! Reading what was compressed: whole, in any pieces, and broken.

#![cfg(feature = "compression")]
#![allow(clippy::unwrap_used, reason = "the helpers are tests too")]

use std::io::Write as _;

use async_trait::async_trait;
use writer_core::{ErrorKind, ObjectMetadata, ObjectReader, Result, Segment};
use writer_tokio::{Codec, decompress, decompress_within};

/// Gives `bytes` in chunks of `step`.
struct Stored {
    metadata: ObjectMetadata,
    bytes: Vec<u8>,
    step: usize,
}

#[async_trait]
impl ObjectReader for Stored {
    fn metadata(&self) -> &ObjectMetadata {
        &self.metadata
    }

    async fn next_chunk(&mut self) -> Result<Option<Segment>> {
        let len = self.step.min(self.bytes.len());
        let rest = self.bytes.split_off(len);
        let chunk = std::mem::replace(&mut self.bytes, rest);
        Ok((!chunk.is_empty()).then(|| chunk.into()))
    }
}

fn stored(bytes: &[u8], step: usize) -> Box<dyn ObjectReader> {
    Box::new(Stored {
        metadata: ObjectMetadata::new("memory://object", bytes.len() as u64),
        bytes: bytes.to_vec(),
        step,
    })
}

async fn read(mut reader: Box<dyn ObjectReader>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(Segment::Memory(chunk)) = reader.next_chunk().await? {
        assert!(!chunk.as_ref().is_empty());
        bytes.extend(chunk.as_ref());
    }
    Ok(bytes)
}

async fn decoded(codec: Codec, bytes: &[u8], step: usize) -> Result<Vec<u8>> {
    read(decompress(stored(bytes, step), codec)?).await
}

fn encode(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Gzip => {
            let level = flate2::Compression::default();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        _ => {
            let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
    }
}

fn text(len: usize) -> Vec<u8> {
    let lines = (0..len / 8 + 1).flat_map(|n| format!("line {} \n", n * n % 10_007).into_bytes());
    lines.take(len).collect()
}

const CODECS: [Codec; 2] = [Codec::Zstd, Codec::Gzip];

#[tokio::test]
async fn everything_comes_back_whatever_the_pieces() {
    for codec in CODECS {
        for len in [0, 1, 1_000, 1_000_000] {
            let plain = text(len);
            let bytes = encode(codec, &plain);
            for step in [1, 7, 4_096, usize::MAX] {
                if step < 4_096 && len > 1_000 {
                    continue;
                }
                assert!(decoded(codec, &bytes, step).await.unwrap() == plain);
            }
        }
    }
}

#[tokio::test]
async fn frames_and_members_one_after_another_are_one_object() {
    for codec in CODECS {
        let (one, two) = (text(300_000), text(5));
        let bytes = [&one[..], &[], &two]
            .map(|part| encode(codec, part))
            .concat();
        for step in [1, 1_000, usize::MAX] {
            let plain = decoded(codec, &bytes, step).await.unwrap();
            assert!(plain == [&one[..], &two].concat(), "{codec} {step}");
        }
    }
    let skippable = b"\x5E\x2A\x4D\x18\x03\0\0\0abc";
    let bytes = [skippable, &encode(Codec::Zstd, b"x")[..], skippable].concat();
    assert_eq!(decoded(Codec::Zstd, &bytes, 3).await.unwrap(), b"x");
}

#[tokio::test]
async fn what_is_cut_off_at_any_byte_is_an_error() {
    for codec in CODECS {
        let bytes = encode(codec, &text(500));
        for len in 0..bytes.len() {
            let error = decoded(codec, &bytes[..len], usize::MAX).await.unwrap_err();
            assert!(error.message().contains("end too early"), "{len}: {error}");
            assert_eq!(error.uri(), Some("memory://object"));
        }
    }
}

#[tokio::test]
async fn what_goes_on_behind_the_end_or_is_damaged_is_an_error() {
    for codec in CODECS {
        let bytes = encode(codec, &text(5_000));
        for tail in [&b"\0"[..], b"garbage that is no frame", &[0; 600]] {
            let all = [&bytes[..], tail].concat();
            for step in [1, usize::MAX] {
                let error = decoded(codec, &all, step).await.unwrap_err();
                assert!(error.message().contains(codec.name()), "{error}");
            }
        }
        let mut damaged = bytes.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x10;
        assert!(decoded(codec, &damaged, usize::MAX).await.is_err());
        assert!(decoded(codec, &text(100), usize::MAX).await.is_err());
    }
}

#[tokio::test]
async fn an_error_stays() {
    let mut reader = decompress(stored(b"no gzip", 9), Codec::Gzip).unwrap();
    let first = reader.next_chunk().await.unwrap_err();
    let second = reader.next_chunk().await.unwrap_err();
    assert_eq!(first.to_string(), second.to_string());
}

#[tokio::test]
async fn a_window_that_is_too_large_is_named() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(24).unwrap();
    encoder.write_all(&text(100_000)).unwrap();
    let bytes = encoder.finish().unwrap();
    let small = decompress_within(stored(&bytes, 1_000), Codec::Zstd, 23).unwrap();
    let error = read(small).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert!(error.message().contains("8388608 bytes"), "{error}");
    let large = decompress_within(stored(&bytes, 1_000), Codec::Zstd, 24).unwrap();
    assert!(read(large).await.unwrap() == text(100_000));
    for window_log in [9, 32] {
        let refused = decompress_within(stored(b"", 1), Codec::Zstd, window_log);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

/// 1 GiB of zeros is some 100 KiB; nobody holds more than a chunk of it.
#[tokio::test]
async fn a_small_object_that_decodes_to_a_large_one_comes_in_chunks() {
    let bytes = zstd::encode_all(&vec![0; 64 << 20][..], 1).unwrap();
    assert!(bytes.len() < 64 << 10);
    let mut reader = decompress(stored(&bytes, usize::MAX), Codec::Zstd).unwrap();
    let mut total = 0;
    while let Some(chunk) = reader.next_chunk().await.unwrap() {
        assert!(chunk.len() <= 256 << 10);
        total += chunk.len();
    }
    assert_eq!(total, 64 << 20);
}
