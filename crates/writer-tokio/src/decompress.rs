//! Reading what was compressed.

#[cfg(feature = "compression")]
mod decoder;
#[cfg(feature = "compression")]
mod reader;

use writer_core::{Codec, ObjectReader, Result};

/// Base-2 logarithm of the largest window that [`decompress`] takes, in bytes: 128 MiB, as the
/// program `zstd` does, too.
pub const ZSTD_WINDOW_LOG: u32 = 27;

/// The bytes that `reader` gives, decompressed as they come.
///
/// The result's [`metadata`](ObjectReader::metadata) stay those of the stored object. Zstandard
/// may be of several frames, gzip of several members: all are decoded, one after another. What an
/// object is encoded with, [`Codec::of_encoding`] tells of its Content-Encoding:
///
/// ```
/// use writer_core::{ByteRange, Codec, ObjectReader, ObjectStore, Result};
///
/// async fn open(store: &dyn ObjectStore, uri: &str) -> Result<Box<dyn ObjectReader>> {
///     let mut reader = store.get(uri, ByteRange::Full).await?;
///     let encoding = reader.metadata().content_encoding.clone();
///     for codec in Codec::of_encoding(&encoding.unwrap_or_default())?.into_iter().rev() {
///         reader = writer_tokio::decompress(reader, codec)?;
///     }
///     Ok(reader)
/// }
/// ```
///
/// # Memory
///
/// One chunk of `reader` and one of up to 256 KiB that is made of it, and the decoder's window:
/// what a Zstandard frame says it needs, up to 2 to the power of [`ZSTD_WINDOW_LOG`] bytes, or
/// 32 KiB for gzip. Nothing grows with how much a small object may decode to; who counts on a
/// limit counts what it reads.
///
/// # Errors
///
/// [`Unsupported`](writer_core::ErrorKind::Unsupported) if this build has not the feature
/// `compression`. Reading fails with those of `reader`; with
/// [`LimitExceeded`](writer_core::ErrorKind::LimitExceeded) for a window that is larger, naming
/// the limit; and for bytes that are not in the format, end before it does, or go on after it. A
/// reader that failed goes on failing.
pub fn decompress(reader: Box<dyn ObjectReader>, codec: Codec) -> Result<Box<dyn ObjectReader>> {
    decompress_within(reader, codec, ZSTD_WINDOW_LOG)
}

/// As [`decompress`], with windows of Zstandard of at most 2 to the power of `window_log` bytes,
/// 10 to 31.
///
/// # Errors
///
/// As [`decompress`], and [`InvalidInput`](writer_core::ErrorKind::InvalidInput) for a
/// `window_log` out of bounds.
pub fn decompress_within(
    reader: Box<dyn ObjectReader>,
    codec: Codec,
    window_log: u32,
) -> Result<Box<dyn ObjectReader>> {
    decompressing(reader, codec, window_log)
}

#[cfg(feature = "compression")]
fn decompressing(
    reader: Box<dyn ObjectReader>,
    codec: Codec,
    window_log: u32,
) -> Result<Box<dyn ObjectReader>> {
    let decoder = decoder::Decoder::new(codec, window_log)?;
    Ok(Box::new(reader::DecompressingReader::new(reader, decoder)))
}

#[cfg(not(feature = "compression"))]
fn decompressing(
    reader: Box<dyn ObjectReader>,
    codec: Codec,
    _window_log: u32,
) -> Result<Box<dyn ObjectReader>> {
    use writer_core::{Error, ErrorKind};

    let text = format!(
        "it is compressed with {codec}, which this build can't undo: build with the feature \
         `compression`"
    );
    let uri = &reader.metadata().uri;
    Err(Error::new(ErrorKind::Unsupported, text).with_uri(uri))
}
