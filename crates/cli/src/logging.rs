//! Messages for people, on standard error.

use std::io;

use tracing_subscriber::filter::{EnvFilter, FilterExt as _, LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt, registry};

use crate::args::LogArgs;
use crate::exit;
use crate::terminal::Lines;

/// The crates of this workspace, which `-v` makes talk before all the others.
const OURS: [&str; 5] = [
    "s3_cli",
    "writer_core",
    "writer_tokio",
    "backend_fs",
    "backend_s3",
];

/// Sends tracing's events to standard error: as `RUST_LOG` says, or else as the options do.
pub(crate) fn init(args: &LogArgs) {
    let spans = if args.verbose > 1 {
        FmtSpan::CLOSE
    } else {
        FmtSpan::NONE
    };
    let printed = fmt::layer()
        .with_writer(|| Lines)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .with_span_events(spans)
        .with_filter(filter(args).and(harmless()));
    registry().with(printed).init();
}

/// What may be printed at all, whatever `RUST_LOG` says. At the level of traces, the SDK prints
/// requests with all of their headers, and answers with all of their bytes. What of signatures and
/// of temporary credentials it leaves out is up to its version, so only our crates get to that
/// level.
fn harmless() -> Targets {
    let ours = OURS.map(|name| (name, LevelFilter::TRACE));
    Targets::new()
        .with_default(LevelFilter::DEBUG)
        .with_targets(ours)
        // Complains of each server error that it does not know the connection, which is sound.
        .with_target(
            "aws_smithy_runtime::client::http::connection_poisoning",
            LevelFilter::OFF,
        )
}

fn filter(args: &LogArgs) -> EnvFilter {
    match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => match EnvFilter::try_new(&directives) {
            Ok(filter) => return filter,
            Err(error) => exit::warn(&format!("RUST_LOG is not used: {error}")),
        },
        _ => {}
    }
    EnvFilter::new(directives(args))
}

fn directives(args: &LogArgs) -> String {
    let (others, ours) = match args.verbose {
        _ if args.quiet => ("error", "error"),
        0 => ("error", "warn"),
        1 => ("warn", "info"),
        2 => ("info", "debug"),
        _ => ("debug", "trace"),
    };
    OURS.iter().fold(others.to_owned(), |all, name| {
        format!("{all},{name}={ours}")
    })
}
