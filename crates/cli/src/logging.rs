//! Messages for people, on standard error.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::args::LogArgs;
use crate::exit;

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
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .with_env_filter(filter(args))
        .with_span_events(spans)
        .init();
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
