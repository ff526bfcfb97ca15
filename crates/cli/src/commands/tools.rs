//! `completions` and `man`: what is made of the command line itself.

use clap::CommandFactory as _;
use writer_core::Error;

use super::Context;
use crate::args::{Args, CompletionsArgs, ManArgs};

pub(super) async fn completions(context: &Context, args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "s3-cli", &mut script);
    let script = String::from_utf8(script)?;
    let _nobody_reads = context.printer.text(script).await?;
    Ok(())
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<()> {
    let written = clap_mangen::generate_to(Args::command(), &args.folder);
    written.map_err(|error| {
        Error::from(error)
            .with_uri(args.folder.display().to_string())
            .into()
    })
}
