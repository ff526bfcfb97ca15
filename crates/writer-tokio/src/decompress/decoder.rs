//! The decoders, behind one push-style interface: a slice in, a slice out, no I/O.

use std::io;

use flate2::{Decompress, FlushDecompress, Status};
use writer_core::{Codec, Error, ErrorKind, Result};
use zstd::stream::raw::{self, DParameter, Operation as _};

/// Base-2 logarithm of gzip's window, the largest that the format knows.
const GZIP_WINDOW: u8 = 15;

/// What can be asked of the library on every machine.
const WINDOW_LOGS: std::ops::RangeInclusive<u32> = 10..=31;

/// Decompresses one object.
pub(super) struct Decoder {
    engine: Engine,
    /// All that was taken is whole: a frame or a member has ended, and no other has begun.
    is_whole: bool,
}

enum Engine {
    Zstd(raw::Decoder<'static>, u32),
    Gzip(Decompress),
}

/// What one step did, in bytes.
pub(super) struct Step {
    pub(super) consumed: usize,
    pub(super) produced: usize,
}

impl Decoder {
    /// # Errors
    ///
    /// `InvalidInput` for a `window_log` out of bounds.
    pub(super) fn new(codec: Codec, window_log: u32) -> Result<Self> {
        if !WINDOW_LOGS.contains(&window_log) {
            let text = format!("window_log is {window_log}: expected 10 to 31");
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        let engine = match codec {
            Codec::Gzip => Engine::Gzip(Decompress::new_gzip(GZIP_WINDOW)),
            _ => Engine::Zstd(zstd(window_log)?, window_log),
        };
        Ok(Self {
            engine,
            is_whole: false,
        })
    }

    /// True if what was taken so far may be the end.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Decompresses of `input` what fits `output`. Does nothing only if it needs more input.
    ///
    /// # Errors
    ///
    /// If `input` does not go on as the format has it, or needs too large a window.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step> {
        if self.is_whole && input.is_empty() {
            return Ok(Step {
                consumed: 0,
                produced: 0,
            });
        }
        match &mut self.engine {
            Engine::Zstd(decoder, window_log) => {
                let status = decoder.run_on_buffers(input, output);
                let status = status.map_err(|error| zstd_failed(error, *window_log))?;
                self.is_whole = status.remaining == 0;
                Ok(Step {
                    consumed: status.bytes_read,
                    produced: status.bytes_written,
                })
            }
            Engine::Gzip(decoder) => {
                if self.is_whole {
                    *decoder = Decompress::new_gzip(GZIP_WINDOW);
                    self.is_whole = false;
                }
                let (total_in, total_out) = (decoder.total_in(), decoder.total_out());
                let status = decoder.decompress(input, output, FlushDecompress::None);
                let status = status.map_err(|error| broken(Codec::Gzip, error.into()))?;
                self.is_whole = status == Status::StreamEnd;
                // Neither is more than the slice it is for, so both fit.
                Ok(Step {
                    consumed: (decoder.total_in() - total_in) as usize,
                    produced: (decoder.total_out() - total_out) as usize,
                })
            }
        }
    }

    /// Why the end of the input came too early.
    pub(super) fn truncated(&self) -> Error {
        let codec = match self.engine {
            Engine::Zstd(..) => Codec::Zstd,
            Engine::Gzip(_) => Codec::Gzip,
        };
        let text = format!("its {codec} data end too early: it is cut off, or not {codec}");
        Error::new(ErrorKind::Other, text)
    }
}

fn zstd(window_log: u32) -> Result<raw::Decoder<'static>> {
    let set_up = || {
        let mut decoder = raw::Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(window_log))?;
        Ok(decoder)
    };
    set_up().map_err(|error: io::Error| {
        Error::new(ErrorKind::Other, "cannot set up Zstandard").with_source(error)
    })
}

fn zstd_failed(error: io::Error, window_log: u32) -> Error {
    // The bindings have no code for it, but the library's text.
    if error.to_string().contains("too much memory") {
        let most = 1_u64 << window_log;
        let text = format!("its zstd window is larger than {most} bytes, the most that is taken");
        return Error::new(ErrorKind::LimitExceeded, text).with_source(error);
    }
    broken(Codec::Zstd, error)
}

fn broken(codec: Codec, error: io::Error) -> Error {
    let text = format!("its bytes are not all {codec}: {error}");
    Error::new(ErrorKind::Other, text).with_source(error)
}
