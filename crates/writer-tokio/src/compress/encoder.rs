//! The codecs, behind one push-style interface: a slice in, a slice out, no I/O.

use std::io;

use flate2::{Compress, CompressError, Compression, FlushCompress, Status};
use writer_core::{Codec, Error, ErrorKind, Result, WriterOptions};
use zstd::stream::raw::{self, CParameter, Operation, OutBuffer};

/// Base-2 logarithm of gzip's window, the largest that the format knows.
const GZIP_WINDOW: u8 = 15;

/// Base-2 logarithm of the largest window of Zstandard that is made, 8 MiB: what takes
/// `Content-Encoding: zstd` need not have more (RFC 9659, 3). Levels from 20 on would take more.
const ZSTD_WINDOW_MAX: u32 = 23;

/// How an object is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) codec: Codec,
    pub(super) level: i32,
    /// Threads that compress; 0 for the task that writes.
    pub(super) threads: u32,
    /// Bytes of the object, if that is known.
    pub(super) size: Option<u64>,
}

impl Settings {
    /// What `options` ask of `codec`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a level that it does not have.
    pub(super) fn new(codec: Codec, options: &WriterOptions) -> Result<Self> {
        let level = options.compression_level;
        let level = level.unwrap_or(codec.default_level());
        codec.check_level(level)?;
        let threads = match codec {
            Codec::Zstd if options.compression_threads > 1 => options.compression_threads,
            _ => 0,
        };
        Ok(Self {
            codec,
            level,
            threads,
            size: options.expected_size,
        })
    }

    /// The most memory in bytes that compressing takes, but for buffers of this crate. Tables and
    /// windows are as Zstandard 1.5 makes them (`ZSTD_estimateCStreamSize`); a test measures it.
    pub(super) fn memory(&self) -> u64 {
        if self.codec != Codec::Zstd {
            return 320 << 10;
        }
        let (tables, window) = self.tables();
        if self.threads == 0 {
            return tables + window;
        }
        // zstdmt: a buffer for the input of all jobs and three more, and one of a job's size for
        // each result, of which up to twice as many as threads wait to be taken, and three.
        let threads = u64::from(self.threads);
        threads * tables + (3 * threads + 6) * (self.job() + (8 << 10))
    }

    /// Bytes of tables and the like, and of the window with its buffers.
    fn tables(&self) -> (u64, u64) {
        let (kib, window): (u64, u64) = match self.level {
            ..0 => (666, 19),
            // Level 0 is level 3.
            1 => (698, 19),
            2 => (890, 20),
            0 | 3 => (1_402, 21),
            4 => (2_682, 21),
            5 | 6 => (3_706, 21),
            7 | 8 => (6_778, 21),
            9 => (12_922, 22),
            10 | 11 => (25_210, 22),
            12..=14 => (49_786, 22),
            15 | 16 => (66_170, 22),
            17 | 18 => (62_074, 23),
            19 => (83_329, 23),
            20 => (165_249, 23),
            21 => (329_089, 23),
            _ => (656_769, 23),
        };
        let buffers = (1 << window) + (256 << 10);
        // For an object that is smaller than the window, all of it is made smaller.
        let Some(size) = self.size.filter(|size| *size < 1 << window) else {
            return (kib << 10, buffers);
        };
        let size = size.next_power_of_two().max(32 << 10);
        let most = 24 * size + (2 << 20);
        ((kib << 10).min(most), buffers.min(size + (256 << 10)))
    }

    /// Bytes that one thread compresses at a time: 1 MiB, or as much as it looks back into those
    /// before it, which grows with the level.
    fn job(&self) -> u64 {
        match self.level {
            ..=15 => 1 << 20,
            16 => 2 << 20,
            17 | 18 => 4 << 20,
            _ => 8 << 20,
        }
    }
}

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
    /// An encoder at the beginning of an object.
    ///
    /// # Errors
    ///
    /// If the library refuses.
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        match settings.codec {
            // The header that zlib makes has no name and no time: equal bytes, equal object.
            Codec::Gzip => Ok(Self::Gzip(Compress::new_gzip(
                Compression::new(settings.level.unsigned_abs()),
                GZIP_WINDOW,
            ))),
            _ => zstd(settings).map(Self::Zstd).map_err(|error| {
                Error::new(ErrorKind::Other, "cannot set up Zstandard").with_source(error)
            }),
        }
    }

    /// How many bytes of input may be compressed before other tasks get a turn: measured on
    /// text, about 1 ms of work for either codec at its default level. Zstandard works in blocks
    /// of 128 KiB, so less would not make its turns shorter.
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

