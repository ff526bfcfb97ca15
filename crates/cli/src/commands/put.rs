//! `put`: from sources to objects.

use std::env;
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use writer_core::{Error, ErrorKind, IfExists, ObjectStore, PartLimits, Result, WriterOptions};
use writer_tokio::MemoryBudget;

use super::Context;
use crate::args::watch::WatchArgs;
use crate::args::{PutArgs, TuningArgs};
use crate::batch::{self, How, Outcome};
use crate::dry_run::{self, Check};
use crate::exit;
use crate::jobs::Job;
use crate::names::is_s3;
use crate::plan::Plan;
use crate::producer::Producer;
use crate::tally::{Tally, grouped};
use crate::watch::{Goal, Trace, Watch};

/// Parts that go at once where those that are whole count: of 64 that share a slow line, none is
/// for a long time.
const RESUMABLE: usize = 8;

pub(super) async fn run(context: &Context, mut args: PutArgs) -> anyhow::Result<()> {
    let producer = Producer::new(std::mem::take(&mut args.command));
    let result = write(context, args, producer.clone()).await;
    // However that ended, a command does not outlive it.
    if let Some(producer) = producer {
        producer.stop().await;
    }
    result
}

async fn write(
    context: &Context,
    args: PutArgs,
    producer: Option<Arc<Producer>>,
) -> anyhow::Result<()> {
    refuse_no_command(&args)?;
    let mut options = options(&args)?;
    let guess = !args.attributes.no_guess_content_type;
    let dry_run = args.dry_run;
    let (recursive, buffered, keep_going, verify) = (
        args.folders.recursive,
        args.buffered,
        args.keep_going,
        args.verify,
    );
    let chooses = !args.folders.include.is_empty() || !args.folders.exclude.is_empty();
    #[cfg(all(feature = "fs", feature = "s3"))]
    let class_is_typed = args.attributes.class_is_typed;
    let memory = args.tuning.memory;
    let watching = args.watch.clone();
    let only_one = only_one(&args);
    #[cfg(feature = "s3")]
    let resumes = args.resuming.resumes();
    #[cfg(not(feature = "s3"))]
    let resumes = false;
    let signals = &context.signals;
    let mut plan = signals.guard(plan(args, producer, context.quiet)).await?;
    let failures = plan.take_refused();
    let refused = failures.count();
    let total = plan.len();
    if let Some(option) = only_one.filter(|_| total > 1) {
        let text = format!("{option} is about one object, and there are {total} to write");
        return Err(Error::new(ErrorKind::InvalidInput, text).into());
    }
    let is_compressed = |uri: &str| options.codec_for(uri).is_some();
    if let Some(option) = compresses(&options)
        && !context.quiet
        && !plan.names().any(is_compressed)
    {
        exit::warn(&format!(
            "{option} does nothing here: no name ends in .zst or .gz, and --compress names no format"
        ));
    }
    #[cfg(all(feature = "fs", feature = "s3"))]
    if !class_is_typed && !is_s3(plan.destination()) {
        options.storage_class = None;
    }
    // On a disk, the name itself says it.
    options.guess_content_type = guess && is_s3(plan.destination());
    if total == 0 && refused == 0 && !context.quiet {
        match (recursive, chooses) {
            (true, true) => exit::warn("there is nothing to write: no file matches the globs"),
            (true, false) => exit::warn("there is nothing to write: no file was found"),
            (false, _) => exit::notice("there is nothing to write"),
        }
    }
    if dry_run {
        let memory = memory.map_or_else(store_memory, Ok)?;
        return signals
            .guard(say(context, plan, options, memory, verify, failures))
            .await;
    }
    let trace = signals.guard(trace(context, &watching)).await?;
    let goal = || Goal {
        objects: total as u64,
        bytes: plan.bytes(),
    };
    let silent = context.quiet || context.printer.is_json();
    let watch = Watch::begin(&watching, trace, silent, goal)?;
    let named = recursive || total > 1 || refused > 0;
    let store = signals
        .guard(context.stores.get(plan.destination()))
        .await?;
    if let Some(job) = plan.swapped() {
        signals.guard(say_what_is_replaced(&*store, job)).await?;
    }
    let how = How {
        store,
        memory: memory.map_or_else(store_memory, Ok)?,
        named,
        options: watch.over(options),
        buffered,
        verify,
        resumes: resumes && is_s3(plan.destination()),
        keep_going,
    };
    let jobs = plan.into_jobs();
    let outcome = batch::write(how, jobs, total, &context.printer, signals, failures).await;
    let is_told = named || context.verbose || watch.was_long();
    let summary = watch.summary(&outcome);
    if is_told && !context.quiet {
        exit::notice(&summary);
    }
    conclude(outcome, total as u64 + refused)
}

/// Says what becomes of the object at the destination, where that came first: other programs would
/// read from there.
async fn say_what_is_replaced(store: &dyn ObjectStore, job: &Job) -> Result<()> {
    let what = match store.stat(&job.uri).await {
        Ok(found) => format!("which replaces {} bytes there", found.size),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(_) => "which replaces what is there".to_owned(),
    };
    exit::warn(&format!("writing {} to {}, {what}", job.source, job.uri));
    Ok(())
}

