//! The least that storing an object can cost a client: read it, take its CRC64NVME, write it to one
//! socket. No runtime, no SDK, one thread, one request. What `s3-cli` costs is told beside this.
//!
//! The URL is that of a presigned `PutObject` (see `presign`), so nothing is signed here.

// What it prints is its output.
#![allow(clippy::print_stdout)]

mod connection;
mod request;
mod source;
mod tls;
mod upload;

use std::fs::File;
use std::io;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Parser};

use request::Target;
use source::{FileSource, PipeSource};
use upload::Upload;

/// Stores one object by one presigned PUT, at the least cost
#[derive(Debug, Parser)]
#[command(name = "floor", version)]
enum Command {
    /// Store a file
    File(FileArgs),
    /// Store standard input
    Pipe(PipeArgs),
}

#[derive(Debug, Args)]
struct FileArgs {
    /// The presigned URL of a PutObject
    url: Target,
    /// The file
    path: PathBuf,
    /// Read the file once for its checksum, and let the kernel send it: sendfile(2), HTTP only
    #[arg(long)]
    sendfile: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct PipeArgs {
    /// The presigned URL of a PutObject
    url: Target,
    /// How many bytes the pipe brings
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    length: u64,
    /// Enlarge the pipe to this: F_SETPIPE_SZ
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pipe_size: Option<u64>,
    /// Fill the whole buffer before any of it is sent: as for parts, whose length must be known
    #[arg(long)]
    gather: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Bytes that are read and written at once
    #[arg(long, value_name = "SIZE", default_value = "256KiB", value_parser = parse_size)]
    buffer: u64,
    /// The certificates to trust over HTTPS, in PEM
    #[arg(long, env = "AWS_CA_BUNDLE", value_name = "PATH")]
    ca_bundle: Option<PathBuf>,
}

fn main() -> Result<()> {
    let (length, crc) = match Command::parse() {
        Command::File(args) => put_file(&args)?,
        Command::Pipe(args) => put_pipe(&args)?,
    };
    let crc = BASE64_STANDARD.encode(crc.to_be_bytes());
    println!("{length} bytes, CRC64NVME {crc}");
    Ok(())
}

/// Stores the file; the results are its length and CRC64NVME.
fn put_file(args: &FileArgs) -> Result<(u64, u64)> {
    let file = File::open(&args.path).with_context(|| args.path.display().to_string())?;
    let length = file.metadata()?.len();
    let mut upload = args.common.upload(&args.url, length)?;
    let crc = match args.sendfile {
        true => upload.send_file(&file)?,
        false => upload.stream(&mut FileSource::new(&file))?,
    };
    Ok((length, crc))
}

/// Stores what the pipe brings; the results are its length and CRC64NVME.
fn put_pipe(args: &PipeArgs) -> Result<(u64, u64)> {
    let stdin = io::stdin();
    if let Some(size) = args.pipe_size {
        rustix::pipe::fcntl_setpipe_size(&stdin, usize::try_from(size)?).context("--pipe-size")?;
    }
    let mut upload = args.common.upload(&args.url, args.length)?;
    let crc = upload.stream(&mut PipeSource::new(&stdin, args.gather))?;
    Ok((args.length, crc))
}

impl Common {
    fn upload<'a>(&self, target: &'a Target, length: u64) -> Result<Upload<'a>> {
        if self.buffer == 0 {
            bail!("--buffer must not be 0");
        }
        let buffer = vec![0; usize::try_from(self.buffer)?];
        Upload::open(target, self.ca_bundle.as_deref(), length, buffer)
    }
}

fn parse_size(text: &str) -> Result<u64, parse_size::Error> {
    parse_size::Config::new().with_binary().parse_size(text)
}
