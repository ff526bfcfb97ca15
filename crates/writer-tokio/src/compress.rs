//! Compression of what is written, where the options or the object's name ask for it.

#[cfg(feature = "compression")]
mod compressor;
#[cfg(feature = "compression")]
mod encoder;
#[cfg(feature = "compression")]
mod lookahead;
#[cfg(feature = "compression")]
mod threaded;
#[cfg(feature = "compression")]
mod workspace;
#[cfg(feature = "compression")]
mod writer;

use writer_core::{Codec, ObjectWriter, Result, WriterOptions};

use crate::MemoryBudget;

#[cfg(feature = "compression")]
pub(crate) use workspace::Space;

/// Makes a writer with `open`, and wraps it in compression if `options` ask for it, or `uri` does
/// by its ending.
///
/// Without a codec ([`WriterOptions::codec_for`]), the result is what `open` makes.
///
/// With [`codec`](WriterOptions::codec), everything is compressed, and the inner writer is opened
/// with its name as [`content_encoding`](WriterOptions::content_encoding).
///
/// With a name that asks for it, the result is a writer that looks at the first bytes, and holds
/// back at most the first three until it can tell:
///
/// - if they are in the codec's format already, everything is passed on as it is, uncopied, to a
///   writer that was opened with `options`;
/// - else everything is compressed.
///
/// What is compressed is stored by a writer that was opened with `options` less
/// [`expected_size`](WriterOptions::expected_size): that is the size of what the producer
/// writes, and is checked against it here.
///
/// `bytes_written` counts what the producer wrote, and so does the receipt's
/// [`size_written`](writer_core::ObjectMetadata::size_written); its size and its checksum are
/// those of what was stored. What is stored holds no time and no name: Zstandard makes equal
/// objects of equal bytes (and equal options, and `expected_size`, which its frame records);
/// gzip's compressed form may vary with how the bytes were cut.
///
/// # When the inner writer is opened
///
/// At once, so that `open`'s errors are this call's, unless the name decides and `expected_size`
/// is said: then its options depend on the first bytes, and `open` runs when they are known, in
/// the first `write_*` or in `finish`, which then reports its error. What can be checked before
/// (the URI, a size that can't fit), the caller checks before it calls this.
///
/// # Memory
///
/// Input is compressed from where it lies, and output goes straight into the inner writer's
/// pages, at most one of which is held. Beside the budget, each writer that compresses has the
/// codec's own state, if that is at most 4 MiB: 3.2 MiB for Zstandard's level 3 (less where
/// `expected_size` is below 2 MiB), 0.3 MiB for gzip; and a buffer of 256 KiB if it reads file
/// ranges, which is done off the runtime's threads. State that takes more (from level 4 on, or
/// with threads) is charged to `budget` as a whole, of which all codecs together get half: a
/// writer waits until others have ended. What does not fit that half by itself is refused at once.
///
/// Windows of Zstandard are 8 MiB at most, which is what readers of a Content-Encoding must take
/// (RFC 9659).
///
/// # The processor
///
/// Compression runs on the task that writes, which gives way to the runtime's other tasks after
/// each 128 KiB of input (gzip: 32 KiB): about a millisecond of work at default levels. So as many
/// objects are compressed at once as the runtime has threads, and no borrowed chunk has to be
/// copied for another thread.
///
/// With [`compression_threads`](WriterOptions::compression_threads), Zstandard's own threads do
/// it, each 1 MiB at a time (more from level 16 on). Input is copied once for them.
///
/// # Errors
///
/// [`InvalidInput`](writer_core::ErrorKind::InvalidInput) for an option out of bounds;
/// [`LimitExceeded`](writer_core::ErrorKind::LimitExceeded) for a level or threads that take more
/// than half of `budget`; what `open` returns;
/// [`Unsupported`](writer_core::ErrorKind::Unsupported) if compression is asked for and this build
/// has not the feature `compression`.
pub fn open_writer(
    uri: &str,
    options: WriterOptions,
    budget: &MemoryBudget,
    open: impl FnOnce(WriterOptions) -> Result<Box<dyn ObjectWriter>> + Send + 'static,
) -> Result<Box<dyn ObjectWriter>> {
    options.validate()?;
    match options.codec_for(uri) {
        Some(codec) => compressing(codec, uri, options, budget, open),
        None => open(options),
    }
}

#[cfg(feature = "compression")]
fn compressing(
    codec: Codec,
    uri: &str,
    options: WriterOptions,
    budget: &MemoryBudget,
    open: impl FnOnce(WriterOptions) -> Result<Box<dyn ObjectWriter>> + Send + 'static,
) -> Result<Box<dyn ObjectWriter>> {
    let made = encoder::Settings::new(codec, &options).and_then(|settings| {
        let wanted = compressor::wanted(&settings, budget)?;
        writer::CompressingWriter::new(settings, wanted, uri, options, open)
    });
    match made {
        Ok(writer) => Ok(Box::new(writer)),
        Err(error) => Err(error.with_uri(uri)),
    }
}

#[cfg(not(feature = "compression"))]
fn compressing(
    codec: Codec,
    uri: &str,
    options: WriterOptions,
    _budget: &MemoryBudget,
    _open: impl FnOnce(WriterOptions) -> Result<Box<dyn ObjectWriter>> + Send + 'static,
) -> Result<Box<dyn ObjectWriter>> {
    use writer_core::{Error, ErrorKind};
    let text = match options.codec {
        Some(_) => format!(
            "{codec} compression was asked for, which this build does not have: build with the \
             feature `compression`"
        ),
        None => format!(
            "the name asks for {codec} compression, which this build does not have: store under \
             another name, disable compression (`enable_compression = false`), or build with the \
             feature `compression`"
        ),
    };
    Err(Error::new(ErrorKind::Unsupported, text).with_uri(uri))
}

#[cfg(all(test, not(feature = "compression")))]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_compression_refuses_what_needs_it_and_nothing_else() {
        use writer_core::{Error, ErrorKind};

        let budget = MemoryBudget::new(1 << 20).unwrap();
        // `open` is reached exactly if nothing stands in its way.
        let kind = |name: &str, options: WriterOptions| {
            let open = |_| Err(Error::new(ErrorKind::NotFound, "opened"));
            let result = open_writer(name, options, &budget, open);
            result.err().map(|error| (error.kind(), error.to_string()))
        };
        for name in ["a.zst", "a.gz"] {
            let (kind_of, text) = kind(name, WriterOptions::default()).unwrap();
            assert_eq!(kind_of, ErrorKind::Unsupported);
            assert!(text.contains(name) && text.contains("enable_compression = false"));
        }
        let explicit = WriterOptions::default().with_codec(Codec::Gzip);
        let (kind_of, text) = kind("a", explicit).unwrap();
        assert_eq!(kind_of, ErrorKind::Unsupported);
        assert!(text.contains("gzip") && text.contains("feature"), "{text}");
        let off = WriterOptions::default().with_compression(false);
        for (name, options) in [("a.gz", off), ("a", WriterOptions::default())] {
            assert_eq!(kind(name, options).unwrap().0, ErrorKind::NotFound);
        }
    }
}
