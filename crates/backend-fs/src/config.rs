//! The sizes that the backend works with, and the plan made from a writer's options.

use writer_core::{PartLimits, PartPlan, PartSizing, Result, WriterOptions};

/// Largest part, in bytes: what one `pwritev` takes, and a page of the budget. From a pipe to a
/// file, 256 KiB stay in the processor's cache until they are written; 1 MiB took 10 to 20 % more
/// time there, 4 MiB twice as much.
const PART_SIZE: u64 = 256 << 10;

/// Smallest part, in bytes. Parts can't be seen on a disk, so a tiny `part_size` would only cost.
const MIN_PART_SIZE: u64 = 64 << 10;

/// Most parts that wait to be written, whatever `max_concurrency` says. They are written one
/// after another; more of them would hold memory and gain nothing.
const MAX_QUEUED_PARTS: usize = 16;

/// Bytes of a file that are copied by one call; between two of them a cancel is noticed.
pub(crate) const COPY_STEP: u64 = 16 << 20;

/// Size in bytes of the chunks that a reader gives.
pub(crate) const READ_SIZE: u64 = 512 << 10;

/// Objects in one batch of a listing.
pub(crate) const LIST_BATCH: usize = 1_000;

/// How a writer cuts and queues.
pub(crate) struct Config {
    pub(crate) plan: PartPlan,
    /// Bytes that may wait to be written before a write waits.
    pub(crate) window: u64,
}

impl Config {
    /// The configuration for `options`, on a memory budget of `memory` bytes.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if an option is out of bounds.
    pub(crate) fn new(options: &WriterOptions, memory: u64) -> Result<Self> {
        options.validate()?;
        let part_size = options
            .part_size
            .clamp(MIN_PART_SIZE, PART_SIZE)
            .min(memory / 4);
        let sized = options
            .clone()
            .with_part_size(part_size)
            .with_part_sizing(PartSizing::Uniform);
        let queued = options.max_concurrency.min(MAX_QUEUED_PARTS) as u64;
        Ok(Self {
            plan: PartPlan::new(&sized, PartLimits::NONE, memory)?,
            window: queued * part_size,
        })
    }
}
