//! The five checksum algorithms of S3, and how those of parts become one.
//!
//! Rules: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::{CrcAlgorithm, checksum_combine};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::{S3Error, S3ErrorCode, S3Result};

/// A checksum algorithm that S3 knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// CRC-32 (ISO-HDLC).
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME, what S3 computes when nobody says anything.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// How the checksum of a multipart object relates to those of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChecksumKind {
    /// The checksum of all bytes.
    FullObject,
    /// The checksum of the parts' checksums, followed by `-` and their number.
    Composite,
}

/// The checksum of an object, as S3 reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectChecksum {
    /// By which algorithm.
    pub algorithm: Algorithm,
    /// Over the bytes, or over the parts' checksums.
    pub kind: ChecksumKind,
    /// Base64 of the big-endian value; `-N` follows when composite.
    pub value: String,
}

impl Algorithm {
    pub(super) const ALL: [Algorithm; 5] = [
        Algorithm::Crc32,
        Algorithm::Crc32c,
        Algorithm::Crc64Nvme,
        Algorithm::Sha1,
        Algorithm::Sha256,
    ];

    /// The name in requests and replies, such as `CRC64NVME`.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "CRC32",
            Algorithm::Crc32c => "CRC32C",
            Algorithm::Crc64Nvme => "CRC64NVME",
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
        }
    }

    /// The header that carries a value, such as `x-amz-checksum-crc64nvme`.
    pub fn header(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "x-amz-checksum-crc32",
            Algorithm::Crc32c => "x-amz-checksum-crc32c",
            Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Algorithm::Sha1 => "x-amz-checksum-sha1",
            Algorithm::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The checksum of `bytes`, in base64.
    pub fn of(self, bytes: &[u8]) -> String {
        let mut digest = self.digest();
        digest.update(bytes);
        digest.finish()
    }

    pub(super) fn parse(name: &str) -> S3Result<Algorithm> {
        Self::ALL
            .into_iter()
            .find(|a| a.name() == name)
            .ok_or_else(|| {
                invalid_request(
                    "Checksum algorithm provided is unsupported. Please try again with any of the \
                     valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
                )
            })
    }

    pub(super) fn digest(self) -> Digest {
        let mut hasher = ChecksumHasher::default();
        match self {
            Algorithm::Crc32 => hasher.crc32 = Some(Crc32::new()),
            Algorithm::Crc32c => hasher.crc32c = Some(Crc32c::new()),
            Algorithm::Crc64Nvme => hasher.crc64nvme = Some(Crc64Nvme::new()),
            Algorithm::Sha1 => hasher.sha1 = Some(Sha1::new()),
            Algorithm::Sha256 => hasher.sha256 = Some(Sha256::new()),
        }
        Digest(hasher)
    }

    /// Refuses what is not base64 of the right number of bytes.
    pub(super) fn check_form(self, value: &str) -> S3Result<()> {
        match BASE64.decode(value) {
            Ok(raw) if raw.len() == self.length() => Ok(()),
            _ => Err(invalid_request(format!(
                "Value for {} header is invalid.",
                self.header()
            ))),
        }
    }

    fn length(self) -> usize {
        match self {
            Algorithm::Crc32 | Algorithm::Crc32c => 4,
            Algorithm::Crc64Nvme => 8,
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
        }
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Algorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Algorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Algorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Algorithm::Sha1 | Algorithm::Sha256 => None,
        }
    }
}

impl ChecksumKind {
    /// The name in requests and replies.
    pub fn name(self) -> &'static str {
        match self {
            ChecksumKind::FullObject => "FULL_OBJECT",
            ChecksumKind::Composite => "COMPOSITE",
        }
    }

    /// What a multipart upload with `algorithm` gets, `asked` being what it
    /// wants: a CRC64NVME is always of the full object, a SHA never is.
    pub(super) fn choose(algorithm: Algorithm, asked: Option<&str>) -> S3Result<ChecksumKind> {
        let kind = match asked {
            None if algorithm == Algorithm::Crc64Nvme => ChecksumKind::FullObject,
            None => ChecksumKind::Composite,
            Some("FULL_OBJECT") => ChecksumKind::FullObject,
            Some("COMPOSITE") => ChecksumKind::Composite,
            Some(_) => {
                return Err(invalid_request(
                    "Value for x-amz-checksum-type header is invalid.",
                ));
            }
        };
        let possible = match kind {
            ChecksumKind::FullObject => algorithm.crc().is_some(),
            ChecksumKind::Composite => algorithm != Algorithm::Crc64Nvme,
        };
        if !possible {
            return Err(invalid_request(format!(
                "The {} checksum type cannot be used with the {} checksum algorithm.",
                kind.name(),
                algorithm.name().to_lowercase()
            )));
        }
        Ok(kind)
    }
}

