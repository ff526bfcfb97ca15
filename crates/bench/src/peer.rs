//! The arguments that all programs of the feature `peers` take.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::Parser;
use tokio::fs::File;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::S3Uri;

/// Stores one object with another client. Endpoint, region and credentials come from the AWS
/// environment variables
#[derive(Debug, Parser)]
pub struct PeerArgs {
    /// The file, `-` for standard input, or a folder of small files
    pub source: PathBuf,
    /// The object: s3://bucket/key. Before the names of a folder's files, this is put as it is
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

    /// If the source is a folder, puts each file in it with `put`, which is given its path and the
    /// key of its object, as many at once as there may be parts in flight. Says if it is one.
    ///
    /// # Errors
    ///
    /// The first that `put` gives, or if the folder can't be read.
    pub async fn put_folder<F>(&self, put: impl Fn(PathBuf, String) -> F) -> Result<bool>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        if !self.source.is_dir() {
            return Ok(false);
        }
        let permits = Arc::new(Semaphore::new(self.concurrency));
        let mut tasks = JoinSet::new();
        for entry in self.source.read_dir()? {
            let entry = entry?;
            let name = entry.file_name();
            let key = format!("{}{}", self.object.key, name.to_string_lossy());
            let permit = Arc::clone(&permits).acquire_owned().await?;
            let put = put(entry.path(), key);
            tasks.spawn(async move {
                let done = put.await;
                drop(permit);
                done
            });
            while let Some(done) = tasks.try_join_next() {
                done??;
            }
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(true)
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

fn parse_size(text: &str) -> Result<usize> {
    let size = parse_size::Config::new().with_binary().parse_size(text)?;
    Ok(usize::try_from(size)?)
}
