//! Messages for people, on standard error.

use std::fmt::{self, Debug, Write as _};
use std::io;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, LevelFilter, Targets};
use tracing_subscriber::fmt::format::{FmtSpan, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, layer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, registry};

use crate::args::LogArgs;
use crate::exit;
use crate::printer::one_line;
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
    let (filter, is_default) = filter(args);
    let filter = filter.and(harmless());
    let layer = layer()
        .with_writer(|| Lines)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .with_span_events(spans);
    if is_default {
        let printed = layer.event_format(AsOurOwn).with_filter(filter);
        registry().with(printed).init();
    } else {
        registry().with(layer.with_filter(filter)).init();
    }
}

/// Events as the program's own messages: `warning: what happened (name=value, …)`.
struct AsOurOwn;

impl<S, N> FormatEvent<S, N> for AsOurOwn
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let kind = match *event.metadata().level() {
            Level::ERROR => "error",
            _ => "warning",
        };
        let message = one_line(&said.message);
        match &*said.fields {
            "" => writeln!(writer, "{kind}: {message}"),
            fields => writeln!(writer, "{kind}: {message} ({})", one_line(fields)),
        }
    }
}

/// The text of an event, and its fields.
#[derive(Debug, Default)]
struct Said {
    message: String,
    fields: String,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        // Without quotes.
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string can't fail.
        let _ = match (field.name(), &*self.fields) {
            ("message", _) => write!(self.message, "{value:?}"),
            (name, "") => write!(self.fields, "{name}={value:?}"),
            (name, _) => write!(self.fields, ", {name}={value:?}"),
        };
    }
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

/// What is printed, and whether nobody has asked for more than warnings.
fn filter(args: &LogArgs) -> (EnvFilter, bool) {
    match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => match EnvFilter::try_new(&directives) {
            Ok(filter) => return (filter, false),
            Err(error) => exit::warn(&format!("RUST_LOG is not used: {error}")),
        },
        _ => {}
    }
    (EnvFilter::new(directives(args)), args.verbose == 0)
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