/// A checksum being computed.
pub(super) struct Digest(ChecksumHasher);

impl Digest {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The value in base64.
    pub(super) fn finish(self) -> String {
        let sum = self.0.finalize();
        sum.checksum_crc32
            .or(sum.checksum_crc32c)
            .or(sum.checksum_crc64nvme)
            .or(sum.checksum_sha1)
            .or(sum.checksum_sha256)
            .unwrap_or_default()
    }
}

/// One checksum out of those of the parts, each with the part's size.
///
/// `None` if a part has none, which happens only when hashing is off.
pub(super) fn combine<'a>(
    algorithm: Algorithm,
    kind: ChecksumKind,
    parts: impl ExactSizeIterator<Item = (Option<&'a str>, u64)>,
) -> Option<ObjectChecksum> {
    let count = parts.len();
    let mut raw = Vec::with_capacity(count);
    for (value, size) in parts {
        raw.push((BASE64.decode(value?).ok()?, size));
    }
    let value = match (kind, algorithm.crc()) {
        (ChecksumKind::FullObject, Some(crc)) => {
            let whole = raw
                .iter()
                .map(|(value, size)| (from_big_endian(value), *size))
                .reduce(|(a, a_size), (b, b_size)| {
                    (checksum_combine(crc, a, b, b_size), a_size + b_size)
                })?
                .0;
            BASE64.encode(&whole.to_be_bytes()[8 - algorithm.length()..])
        }
        _ => {
            let joined: Vec<u8> = raw.into_iter().flat_map(|(value, _)| value).collect();
            format!("{}-{count}", algorithm.of(&joined))
        }
    };
    Some(ObjectChecksum {
        algorithm,
        kind,
        value,
    })
}

fn from_big_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// The one value among the five optional ones of a request or a completed part.
pub(super) fn only(values: [Option<&str>; 5]) -> S3Result<Option<(Algorithm, String)>> {
    let mut found = Algorithm::ALL
        .into_iter()
        .zip(values)
        .filter_map(|(algorithm, value)| Some((algorithm, value?.to_owned())));
    let first = found.next();
    if found.next().is_some() {
        return Err(invalid_request(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        ));
    }
    Ok(first)
}

/// Gathers the five `checksum_*` fields of a request for [`only`].
macro_rules! claimed {
    ($from:expr) => {
        $crate::server::checksum::only([
            $from.checksum_crc32.as_deref(),
            $from.checksum_crc32c.as_deref(),
            $from.checksum_crc64nvme.as_deref(),
            $from.checksum_sha1.as_deref(),
            $from.checksum_sha256.as_deref(),
        ])
    };
}
pub(super) use claimed;

/// Sets the one of the five `checksum_*` fields of a reply that applies.
macro_rules! set_checksum {
    ($to:expr, $algorithm:expr, $value:expr) => {
        match $algorithm {
            $crate::server::Algorithm::Crc32 => $to.checksum_crc32 = Some($value),
            $crate::server::Algorithm::Crc32c => $to.checksum_crc32c = Some($value),
            $crate::server::Algorithm::Crc64Nvme => $to.checksum_crc64nvme = Some($value),
            $crate::server::Algorithm::Sha1 => $to.checksum_sha1 = Some($value),
            $crate::server::Algorithm::Sha256 => $to.checksum_sha256 = Some($value),
        }
    };
}
pub(super) use set_checksum;

pub(super) fn invalid_request(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_combine_to_the_checksum_of_the_whole() {
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let (a, b, c) = (
                algorithm.of(b"one"),
                algorithm.of(b"and two"),
                algorithm.of(b""),
            );
            let parts = [
                (Some(a.as_str()), 3),
                (Some(b.as_str()), 7),
                (Some(c.as_str()), 0),
            ];
            let whole = combine(algorithm, ChecksumKind::FullObject, parts.into_iter());
            assert_eq!(
                whole.map(|w| w.value),
                Some(algorithm.of(b"oneand two")),
                "{algorithm:?}"
            );
        }
    }

    #[test]
    fn composite_hashes_the_hashes_and_counts_the_parts() {
        let part = Algorithm::Sha256.of(b"x");
        let whole = combine(
            Algorithm::Sha256,
            ChecksumKind::Composite,
            [(Some(part.as_str()), 1)].into_iter(),
        );
        let expected = Algorithm::Sha256.of(&BASE64.decode(&part).unwrap_or_default());
        assert_eq!(whole.map(|w| w.value), Some(format!("{expected}-1")));
    }

    #[test]
    fn known_value_of_crc64nvme() {
        // The check value of CRC-64/NVME: 0xae8b14860a799888.
        assert_eq!(Algorithm::Crc64Nvme.of(b"123456789"), "rosUhgp5mIg=");
    }
}
