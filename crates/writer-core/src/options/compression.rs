//! What may be asked of compression.

use super::{WriterOptions, check};
use crate::{Codec, Error, ErrorKind, Result};

const MAX_THREADS: u64 = 64;

impl WriterOptions {
    /// The format that the object at `uri` will be compressed in: [`codec`](Self::codec), or the
    /// one that its name asks for, unless the bytes turn out to be in that format already.
    #[must_use]
    pub fn codec_for(&self, uri: &str) -> Option<Codec> {
        let by_name = self.enable_compression && self.content_encoding.is_none();
        self.codec
            .or_else(|| Codec::of_name(uri).filter(|_| by_name))
    }

    /// Sets [`codec`](Self::codec).
    #[must_use]
    pub fn with_codec(mut self, codec: Codec) -> Self {
        self.codec = Some(codec);
        self
    }

    /// Sets [`compression_level`](Self::compression_level).
    #[must_use]
    pub fn with_compression_level(mut self, level: i32) -> Self {
        self.compression_level = Some(level);
        self
    }

    /// Sets [`compression_threads`](Self::compression_threads).
    #[must_use]
    pub fn with_compression_threads(mut self, threads: u32) -> Self {
        self.compression_threads = threads;
        self
    }

    /// Sets [`content_encoding`](Self::content_encoding).
    #[must_use]
    pub fn with_content_encoding(mut self, encoding: impl Into<String>) -> Self {
        self.content_encoding = Some(encoding.into());
        self
    }

    pub(super) fn validate_compression(&self) -> Result<()> {
        let refuse = |text: String| Err(Error::new(ErrorKind::InvalidInput, text));
        let threads = u64::from(self.compression_threads);
        check("compression_threads", threads, 0, MAX_THREADS)?;
        if let Some(encoding) = &self.content_encoding
            && !is_list_of_tokens(encoding)
        {
            return refuse(format!(
                "content_encoding is {encoding:?}: expected names of encodings, such as gzip"
            ));
        }
        let Some(codec) = self.codec else {
            return match self.compression_level {
                // The name decides which codec's bounds it must keep.
                Some(level) if !Codec::Gzip.levels().contains(&level) => {
                    Codec::Zstd.check_level(level)
                }
                _ => Ok(()),
            };
        };
        if !self.enable_compression {
            return refuse(format!(
                "codec {codec} and enable_compression = false exclude each other"
            ));
        }
        if let Some(encoding) = &self.content_encoding {
            return refuse(format!(
                "codec {codec} and content_encoding {encoding:?} exclude each other: either the \
                 bytes are to be compressed, or they are encoded already"
            ));
        }
        if self.expected_checksum.is_some() {
            return refuse(format!(
                "expected_checksum is that of what is stored, which codec {codec} changes: leave \
                 out one of them"
            ));
        }
        if codec == Codec::Gzip && self.compression_threads > 1 {
            return refuse(format!(
                "compression_threads is {threads}, and gzip has one thread: expected 0 or 1, or \
                 codec zstd"
            ));
        }
        self.compression_level
            .map_or(Ok(()), |level| codec.check_level(level))
    }
}

/// True for what may stand in Content-Encoding: tokens of RFC 9110, 5.6.2, between commas.
fn is_list_of_tokens(text: &str) -> bool {
    let is_token = |token: &str| {
        let other = b"!#$%&'*+-.^_`|~";
        let mut bytes = token.bytes();
        !token.is_empty() && bytes.all(|b| b.is_ascii_alphanumeric() || other.contains(&b))
    };
    text.split(',')
        .map(|token| token.trim_matches(' '))
        .all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Crc64Nvme;

    #[test]
    fn compression_is_asked_for_by_name_or_outright() {
        let any = WriterOptions::default();
        assert_eq!(any.codec_for("a.gz"), Some(Codec::Gzip));
        assert_eq!(any.codec_for("a"), None);
        let zstd = any.clone().with_codec(Codec::Zstd);
        assert_eq!(zstd.codec_for("a.gz"), Some(Codec::Zstd));
        assert_eq!(any.clone().with_compression(false).codec_for("a.gz"), None);
        assert_eq!(any.with_content_encoding("br").codec_for("a.gz"), None);
    }

    #[test]
    fn compression_that_can_not_be_is_refused_with_both_names() {
        let any = WriterOptions::default;
        let (zstd, gzip) = (any().with_codec(Codec::Zstd), any().with_codec(Codec::Gzip));
        for (options, words) in [
            (
                zstd.clone().with_compression(false),
                ["zstd", "enable_compression"],
            ),
            (zstd.clone().with_content_encoding("br"), ["zstd", "\"br\""]),
            (
                zstd.clone().with_expected_checksum(Crc64Nvme(1)),
                ["zstd", "expected_checksum"],
            ),
            (
                zstd.clone().with_compression_level(23),
                ["is 23", "-7 to 22"],
            ),
            (gzip.clone().with_compression_level(10), ["is 10", "0 to 9"]),
            (
                gzip.clone().with_compression_threads(2),
                ["gzip", "threads is 2"],
            ),
            (any().with_compression_level(-8), ["is -8", "-7 to 22"]),
            (any().with_compression_threads(65), ["is 65", "0 to 64"]),
            (any().with_content_encoding(""), ["\"\"", "gzip"]),
            (
                any().with_content_encoding("gzip\r\nx: y"),
                ["gzip\\r", "expected"],
            ),
        ] {
            let error = options.validate().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            for word in words {
                assert!(error.message().contains(word), "{word}: {error}");
            }
        }
        for options in [
            zstd.with_compression_level(-7).with_compression_threads(64),
            gzip.with_compression_level(0).with_compression_threads(1),
            any()
                .with_compression_level(22)
                .with_content_encoding("gzip, br"),
        ] {
            options.validate().unwrap();
        }
    }
}
