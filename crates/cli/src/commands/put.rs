//! `put`: from sources to objects.

use std::env;
use std::time::Instant;

use tracing::Instrument as _;
use writer_core::{IfExists, ObjectMetadata, ObjectStore, ObjectWriter, Result, WriterOptions};

use super::Context;
use crate::args::{PutArgs, TuningArgs};
use crate::exit;
use crate::jobs::{self, Job};
use crate::signals::Signals;
use crate::source::Input;

pub(super) async fn run(context: &Context, args: PutArgs) -> anyhow::Result<()> {
    let options = options(&args)?;
    let jobs = jobs::plan(&args.paths)?;
    for job in &jobs {
        context.signals.guard(check(job)).await?;
    }
    for job in jobs {
        let store = context.signals.guard(context.stores.get(&job.uri)).await?;
        let put = Put {
            signals: &context.signals,
            store: &*store,
            options: options.clone(),
            buffered: args.buffered,
        };
        let span = tracing::info_span!("put", source = %job.source, uri = %job.uri);
        let receipt = put.run(&job).instrument(span).await?;
        // The objects matter, not who reads of them.
        let _nobody_reads = context.printer.uploaded(&receipt).await?;
    }
    Ok(())
}

/// What can be known to be wrong before any object is written.
async fn check(job: &Job) -> anyhow::Result<()> {
    job.source.check().await?;
    let uri = job.uri.clone();
    tokio::task::spawn_blocking(move || jobs::refuse_folder(&uri)).await??;
    Ok(())
}

/// The environment's options, changed by those of the command line.
fn options(args: &PutArgs) -> Result<WriterOptions> {
    let tuning = &args.tuning;
    // The fault of a variable that an option overrides does not matter.
    let mut options = WriterOptions::from_vars(|name| {
        if overrides(tuning, name) {
            None
        } else {
            env::var_os(name)
        }
    })?;
    options.part_size = tuning.part_size.unwrap_or(options.part_size);
    options.buffer_capacity = tuning.buffer_capacity.unwrap_or(options.buffer_capacity);
    options.expected_size = tuning.expected_size;
    if let Some(parts) = tuning.max_concurrency {
        options.max_concurrency = usize::try_from(parts).unwrap_or(usize::MAX);
    }
    options.enable_checksums = !args.no_checksum;
    options.enable_compression = !args.no_compression;
    options.content_type.clone_from(&args.content_type);
    options.metadata = args.metadata.iter().cloned().collect();
    if args.if_none_match {
        options.if_exists = IfExists::Fail;
    }
    options.validate()?;
    Ok(options)
}

fn overrides(tuning: &TuningArgs, variable: &str) -> bool {
    match variable {
        WriterOptions::PART_SIZE_VAR => tuning.part_size.is_some(),
        WriterOptions::INFLIGHT_VAR => tuning.max_concurrency.is_some(),
        WriterOptions::BUFFER_CAPACITY_VAR => tuning.buffer_capacity.is_some(),
        _ => false,
    }
}

/// How each object is written.
struct Put<'a> {
    signals: &'a Signals,
    store: &'a dyn ObjectStore,
    options: WriterOptions,
    buffered: bool,
}

impl Put<'_> {
    async fn run(mut self, job: &Job) -> anyhow::Result<ObjectMetadata> {
        let start = Instant::now();
        let input = self.signals.guard(job.source.open()).await?;
        let receipt = if self.buffered {
            let data = self.signals.guard(input.read_all()).await?;
            self.expect(Some(data.len() as u64));
            self.write(&job.uri, Bytes::Memory(data)).await?
        } else {
            self.expect(input.size());
            self.write(&job.uri, Bytes::Input(input)).await?
        };
        let seconds = start.elapsed().as_secs_f64();
        tracing::info!(
            bytes = receipt.size,
            parts = receipt.parts,
            seconds,
            "uploaded"
        );
        Ok(receipt)
    }

    /// What is known of the size; what the user says of it comes first, and must be true.
    fn expect(&mut self, size: Option<u64>) {
        self.options.expected_size = self.options.expected_size.or(size);
    }

    async fn write(self, uri: &str, bytes: Bytes) -> anyhow::Result<ObjectMetadata> {
        let create = self.store.create_writer(uri, Some(self.options));
        let mut writer = self.signals.guard(create).await?;
        match self.signals.guard(bytes.feed(&mut *writer)).await {
            // Dropped by a signal, it cleans up, and closing the store waits for that.
            Ok(()) => self.signals.guard(writer.finish()).await,
            Err(error) => {
                if let Err(left) = writer.cancel().await {
                    exit::warn(&left.to_string());
                }
                Err(error)
            }
        }
    }
}

enum Bytes {
    Input(Input),
    Memory(Vec<u8>),
}

impl Bytes {
    async fn feed(self, writer: &mut dyn ObjectWriter) -> Result<()> {
        match self {
            Self::Input(input) => input.feed(writer).await,
            Self::Memory(data) => writer.write_owned(data.into()).await,
        }
    }
}
