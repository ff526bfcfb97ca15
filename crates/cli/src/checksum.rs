//! Checksums: how they are written on the command line, and those of what is read.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, Digest};
use writer_core::{Crc64Nvme, Error, ErrorKind, ObjectReader, Result, Segment};

/// How many bytes of a file are read at once.
const CHUNK: usize = 256 << 10;

/// Reads `crc64nvme:VALUE`, with a value as `stat` shows it (16 hexadecimal digits), or as S3
/// sends it (the Base64 of the 8 bytes).
pub(crate) fn parse(text: &str) -> Result<Crc64Nvme, &'static str> {
    let value = match text.split_once(':') {
        Some((algorithm, value)) if algorithm.eq_ignore_ascii_case("crc64nvme") => value,
        _ => return Err("expected crc64nvme:VALUE"),
    };
    if let Ok(checksum) = value.parse() {
        return Ok(checksum);
    }
    let bytes = STANDARD.decode(value).ok();
    let bytes = bytes.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    let bytes = bytes.ok_or("expected 16 hexadecimal digits, or 8 bytes in Base64")?;
    Ok(Crc64Nvme(u64::from_be_bytes(bytes)))
}

/// What two runs of bytes are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) checksum: Crc64Nvme,
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes with CRC64NVME {}", self.size, self.checksum)
    }
}

/// The content of what `reader` reads.
///
/// # Errors
///
/// Those of reading.
///
/// # Cancellation
///
/// Safe: `reader` is left in the middle.
pub(crate) async fn of_object(reader: &mut dyn ObjectReader) -> Result<Content> {
    let mut sum = Sum::new();
    while let Some(segment) = reader.next_chunk().await? {
        match segment {
            Segment::Memory(bytes) => sum.add(bytes.as_ref()),
            Segment::File(_) => {
                return Err(Error::new(ErrorKind::Other, "a file range can't be read"));
            }
        }
    }
    Ok(sum.content())
}

/// The content of `file` from where it stands. It blocks.
///
/// # Errors
///
/// Those of reading.
pub(crate) fn of_file(mut file: &File) -> io::Result<Content> {
    let mut sum = Sum::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(sum.content()),
            Ok(len) => sum.add(&chunk[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The content of bytes that come one after another.
pub(crate) struct Sum {
    size: u64,
    digest: Digest,
}

impl Sum {
    pub(crate) fn new() -> Self {
        Self {
            size: 0,
            digest: Digest::new(CrcAlgorithm::Crc64Nvme),
        }
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.digest.update(bytes);
    }

    /// That of all bytes so far.
    pub(crate) fn content(&self) -> Content {
        Content {
            size: self.size,
            checksum: Crc64Nvme(self.digest.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek as _, SeekFrom, Write as _};

    /// The check value of the algorithm: the checksum of `123456789`.
    const CHECK: Crc64Nvme = Crc64Nvme(0xae8b_1486_0a79_9888);

    #[test]
    fn a_checksum_is_read_in_both_forms() {
        for text in [
            "crc64nvme:ae8b14860a799888",
            "CRC64NVME:AE8B14860A799888",
            "crc64nvme:rosUhgp5mIg=",
        ] {
            assert_eq!(parse(text), Ok(CHECK), "{text}");
        }
        for text in [
            "ae8b14860a799888",
            "crc32:ae8b14860a799888",
            "crc64nvme:",
            "crc64nvme:ae8b14860a79988",
            "crc64nvme:rosUhgp5mIg",
            "crc64nvme:rosUhgp5mA==",
            "crc64nvme:ae8b14860a79988g",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_is_summed_from_where_it_stands() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"before123456789").unwrap();
        file.seek(SeekFrom::Start(6)).unwrap();
        let content = of_file(&file).unwrap();
        assert_eq!((content.size, content.checksum), (9, CHECK));
    }
}
