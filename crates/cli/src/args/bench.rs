//! The arguments of `bench`.

use std::time::Duration;

use clap::Args as ClapArgs;

use crate::values::{parse_age, parse_size};

/// Of options that take a list, every combination is measured.
#[derive(Debug, ClapArgs)]
pub(crate) struct BenchArgs {
    /// Where objects may be written, under names that nothing has yet: s3://BUCKET/PREFIX, or a
    /// folder
    pub(crate) prefix: String,
    /// Bytes of each object; several, with commas between them, are measured one after another
    #[arg(
        long,
        value_name = "SIZE,…",
        value_delimiter = ',',
        default_value = "64MiB",
        value_parser = parse_size
    )]
    pub(crate) size: Vec<u64>,
    /// How many objects are written for each line of the table
    #[arg(
        long,
        value_name = "N",
        default_value_t = 16,
        value_parser = clap::value_parser!(u64).range(1..=10_000_000),
        conflicts_with = "duration"
    )]
    pub(crate) objects: u64,
    /// Begin objects for so long, instead of a number of them: 90s, 5m
    #[arg(long, value_name = "TIME", value_parser = parse_age)]
    pub(crate) duration: Option<Duration>,
    /// Size of the first parts, from 5MiB on S3 [env: S3DLIO_PUT_PART_SIZE, in bytes]
    /// [default: 8MiB]
    #[arg(
        long,
        value_name = "SIZE,…",
        value_delimiter = ',',
        value_parser = parse_size
    )]
    pub(crate) part_size: Vec<u64>,
    /// Most parts in flight, of all objects together, 1 to 1024 [env: S3DLIO_PUT_INFLIGHT]
    /// [default: 64]
    #[arg(
        long,
        value_name = "PARTS,…",
        value_delimiter = ',',
        value_parser = clap::value_parser!(u64).range(1..=1024)
    )]
    pub(crate) max_concurrency: Vec<u64>,
    /// Most memory for bytes on their way, from 1MiB [env: S3DLIO_PUT_MEMORY, in bytes]
    /// [default: 128MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory: Option<u64>,
    /// Do not check what was stored against a checksum of what was sent
    #[arg(long)]
    pub(crate) no_checksum: bool,
    /// Leave the objects where they are
    #[arg(long)]
    pub(crate) keep: bool,
    /// Print comma-separated values: sizes in bytes, times in seconds
    #[arg(long)]
    pub(crate) csv: bool,
    #[cfg(feature = "s3")]
    #[command(flatten)]
    pub(crate) s3: super::S3WriteArgs,
}

/// What the help ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  s3-cli bench s3://bucket/scratch/
  s3-cli bench --size 1GiB --objects 4 --max-concurrency 8,16,64 s3://bucket/scratch/
  s3-cli bench --size 16KiB --duration 10s --csv /mnt/disk > small.csv

Objects are written as `put` writes them: as many at once as --max-concurrency has room for all of
their parts. One more, of a part at most, goes ahead and does not count. Each object differs from
all others, and no compressor can shrink it. All are removed when their line is measured, after
Ctrl-C and failures too. Times of objects are from their begin until they are stored for good; CPU
time and memory are those of this program, with 16 MiB of bytes to send in it. Times of parts are
from their first request until they are stored, on S3 only; retries are of all requests.";
