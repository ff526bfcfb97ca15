//! `completions` and `man`: what is made of the command line itself.

use clap::{Command, CommandFactory as _};
use writer_core::Error;

use super::Context;
use crate::args::{Args, CompletionsArgs, ManArgs};

pub(super) async fn completions(context: &Context, args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "s3-cli", &mut script);
    // For bash, `clap_complete` 4.6 writes the hyphen of a program's name in two ways, and so finds no
    // command that comes after it.
    let script = String::from_utf8(script)?.replace("s3__subcmd__cli", "s3__cli");
    let _nobody_reads = context.printer.text(script).await?;
    Ok(())
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<()> {
    let written = clap_mangen::generate_to(in_full(Args::command()), &args.folder);
    written.map_err(|error| {
        Error::from(error)
            .with_uri(args.folder.display().to_string())
            .into()
    })
}

/// `command` with nothing that is kept from its short help: pages have all of it.
fn in_full(command: Command) -> Command {
    let command = command.mut_args(|arg| arg.hide_short_help(false));
    command.mut_subcommands(in_full)
}
