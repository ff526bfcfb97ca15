//! The options that show what is going on.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

/// Progress.
#[derive(Clone, Copy, Debug, ClapArgs)]
#[command(next_help_heading = "Messages")]
pub(crate) struct ProgressArgs {
    /// When to show progress, on standard error
    ///
    /// `auto`: if that is a terminal, without --quiet and NO_COLOR.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) progress: When,
}

/// When progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

/// What can be watched of a put.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Messages")]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) progress: ProgressArgs,
    /// Write the life of every part to this file
    ///
    /// It is to be opened with ui.perfetto.dev or chrome://tracing, and shows why an upload is slow.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
}
