//! The codecs, behind one push-style interface: a slice in, a slice out, no I/O.

use std::io;

use flate2::{Compress, CompressError, Compression, FlushCompress, Status};
use writer_core::{Error, ErrorKind, Result};
use zstd::stream::raw::{self, CParameter, Operation, OutBuffer};

use super::Codec;

/// The level that `zstd` has by default.
const ZSTD_LEVEL: i32 = 3;

/// The level that `gzip` has by default.
const GZIP_LEVEL: u32 = 6;

/// Base-2 logarithm of gzip's window, the largest that the format knows.
const GZIP_WINDOW: u8 = 15;

/// Compresses one object.
pub(super) enum Encoder {
    Zstd(raw::Encoder<'static>),
    Gzip(Compress),
}

/// What one step did, in bytes.
pub(super) struct Step {
    pub(super) consumed: usize,
    pub(super) produced: usize,
}

impl Encoder {
    /// An encoder at the beginning of an object, which has `size` bytes, if that is known.
    ///
    /// # Errors
    ///
    /// If the library refuses.
    pub(super) fn new(codec: Codec, size: Option<u64>) -> Result<Self> {
        match codec {
            Codec::Zstd => zstd(size).map(Self::Zstd).map_err(|error| {
                Error::new(ErrorKind::Other, "cannot set up Zstandard").with_source(error)
            }),
            // The header that zlib makes has no name and no time: equal bytes, equal object.
            Codec::Gzip => Ok(Self::Gzip(Compress::new_gzip(
                Compression::new(GZIP_LEVEL),
                GZIP_WINDOW,
            ))),
        }
    }

    /// How many bytes of input may be compressed before other tasks get a turn: measured on
    /// text, about 1 ms of work for either codec. Zstandard works in blocks of 128 KiB, so less
    /// would not make its turns shorter.
    pub(super) fn slice(&self) -> usize {
        match self {
            Self::Zstd(_) => 128 * 1024,
            Self::Gzip(_) => 32 * 1024,
        }
    }

    /// Compresses of `input` what fits `output` and the encoder's own buffers.
    ///
    /// # Errors
    ///
    /// If the library fails.
    pub(super) fn push(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step> {
        match self {
            Self::Zstd(encoder) => {
                let status = encoder.run_on_buffers(input, output).map_err(zstd_failed)?;
                Ok(Step {
                    consumed: status.bytes_read,
                    produced: status.bytes_written,
                })
            }
            Self::Gzip(encoder) => {
                let (step, _) = deflate(encoder, input, output, FlushCompress::None)?;
                Ok(step)
            }
        }
    }

    /// Ends the object, as far as `output` has room; returns the bytes written to it, and true
    /// when nothing is left.
    ///
    /// # Errors
    ///
    /// If the library fails.
    pub(super) fn end(&mut self, output: &mut [u8]) -> Result<(usize, bool)> {
        match self {
            Self::Zstd(encoder) => {
                let mut output = OutBuffer::around(output);
                let left = encoder.finish(&mut output, true).map_err(zstd_failed)?;
                Ok((output.pos(), left == 0))
            }
            Self::Gzip(encoder) => {
                let (step, status) = deflate(encoder, &[], output, FlushCompress::Finish)?;
                Ok((step.produced, status == Status::StreamEnd))
            }
        }
    }
}

fn zstd(size: Option<u64>) -> io::Result<raw::Encoder<'static>> {
    let mut encoder = raw::Encoder::new(ZSTD_LEVEL)?;
    encoder.set_parameter(CParameter::ChecksumFlag(true))?;
    // Goes into the frame's header, and keeps the tables of a small object small.
    encoder.set_pledged_src_size(size)?;
    Ok(encoder)
}

fn deflate(
    encoder: &mut Compress,
    input: &[u8],
    output: &mut [u8],
    flush: FlushCompress,
) -> Result<(Step, Status)> {
    let (total_in, total_out) = (encoder.total_in(), encoder.total_out());
    let status = encoder
        .compress(input, output, flush)
        .map_err(gzip_failed)?;
    // Neither is more than the slice it is for, so both fit.
    let step = Step {
        consumed: (encoder.total_in() - total_in) as usize,
        produced: (encoder.total_out() - total_out) as usize,
    };
    Ok((step, status))
}

fn zstd_failed(error: io::Error) -> Error {
    Error::new(ErrorKind::Other, "Zstandard compression failed").with_source(error)
}

fn gzip_failed(error: CompressError) -> Error {
    Error::new(ErrorKind::Other, "gzip compression failed").with_source(error)
}
