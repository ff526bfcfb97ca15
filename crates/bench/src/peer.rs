//! The arguments that all programs of the feature `peers` take.

use std::io;
use std::path::{Path, PathBuf};

use clap::Parser;
use tokio::fs::File;

use crate::S3Uri;

/// Stores one object with another client. Endpoint, region and credentials come from the AWS
/// environment variables
#[derive(Debug, Parser)]
pub struct PeerArgs {
    /// The file, or `-` for standard input
    pub source: PathBuf,
    /// The object: s3://bucket/key
    pub object: S3Uri,
    /// Bytes of a part, or a number with a unit in steps of 1024
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = parse_size)]
    pub part_size: usize,
    /// Most parts in flight
    #[arg(long, value_name = "PARTS", default_value_t = 64)]
    pub concurrency: usize,
}

impl PeerArgs {
    /// The file to store, `None` for standard input.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        (self.source.as_os_str() != "-").then_some(self.source.as_path())
    }

    /// The source, to be read from its beginning.
    ///
    /// # Errors
    ///
    /// If it can't be opened.
    pub async fn open(&self) -> io::Result<File> {
        File::open(self.path().unwrap_or(Path::new("/dev/stdin"))).await
    }
}

fn parse_size(text: &str) -> anyhow::Result<usize> {
    let size = parse_size::Config::new().with_binary().parse_size(text)?;
    Ok(usize::try_from(size)?)
}