/// Says what would be written.
async fn say(
    context: &Context,
    plan: Plan,
    options: WriterOptions,
    memory: u64,
    verify: bool,
    failures: Tally,
) -> anyhow::Result<()> {
    let (limits, check) = service(context, plan.destination()).await?;
    let how = dry_run::How {
        store: context.stores.get(plan.destination()).await?,
        options,
        memory,
        limits,
        check,
        missing: OnceCell::new(),
        verify,
    };
    let quiet = context.quiet;
    dry_run::run(how, plan.into_jobs(), &context.printer, quiet, failures).await
}

/// What the service takes that `destination` is on, and what it refuses.
#[cfg(feature = "s3")]
async fn service(context: &Context, destination: &str) -> Result<(Option<PartLimits>, Check)> {
    if !is_s3(destination) {
        return Ok((None, Box::new(|_, _| Ok(()))));
    }
    let store = context.stores.s3(destination).await?;
    let limits = store.service().part_limits;
    let check = move |options: &_, multipart| store.condition(options, multipart).map(drop);
    Ok((Some(limits), Box::new(check)))
}

#[cfg(not(feature = "s3"))]
async fn service(_context: &Context, _destination: &str) -> Result<(Option<PartLimits>, Check)> {
    Ok((None, Box::new(|_, _| Ok(()))))
}

/// Everything that can be known to be wrong before any object is written.
async fn plan(args: PutArgs, producer: Option<Arc<Producer>>, quiet: bool) -> anyhow::Result<Plan> {
    let make = move || {
        let tally = Tally::new(quiet);
        let (folders, keep_going) = (&args.folders, args.keep_going);
        Plan::make(&args.paths, producer, folders, args.null, keep_going, tally)
    };
    tokio::task::spawn_blocking(make).await?
}

/// The option, if there is one, that can be true of one object only.
fn only_one(args: &PutArgs) -> Option<&'static str> {
    #[cfg(feature = "s3")]
    if args.resuming.upload_id.is_some() {
        return Some("--upload-id");
    }
    if args.expect_checksum.is_some() {
        return Some("--expect-checksum");
    }
    args.if_match.as_ref().map(|_| "--if-match")
}

/// The option, if there is one, that says how to compress.
fn compresses(options: &WriterOptions) -> Option<&'static str> {
    match options {
        _ if options.compression_level.is_some() => Some("--compress-level"),
        _ if options.compression_threads > 0 => Some("--compress-threads"),
        _ => None,
    }
}

/// Refuses a `--` that nothing follows: what was meant is lost by now.
fn refuse_no_command(args: &PutArgs) -> Result<()> {
    let ends_so = || env::args_os().next_back().is_some_and(|last| last == "--");
    if args.paths.len() == 1 && args.command.is_empty() && ends_so() {
        let text = "a command is needed after `--`: s3-cli put DEST -- COMMAND";
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    Ok(())
}

/// The memory of a store, in bytes, unless the command line says it.
fn store_memory() -> Result<u64> {
    MemoryBudget::from_env().map(|budget| budget.capacity())
}

/// The trace that is asked for. It is closed when everything has ended.
async fn trace(context: &Context, args: &WatchArgs) -> Result<Option<Arc<Trace>>> {
    let Some(path) = args.trace.clone() else {
        return Ok(None);
    };
    let created = spawn_blocking(move || Trace::create(&path)).await;
    let trace = created.map_err(|lost| Error::new(ErrorKind::Other, lost.to_string()))??;
    Ok(Some(Arc::clone(context.trace.get_or_init(|| trace))))
}

fn conclude(outcome: Outcome, total: u64) -> anyhow::Result<()> {
    if let Some(error) = outcome.ended_by {
        return Err(error);
    }
    let failed = outcome.failures.count();
    let mut text = String::new();
    // Of a single object, its own error has said all.
    if total > 1 {
        text = format!("{} of {} objects failed", grouped(failed), grouped(total));
    }
    let left = total - failed - outcome.stored;
    if left > 0 {
        let left = grouped(left);
        text += &format!("; {left} were not begun, as they are with --keep-going");
    }
    outcome.failures.into_result(text)
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
    } else if keeps_parts(args) {
        options.max_concurrency = options.max_concurrency.min(RESUMABLE);
    }
    options.enable_checksums = !args.no_checksum;
    args.compression.apply(&mut options);
    args.attributes.apply(&mut options)?;
    if args.if_none_match {
        options.if_exists = IfExists::Fail;
    }
    if let Some(e_tag) = &args.if_match {
        options = options.with_if_match(e_tag);
    }
    options.expected_checksum = args.expect_checksum;
    options.validate()?;
    Ok(options)
}

/// True if what is stored when an upload stops is of use.
#[cfg(feature = "s3")]
fn keeps_parts(args: &PutArgs) -> bool {
    args.resuming.keeps()
}

#[cfg(not(feature = "s3"))]
fn keeps_parts(_args: &PutArgs) -> bool {
    false
}

fn overrides(tuning: &TuningArgs, variable: &str) -> bool {
    match variable {
        WriterOptions::PART_SIZE_VAR => tuning.part_size.is_some(),
        WriterOptions::INFLIGHT_VAR => tuning.max_concurrency.is_some(),
        WriterOptions::BUFFER_CAPACITY_VAR => tuning.buffer_capacity.is_some(),
        _ => false,
    }
}
