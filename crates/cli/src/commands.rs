//! What the program does, one module for each command.

mod bench;
mod cat;
mod ls;
#[cfg(feature = "s3")]
mod probe;
mod put;
mod rm;
mod stat;
mod tools;
#[cfg(feature = "s3")]
mod uploads;
mod verify;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use crate::args::{Args, Command};
use crate::exit;
use crate::printer::Printer;
use crate::signals::Signals;
use crate::stores::{Settings, Stores};
use crate::watch::Trace;

/// What all commands need.
struct Context {
    stores: Stores,
    printer: Arc<Printer>,
    quiet: bool,
    signals: Signals,
    verbose: bool,
    /// What is written of the command, up to its end.
    trace: OnceLock<Arc<Trace>>,
}

/// Does what `args` say, cleans up, and reports.
pub(crate) async fn run(args: Args) -> ExitCode {
    let context = match context(&args) {
        Ok(context) => context,
        Err(error) => return exit::report(&error),
    };
    let result = dispatch(&context, args.command).await;
    let left = context.stores.close().await;
    // Only now has everything ended that it tells of.
    if let Some(Err(error)) = context.trace.get().map(|trace| trace.close()) {
        exit::warn(&format!("the trace is not whole: {error}"));
    }
    match result {
        Ok(()) => match left {
            Ok(()) => ExitCode::SUCCESS,
            // All went well, but not all is removed that was not to stay.
            Err(left) => exit::report(&left.into()),
        },
        Err(error) => {
            if let Err(left) = left {
                exit::warn(&left.to_string());
            }
            exit::report(&error)
        }
    }
}

fn context(args: &Args) -> anyhow::Result<Context> {
    Ok(Context {
        stores: Stores::new(settings(args)),
        printer: Arc::new(Printer::new(args.log.quiet, args.output.json)?),
        quiet: args.log.quiet,
        signals: Signals::listen()?,
        verbose: args.log.verbose > 0,
        trace: OnceLock::new(),
    })
}

fn settings(args: &Args) -> Settings {
    let put = match &args.command {
        Command::Put(put) => Some(put),
        _ => None,
    };
    let bench = match &args.command {
        Command::Bench(bench) => Some(bench),
        _ => None,
    };
    let memory_of_put = put.and_then(|put| put.tuning.memory);
    Settings {
        memory: memory_of_put.or_else(|| bench?.memory),
        #[cfg(all(feature = "fs", feature = "s3"))]
        quiet: args.log.quiet,
        #[cfg(feature = "s3")]
        s3: args.s3.clone(),
        #[cfg(feature = "s3")]
        connection: args.connection.clone(),
        #[cfg(feature = "s3")]
        writing: (put.map(|put| put.s3.clone())).or_else(|| Some(bench?.s3.clone())),
        #[cfg(feature = "s3")]
        resuming: put.map(|put| put.resuming.clone()).unwrap_or_default(),
        #[cfg(feature = "s3")]
        protection: put.map(|put| put.protection.clone()).unwrap_or_default(),
    }
}

/// `put` and `bench` stop at a signal by themselves, because they have something to undo; the others
/// just end.
async fn dispatch(context: &Context, command: Command) -> anyhow::Result<()> {
    let signals = &context.signals;
    match command {
        Command::Put(args) => put::run(context, *args).await,
        Command::Bench(args) => bench::run(context, *args).await,
        Command::Verify(args) => signals.guard(verify::run(context, args)).await,
        Command::Cat(args) => signals.guard(cat::run(context, args)).await,
        Command::Stat(args) => signals.guard(stat::run(context, args)).await,
        Command::Rm(args) => signals.guard(rm::run(context, args)).await,
        Command::Ls(args) => signals.guard(ls::run(context, args)).await,
        Command::Completions(args) => tools::completions(context, &args).await,
        Command::Man(args) => tools::man(&args),
        #[cfg(feature = "s3")]
        Command::Probe(args) => signals.guard(probe::run(context, args)).await,
        #[cfg(feature = "s3")]
        Command::Uploads(args) => signals.guard(uploads::run(context, args)).await,
    }
}
