//! An S3 server for one's own machine: start it, paste what it prints, try.

// What it prints is its output: lines to paste into a shell.
#![allow(clippy::print_stdout)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use testkit::server::{Builder, ETags, TestServer};
use tokio::signal::unix::{SignalKind, signal};

/// A strict S3 server for trying things out. Everything is kept in memory and
/// gone when it stops; `--discard` keeps no bodies at all.
///
/// `curl ENDPOINT/-/stats` tells the counters as JSON: requests by operation,
/// bytes received, connections, and the most of each at once.
#[derive(Debug, Parser)]
#[command(name = "dev-s3", version)]
struct Cli {
    /// The port to listen on; 0 takes any free one
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// The address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// The bucket to start with
    #[arg(long, default_value = "demo")]
    bucket: String,
    /// The access key that requests must be signed with
    #[arg(long, default_value = "dev")]
    access_key: String,
    /// The secret key that requests must be signed with
    #[arg(long, default_value = "dev-secret")]
    secret_key: String,
    /// The region that requests must be signed for
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Forget bodies as they come: constant memory, for benchmarks. GetObject answers 501
    #[arg(long)]
    discard: bool,
    /// Random ETags instead of MD5, which costs 1.65 CPU seconds a GiB
    #[arg(long)]
    no_md5: bool,
    /// Believe the checksums that clients send instead of computing them; implies --no-md5
    #[arg(long)]
    no_hashing: bool,
    /// The least size in bytes of every part but the last
    #[arg(long, default_value_t = 5 << 20)]
    min_part_size: u64,
    /// Bytes per second that all clients together may send; 0 is no limit
    #[arg(long, default_value_t = 0)]
    bandwidth: u64,
    /// Bytes per second that each connection may send; 0 is no limit
    #[arg(long, default_value_t = 0)]
    connection_bandwidth: u64,
    /// Milliseconds that every answer is kept back
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Speak HTTPS, with a certificate made at the start
    #[arg(long, requires = "ca_file")]
    tls: bool,
    /// Where to write the certificate that clients have to trust, in PEM
    #[arg(long, value_name = "PATH", requires = "tls")]
    ca_file: Option<PathBuf>,
    /// The kernel's receive buffer of each connection in bytes (SO_RCVBUF, which Linux doubles)
    #[arg(long, value_name = "BYTES")]
    receive_buffer: Option<u32>,
    /// Stop reading in the middle of every N-th body of an UploadPart or PutObject
    #[arg(long, value_name = "N", requires = "stall_ms")]
    stall_every: Option<u64>,
    /// Milliseconds that such a body is not read
    #[arg(long, value_name = "MS", requires = "stall_every")]
    stall_ms: Option<u64>,
    /// Slow every N-th connection down for its life
    #[arg(long, value_name = "N", requires = "slow_bandwidth")]
    slow_every: Option<u64>,
    /// Bytes per second that such a connection may send
    #[arg(long, value_name = "BYTES", requires = "slow_every")]
    slow_bandwidth: Option<u64>,
    /// Answer 503 SlowDown to an UploadPart or PutObject while N are being received; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    slow_down_above: u64,
    /// Threads that serve
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = at_least_one())]
    threads: u64,
}

fn at_least_one() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=1024)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let cli = Cli::parse();
    // Before anyone can know the server, and so want it to end.
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let server = start(&cli)?;
    if let (Some(path), Some(pem)) = (&cli.ca_file, server.ca_pem()) {
        std::fs::write(path, pem).map_err(|error| explained(error, &path.display().to_string()))?;
    }
    welcome(&server, &cli)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    server.shutdown().await;
    Ok(())
}

fn start(cli: &Cli) -> io::Result<TestServer> {
    let threads = usize::try_from(cli.threads).unwrap_or(usize::MAX);
    builder(cli).start_on_threads(threads).map_err(|error| {
        let what = format!("can't start on port {} (--port takes another)", cli.port);
        explained(error, &what)
    })
}

fn explained(error: io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

fn builder(cli: &Cli) -> Builder {
    let etags = match cli.no_md5 || cli.no_hashing {
        true => ETags::Random,
        false => ETags::Md5,
    };
    let mut builder = TestServer::builder()
        .address(SocketAddr::new(cli.host, cli.port))
        .bucket(&cli.bucket)
        .credentials(&cli.access_key, &cli.secret_key)
        .region(&cli.region)
        .discard(cli.discard)
        .etags(etags)
        .hashing(!cli.no_hashing)
        .min_part_size(cli.min_part_size)
        .bandwidth(cli.bandwidth)
        .connection_bandwidth(cli.connection_bandwidth)
        .latency(Duration::from_millis(cli.latency_ms))
        .slow_down_above(cli.slow_down_above)
        .keep_log(false);
    if cli.tls {
        builder = builder.tls();
    }
    if let Some(bytes) = cli.receive_buffer {
        builder = builder.receive_buffer(bytes);
    }
    if let (Some(count), Some(millis)) = (cli.stall_every, cli.stall_ms) {
        builder = builder.stall_every(count, Duration::from_millis(millis));
    }
    if let (Some(count), Some(rate)) = (cli.slow_every, cli.slow_bandwidth) {
        builder = builder.slow_every(count, rate);
    }
    builder
}

fn welcome(server: &TestServer, cli: &Cli) -> io::Result<()> {
    let kept = match cli.discard {
        true => "bodies are discarded",
        false => "everything is in memory, and gone when this stops",
    };
    println!(
        "# S3 at {} ({kept}); Ctrl-C stops it. Paste this:",
        server.endpoint()
    );
    println!("export AWS_ENDPOINT_URL={}", server.endpoint());
    if let Some(path) = &cli.ca_file {
        println!("export AWS_CA_BUNDLE={}", for_shell(path)?);
    }
    println!("export AWS_ACCESS_KEY_ID={}", server.access_key());
    println!("export AWS_SECRET_ACCESS_KEY={}", server.secret_key());
    println!("export AWS_REGION={}", server.region());
    println!("export S3_CLI_SERVICE=dev-s3");
    println!(
        "# and then, for one: aws s3 cp FILE s3://{}/",
        server.bucket()
    );
    Ok(())
}

/// The path from any folder, in quotes that a shell takes off.
fn for_shell(path: &Path) -> io::Result<String> {
    let path = std::path::absolute(path)?;
    let quoted = path.display().to_string().replace('\'', r"'\''");
    Ok(format!("'{quoted}'"))
}
