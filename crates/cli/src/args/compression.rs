//! Options about compression, on the way there and back.

use clap::Args as ClapArgs;
use writer_core::{Codec, WriterOptions};

/// What is compressed on its way, and how.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Compression")]
pub(crate) struct CompressionArgs {
    /// Compress in this format, whatever the object's name
    ///
    /// Its Content-Encoding says so, which `cat` and browsers undo. Without this, names that end
    /// in .zst or .gz are compressed, unless the bytes already are. With `none`, nothing is.
    #[arg(long, value_name = "FORMAT")]
    compress: Option<Format>,
    /// How hard to compress: -7 to 22 for zstd [default: 3], 0 to 9 for gzip [default: 6]
    ///
    /// From zstd 4 on, it takes memory of --memory, up to half of it.
    #[arg(
        long,
        value_name = "LEVEL",
        allow_negative_numbers = true,
        conflicts_with = "no_compression"
    )]
    compress_level: Option<i32>,
    /// Threads that compress one object, for zstd only [default: the one that reads]
    ///
    /// They take memory of --memory: two 19 MiB, four 28 MiB, more with the level.
    #[arg(long, value_name = "THREADS", conflicts_with = "no_compression")]
    compress_threads: Option<u32>,
    /// Say that the bytes are encoded so already, and store them as they are
    #[arg(
        long,
        value_name = "ENCODING",
        conflicts_with = "compress",
        hide_short_help = true
    )]
    content_encoding: Option<String>,
    /// The same as --compress=none
    #[arg(long, conflicts_with = "compress", hide_short_help = true)]
    no_compression: bool,
}

/// What to compress with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Zstd,
    Gzip,
    None,
}

impl CompressionArgs {
    /// Asks the same of `options`.
    pub(crate) fn apply(&self, options: &mut WriterOptions) {
        options.enable_compression = !self.no_compression && self.compress != Some(Format::None);
        options.codec = match self.compress {
            Some(Format::Zstd) => Some(Codec::Zstd),
            Some(Format::Gzip) => Some(Codec::Gzip),
            Some(Format::None) | None => None,
        };
        options.compression_level = self.compress_level;
        options.compression_threads = self.compress_threads.unwrap_or_default();
        options.content_encoding.clone_from(&self.content_encoding);
    }
}

/// How what was compressed is read.
#[derive(Clone, Copy, Debug, Default, ClapArgs)]
pub(crate) struct DecodingArgs {
    /// Give the bytes as they are stored, without undoing their Content-Encoding
    #[arg(long, conflicts_with = "decompress")]
    pub(crate) raw: bool,
    /// Where nothing says how the object is encoded, go by its name: undo zstd for .zst, gzip for
    /// .gz
    #[arg(long, conflicts_with = "range")]
    pub(crate) decompress: bool,
}
