//! What is known of an object: the receipt of a write, and the answer to `stat` and `list`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::{Codec, Error, ErrorKind};

/// CRC-64/NVME of a run of bytes, the checksum that S3 keeps for whole objects.
///
/// Displays as 16 hexadecimal digits. S3 sends it as the Base64 of [`to_be_bytes`](u64::to_be_bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Crc64Nvme(pub u64);

impl fmt::Display for Crc64Nvme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Crc64Nvme {
    type Err = Error;

    /// Reads what [`Display`](fmt::Display) writes: 16 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, Error> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u64::from_str_radix(text, 16) {
            Ok(value) if is_hex => Ok(Self(value)),
            _ => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("{text:?} is no CRC64NVME: expected 16 hexadecimal digits"),
            )),
        }
    }
}

/// How a condition on a write was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// By the storage itself, atomically.
    Enforced,
    /// As well as the client can; another program may come in between.
    Advisory,
}

/// What is known of an object.
///
/// As the receipt of a write it holds what the storage confirmed; a field that the storage did
/// not say is `None` rather than a guess.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectMetadata {
    /// The object's URI.
    pub uri: String,
    /// Size in bytes, as stored.
    pub size: u64,
    /// The storage's tag of this content, without quotes.
    pub e_tag: Option<String>,
    /// The version, on a bucket that keeps versions.
    pub version_id: Option<String>,
    /// Checksum of the whole object, as stored.
    pub checksum: Option<Crc64Nvme>,
    /// When it was last written.
    pub last_modified: Option<SystemTime>,
    /// Its media type.
    pub content_type: Option<String>,
    /// How long readers may keep a copy: `Cache-Control`.
    pub cache_control: Option<String>,
    /// What a browser does with it: `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// The language it is in: `Content-Language`.
    pub content_language: Option<String>,
    /// The class that it is stored in, by the service's own name. S3 does not say the standard one.
    pub storage_class: Option<String>,
    /// How the service encrypts it, in the service's words: `AES256`, `aws:kms`.
    pub encryption: Option<String>,
    /// The key of the key service that it is encrypted with, by the name that the service says.
    pub encryption_key: Option<String>,
    /// Its tags. S3 says only how many they are.
    pub tags: BTreeMap<String, String>,
    /// How many tags it has, where that is said.
    pub tag_count: Option<u32>,
    /// How its bytes are encoded, as HTTP's Content-Encoding has it: `zstd`, `gzip`. A reader
    /// that undoes it finds what was meant to be read.
    pub content_encoding: Option<String>,
    /// The user's own metadata.
    pub metadata: BTreeMap<String, String>,
    /// As the receipt of an object that was compressed on its way: the format.
    pub compressed: Option<Codec>,
    /// As the receipt of an object that was compressed on its way: the bytes that were written,
    /// of which [`size`](Self::size) are stored.
    pub size_written: Option<u64>,
    /// As a receipt: how many parts were sent (1 for an object that went in one request).
    pub parts: Option<u32>,
    /// As the receipt of an upload that was taken up again: bytes that were there already, and
    /// were not sent.
    pub bytes_reused: Option<u64>,
    /// As a receipt: how the condition of the write was kept, if it had one.
    pub condition: Option<Condition>,
    /// As the receipt of an upload: how many requests were sent again, those that store nothing
    /// among them.
    pub retries: Option<u64>,
    /// As the receipt of an upload: bytes of bodies that were sent more than once, whole or in
    /// part.
    pub bytes_resent: Option<u64>,
    /// As a receipt: the time from the making of the writer to its end.
    pub elapsed: Option<Duration>,
    /// As a receipt: the most bytes of memory that the writer held at once, pages as a whole and
    /// owned segments by their length. File ranges take none.
    pub peak_buffered: Option<u64>,
}

impl ObjectMetadata {
    /// What is known of an object at first: its URI and its size in bytes.
    #[must_use]
    pub fn new(uri: impl Into<String>, size: u64) -> Self {
        Self {
            uri: uri.into(),
            size,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_read_as_it_is_written() {
        let checksum = Crc64Nvme(0xab);
        assert_eq!(checksum.to_string(), "00000000000000ab");
        assert_eq!(checksum.to_string().parse::<Crc64Nvme>().unwrap(), checksum);
        for text in ["", "ab", "+0000000000000ab", "00000000000000zz"] {
            let error = text.parse::<Crc64Nvme>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        }
    }
}