fn zstd(settings: &Settings) -> io::Result<raw::Encoder<'static>> {
    let mut encoder = raw::Encoder::new(settings.level)?;
    set_up(&mut encoder, settings)?;
    Ok(encoder)
}

fn set_up(encoder: &mut raw::Encoder<'_>, settings: &Settings) -> io::Result<()> {
    encoder.set_parameter(CParameter::CompressionLevel(settings.level))?;
    encoder.set_parameter(CParameter::ChecksumFlag(true))?;
    if settings.level >= 20 {
        encoder.set_parameter(CParameter::WindowLog(ZSTD_WINDOW_MAX))?;
    }
    if settings.threads > 0 {
        encoder.set_parameter(CParameter::NbWorkers(settings.threads))?;
        let job = u32::try_from(settings.job()).unwrap_or(u32::MAX);
        encoder.set_parameter(CParameter::JobSize(job))?;
    }
    // Goes into the frame's header, and keeps the tables of a small object small.
    encoder.set_pledged_src_size(settings.size)
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use zstd::zstd_safe::{CCtx, InBuffer};

    fn settings(level: i32, threads: u32, size: Option<u64>) -> Settings {
        Settings {
            codec: Codec::Zstd,
            level,
            threads,
            size,
        }
    }

    /// What Zstandard holds at most while it compresses `len` bytes.
    fn measured(settings: &Settings, len: usize) -> u64 {
        let line = |n: usize| format!("{n} GET /item/{} {}\n", n * 7_919 % 1_009, n * 31 % 257);
        let mut text: Vec<u8> = (0..len / 16).flat_map(|n| line(n).into_bytes()).collect();
        text.truncate(len);
        let mut context = CCtx::create();
        let mut peak = 0;
        let mut output = vec![0; 64 << 10];
        let mut rest = &text[..];
        set_up(&mut raw::Encoder::with_context(&mut context), settings).unwrap();
        while !rest.is_empty() {
            let mut input = InBuffer::around(&rest[..rest.len().min(256 << 10)]);
            let mut output = OutBuffer::around(&mut output[..]);
            context.compress_stream(&mut output, &mut input).unwrap();
            rest = &rest[input.pos()..];
            peak = peak.max(context.sizeof());
        }
        peak as u64
    }

    #[test]
    fn no_level_takes_more_than_is_charged_for_it() {
        for level in [-7, -1, 1, 2, 3, 4, 6, 8, 9, 11, 12, 15] {
            let settings = settings(level, 0, None);
            let (measured, most) = (measured(&settings, 1 << 20), settings.memory());
            assert!(measured <= most, "level {level}: {measured} > {most}");
            assert!(measured * 3 > most, "level {level}: {measured} of {most}");
        }
    }

    #[test]
    fn no_thread_takes_more_than_is_charged_for_it() {
        for (level, threads) in [(1, 2), (3, 2), (3, 4), (9, 2)] {
            let settings = settings(level, threads, None);
            let (measured, most) = (measured(&settings, 12 << 20), settings.memory());
            assert!(measured <= most, "level {level}: {measured} > {most}");
            assert!(measured * 4 > most, "level {level}: {measured} of {most}");
        }
    }

    #[test]
    fn a_small_object_is_charged_less() {
        for (level, len) in [(3, 1_000), (9, 200_000), (15, 50_000), (19, 1 << 20)] {
            let settings = settings(level, 0, Some(len));
            let (measured, most) = (
                measured(&settings, usize::try_from(len).unwrap()),
                settings.memory(),
            );
            assert!(measured <= most, "level {level}: {measured} > {most}");
            assert!(most < self::settings(level, 0, None).memory());
        }
    }
}
