//! The formats that objects are compressed in: what asks for one, and how its bytes begin.

use std::fmt;
use std::ops::RangeInclusive;

use crate::{Error, ErrorKind, Result};

/// A format that objects are compressed in.
///
/// ```
/// use writer_core::Codec;
///
/// assert_eq!(Codec::of_name("s3://bucket/dump.sql.zst"), Some(Codec::Zstd));
/// assert_eq!(Codec::Gzip.levels(), 0..=9);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// Zstandard (RFC 8878), for names that end in `.zst`.
    Zstd,
    /// gzip (RFC 1952), for names that end in `.gz`.
    Gzip,
}

/// A magic number, as the bits that must be set and the bytes that they must equal.
type Magic = &'static [(u8, u8)];

const fn byte(value: u8) -> (u8, u8) {
    (0xFF, value)
}

impl Codec {
    /// Most bytes that a magic number has.
    pub const MAGIC_LEN: usize = 4;

    /// The format that `name` asks for by its ending: `.zst` or `.gz`, in letters of either case,
    /// as media types are told by names, too.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        if ending.eq_ignore_ascii_case("zst") {
            Some(Self::Zstd)
        } else if ending.eq_ignore_ascii_case("gz") {
            Some(Self::Gzip)
        } else {
            None
        }
    }

    /// The formats that a Content-Encoding names, in the order in which they were applied: the
    /// last is undone first. `identity` is none, `x-gzip` is gzip, and case does not matter
    /// (RFC 9110, 8.4).
    ///
    /// ```
    /// use writer_core::Codec;
    ///
    /// assert_eq!(Codec::of_encoding("gzip").unwrap(), [Codec::Gzip]);
    /// assert_eq!(Codec::of_encoding("gzip, zstd").unwrap(), [Codec::Gzip, Codec::Zstd]);
    /// assert!(Codec::of_encoding("br").is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] if one of them is no [`Codec`].
    pub fn of_encoding(content_encoding: &str) -> Result<Vec<Self>> {
        let mut codecs = Vec::new();
        for coding in content_encoding.split(',').map(str::trim) {
            match coding.to_ascii_lowercase().as_str() {
                "" | "identity" => {}
                "zstd" => codecs.push(Self::Zstd),
                "gzip" | "x-gzip" => codecs.push(Self::Gzip),
                _ => {
                    let text = format!(
                        "the Content-Encoding {coding:?} can't be undone: expected zstd or gzip"
                    );
                    return Err(Error::new(ErrorKind::Unsupported, text));
                }
            }
        }
        Ok(codecs)
    }

    /// Its name, which is also its token in a Content-Encoding: `zstd` or `gzip`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The levels that can be asked for: -7 to 22 for Zstandard, 0 (stored) to 9 for gzip.
    #[must_use]
    pub fn levels(self) -> RangeInclusive<i32> {
        match self {
            Self::Zstd => -7..=22,
            Self::Gzip => 0..=9,
        }
    }

    /// The level that is used unless another is asked for: 3 for Zstandard, 6 for gzip, as their
    /// own programs have it.
    #[must_use]
    pub fn default_level(self) -> i32 {
        match self {
            Self::Zstd => 3,
            Self::Gzip => 6,
        }
    }

    /// Checks that `level` is one of [`levels`](Self::levels).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`], naming the bounds.
    pub fn check_level(self, level: i32) -> Result<()> {
        let levels = self.levels();
        if levels.contains(&level) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "compression_level is {level}: expected {} to {} for {self}",
                levels.start(),
                levels.end()
            ),
        ))
    }

    /// True if `bytes` begin with a magic number of this format: a Zstandard frame or skippable
    /// frame, a gzip member that is deflated.
    #[must_use]
    pub fn is_magic(self, bytes: &[u8]) -> bool {
        self.recognise(bytes) == Some(true)
    }

    /// Whether data that begin with `start` are in this format; `None` if `start` is too short to
    /// tell, which [`MAGIC_LEN`](Self::MAGIC_LEN) bytes never are.
    #[must_use]
    pub fn recognise(self, start: &[u8]) -> Option<bool> {
        let begins = |magic: &Magic| {
            let mut pairs = start.iter().zip(*magic);
            pairs.all(|(byte, (mask, value))| byte & mask == *value)
        };
        let possible = self.magics().iter().copied().filter(begins);
        possible
            .map(|magic| start.len() >= magic.len())
            .max()
            .map_or(Some(false), |whole| whole.then_some(true))
    }

    fn magics(self) -> &'static [Magic] {
        const ZSTD: Magic = &[byte(0x28), byte(0xB5), byte(0x2F), byte(0xFD)];
        // RFC 8878, 3.1.2: 0x184D2A50 to 0x184D2A5F, little-endian. pzstd and seekable files
        // begin with one.
        const SKIPPABLE: Magic = &[(0xF0, 0x50), byte(0x2A), byte(0x4D), byte(0x18)];
        // RFC 1952, 2.3.1; deflate (8) is the only method that was ever given a number.
        const GZIP: Magic = &[byte(0x1F), byte(0x8B), byte(8)];
        match self {
            Self::Zstd => &[ZSTD, SKIPPABLE],
            Self::Gzip => &[GZIP],
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_a_name_asks_for_a_codec() {
        assert_eq!(Codec::of_name("a/b.json.zst"), Some(Codec::Zstd));
        assert_eq!(Codec::of_name("s3://b/k.tar.gz"), Some(Codec::Gzip));
        assert_eq!(Codec::of_name("a.ZST"), Some(Codec::Zstd));
        assert_eq!(Codec::of_name("a.zst.Gz"), Some(Codec::Gzip));
        for name in ["a.zst/b", "zst", "gz", "a.gz ", "a.tgz", "a.\u{17f}zt", ""] {
            assert_eq!(Codec::of_name(name), None, "{name}");
        }
    }

    #[test]
    fn an_encoding_is_a_list_of_codecs() {
        assert_eq!(Codec::of_encoding("").unwrap(), []);
        assert_eq!(Codec::of_encoding("identity").unwrap(), []);
        assert_eq!(Codec::of_encoding(" X-GZip ").unwrap(), [Codec::Gzip]);
        let both = Codec::of_encoding("zstd,gzip").unwrap();
        assert_eq!(both, [Codec::Zstd, Codec::Gzip]);
        let error = Codec::of_encoding("gzip, br").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("\"br\""), "{error}");
    }

    #[test]
    fn the_default_level_is_one_of_the_levels_and_others_are_named_with_their_bounds() {
        for codec in [Codec::Zstd, Codec::Gzip] {
            let levels = codec.levels();
            for level in [codec.default_level(), *levels.start(), *levels.end()] {
                codec.check_level(level).unwrap();
            }
            for level in [levels.start() - 1, levels.end() + 1] {
                let text = codec.check_level(level).unwrap_err().to_string();
                assert!(text.contains(&format!("is {level}: expected")), "{text}");
                assert!(text.contains(&format!("{}", levels.end())), "{text}");
            }
        }
    }

    #[test]
    fn magic_is_recognised_as_soon_as_the_bytes_tell() {
        let zstd = Codec::Zstd;
        assert_eq!(zstd.recognise(b""), None);
        assert_eq!(zstd.recognise(b"\x28\xB5\x2F"), None);
        assert_eq!(zstd.recognise(b"\x28\xB5\x2F\xFD"), Some(true));
        assert_eq!(zstd.recognise(b"\x28\xB5\x2F\xFC"), Some(false));
        assert_eq!(zstd.recognise(b"\x5C\x2A\x4D"), None);
        assert_eq!(zstd.recognise(b"\x5C\x2A\x4D\x18more"), Some(true));
        assert_eq!(zstd.recognise(b"\x28\x2A"), Some(false));
        assert_eq!(zstd.recognise(b"x"), Some(false));
        assert_eq!(Codec::Gzip.recognise(b"\x1F\x8B"), None);
        assert!(Codec::Gzip.is_magic(b"\x1F\x8B\x08"));
        assert!(!Codec::Gzip.is_magic(b"\x1F\x8B"));
        assert!(!Codec::Gzip.is_magic(b"\x1F\x8B\x07"));
    }
}
