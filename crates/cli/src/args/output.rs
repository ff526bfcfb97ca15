//! In which form results are printed.

use clap::Args as ClapArgs;

#[derive(Clone, Copy, Debug, ClapArgs)]
#[command(next_help_heading = "Messages")]
pub(crate) struct OutputArgs {
    /// Print results and errors as JSON, one object a line
    ///
    /// They go to standard output; errors of `cat` go to standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}
