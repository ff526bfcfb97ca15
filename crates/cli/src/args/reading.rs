//! Options about how an object is read.

use clap::Args as ClapArgs;
use writer_tokio::ReadOptions;

use crate::values::parse_size;

/// How much of an object is asked for at once.
#[derive(Clone, Copy, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Tuning (sizes in bytes, or as 8MiB, 8M)")]
pub(crate) struct ReadingArgs {
    /// Bytes that one request reads [default: 8MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    part_size: Option<u64>,
    /// Most requests at once, 1 to 1024, of an object in S3; a disk has one reader [default: 8]
    #[arg(long, value_name = "REQUESTS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    max_concurrency: Option<u16>,
    /// Most memory for bytes that came before it was their turn [default: 128MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory: Option<u64>,
}

impl ReadingArgs {
    /// The same as options.
    pub(crate) fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.part_size = self.part_size.unwrap_or(options.part_size);
        options.memory = self.memory.unwrap_or(options.memory);
        if let Some(requests) = self.max_concurrency {
            options.max_concurrency = requests.into();
        }
        options
    }
}
