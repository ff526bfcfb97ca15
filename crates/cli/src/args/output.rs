//! In which form results are printed.

use clap::Args as ClapArgs;

#[derive(Clone, Copy, Debug, ClapArgs)]
#[command(next_help_heading = "Messages")]
pub(crate) struct OutputArgs {
    /// Print results, and errors too, as JSON on standard output, one object a line; of `cat`,
    /// errors go to standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
}
