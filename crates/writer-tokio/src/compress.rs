//! Compression of what is written, where the object's name asks for it.

#[cfg(feature = "compression")]
mod compressor;
#[cfg(feature = "compression")]
mod encoder;
#[cfg(feature = "compression")]
mod lookahead;
#[cfg(feature = "compression")]
mod writer;

use writer_core::{Error, ErrorKind, ObjectWriter, Result, WriterOptions};

/// A format that an object's name can ask for.
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
    #[cfg(feature = "compression")]
    pub(crate) const MAGIC_LEN: usize = 4;

    /// The format that `name` asks for by its ending: `.zst` or `.gz`, in lower case only, because
    /// object names are case-sensitive and the tools that write these endings write them so.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        if name.ends_with(".zst") {
            Some(Self::Zstd)
        } else if name.ends_with(".gz") {
            Some(Self::Gzip)
        } else {
            None
        }
    }

    /// True if `bytes` begin with a magic number of this format: a Zstandard frame or skippable
    /// frame, a gzip member that is deflated.
    #[must_use]
    pub fn is_magic(self, bytes: &[u8]) -> bool {
        self.recognise(bytes) == Some(true)
    }

    /// Whether data that begin with `start` are in this format; `None` if `start` is too short to
    /// tell.
    fn recognise(self, start: &[u8]) -> Option<bool> {
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

/// Makes a writer with `open`, and wraps it in compression if `uri`, by its ending, and `options`
/// ask for it.
///
/// Without [`enable_compression`](WriterOptions::enable_compression), or with an ending that asks
/// for no [`Codec`], the result is what `open` makes. Otherwise it is a writer that looks at the
/// first bytes, and holds back at most the first three until it can tell:
///
/// - if they are in the codec's format already, everything is passed on as it is, uncopied, to a
///   writer that was opened with `options`;
/// - else everything is compressed, into pages that the inner writer lends, and stored by a
///   writer that was opened with `options` less
///   [`expected_size`](WriterOptions::expected_size): that is the size of what the producer
///   writes, and is checked against it here.
///
/// `bytes_written` counts what the producer wrote; the receipt tells what was stored. What is
/// stored holds no time and no name: Zstandard makes equal objects of equal bytes (and equal
/// `expected_size`, which its frame records); gzip's compressed form may vary with how the bytes
/// were cut.
///
/// # When the inner writer is opened
///
/// At once, so that `open`'s errors are this call's, unless `expected_size` is said: then its
/// options depend on the first bytes, and `open` runs when they are known, in the first
/// `write_*` or in `finish`, which then reports its error. What can be checked before (the URI,
/// a size that can't fit), the caller checks before it calls this.
///
/// # Memory
///
/// Input is compressed from where it lies, and output goes straight into the inner writer's
/// pages, at most one of which is held. Beside the budget, each writer that compresses has the
/// codec's own state: 3.2 MiB for Zstandard (less where `expected_size` is below 2 MiB), 0.3 MiB
/// for gzip; and a buffer of 256 KiB if it reads file ranges, which is done off the runtime's
/// threads.
///
/// # The processor
///
/// Compression runs on the task that writes, which gives way to the runtime's other tasks after
/// each 128 KiB of input (gzip: 32 KiB): about a millisecond of work. So as many objects are
/// compressed at once as the runtime has threads, and no borrowed chunk has to be copied for
/// another thread. Zstandard has no worker threads of its own: two of them would take 45 MiB for
/// each object.
///
/// # Errors
///
/// [`InvalidInput`](writer_core::ErrorKind::InvalidInput) for an option out of bounds; what `open`
/// returns; [`Unsupported`](writer_core::ErrorKind::Unsupported) if compression is asked for and
/// this build has not the feature `compression`.
pub fn open_writer(
    uri: &str,
    options: WriterOptions,
    open: impl FnOnce(WriterOptions) -> Result<Box<dyn ObjectWriter>> + Send + 'static,
) -> Result<Box<dyn ObjectWriter>> {
    options.validate()?;
    match Codec::of_name(uri).filter(|_| options.enable_compression) {
        Some(_) if options.expected_checksum.is_some() => Err(Error::new(
            ErrorKind::InvalidInput,
            "expected_checksum is that of what is stored, and this name asks for compression: \
             switch compression off, or choose another name",
        )
        .with_uri(uri)),
        Some(codec) => compressing(codec, uri, options, open),
        None => open(options),
    }
}

#[cfg(feature = "compression")]
fn compressing(
    codec: Codec,
    uri: &str,
    options: WriterOptions,
    open: impl FnOnce(WriterOptions) -> Result<Box<dyn ObjectWriter>> + Send + 'static,
) -> Result<Box<dyn ObjectWriter>> {
    let writer = writer::CompressingWriter::new(codec, uri, options, open)?;
    Ok(Box::new(writer))
}

#[cfg(not(feature = "compression"))]
fn compressing(
    codec: Codec,
    uri: &str,
    _options: WriterOptions,
    _open: impl FnOnce(WriterOptions) -> Result<Box<dyn ObjectWriter>> + Send + 'static,
) -> Result<Box<dyn ObjectWriter>> {
    use writer_core::{Error, ErrorKind};
    Err(Error::new(
        ErrorKind::Unsupported,
        format!(
            "the name asks for {codec:?} compression, which this build does not have: store under \
             another name, disable compression (`enable_compression = false`), or build with the \
             feature `compression`"
        ),
    )
    .with_uri(uri))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_a_name_asks_for_a_codec() {
        assert_eq!(Codec::of_name("a/b.json.zst"), Some(Codec::Zstd));
        assert_eq!(Codec::of_name("s3://b/k.tar.gz"), Some(Codec::Gzip));
        for name in [
            "a.zst/b", "zst", "gz", "a.GZ", "a.Zst", "a.gz ", "a.tgz", "",
        ] {
            assert_eq!(Codec::of_name(name), None, "{name}");
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

    #[cfg(not(feature = "compression"))]
    #[test]
    fn a_build_without_compression_refuses_what_needs_it_and_nothing_else() {
        use writer_core::{Error, ErrorKind};

        // `open` is reached exactly if nothing stands in its way.
        let kind = |name: &str, options: WriterOptions| {
            let open = |_| Err(Error::new(ErrorKind::NotFound, "opened"));
            let result = open_writer(name, options, open);
            result.err().map(|error| (error.kind(), error.to_string()))
        };
        for name in ["a.zst", "a.gz"] {
            let (kind, text) = kind(name, WriterOptions::default()).unwrap();
            assert_eq!(kind, ErrorKind::Unsupported);
            assert!(text.contains(name) && text.contains("enable_compression = false"));
        }
        let off = WriterOptions::default().with_compression(false);
        for (name, options) in [("a.gz", off), ("a", WriterOptions::default())] {
            assert_eq!(kind(name, options).unwrap().0, ErrorKind::NotFound);
        }
    }
}
