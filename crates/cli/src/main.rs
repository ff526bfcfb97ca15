//! `s3-cli`: stream objects to S3 and to the file system.

mod args;
mod batch;
mod bounds;
mod checksum;
mod commands;
mod decode;
mod dry_run;
mod exit;
mod family;
mod folder;
mod hints;
mod input;
mod jobs;
mod json;
mod list;
mod logging;
mod names;
mod pipe;
mod plan;
mod printer;
mod producer;
mod read_back;
mod signals;
mod source;
mod stores;
mod stream;
mod tally;
mod terminal;
mod usage;
mod values;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match args::parse() {
        Ok(args) => args,
        Err(error) => return exit::misused(error),
    };
    if args.output.json {
        args.errors().begin();
    }
    logging::init(&args.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(&error.into()),
    };
    let code = runtime.block_on(commands::run(args));
    // A thread that is blocked on a pipe would never be joined.
    runtime.shutdown_background();
    code
}
