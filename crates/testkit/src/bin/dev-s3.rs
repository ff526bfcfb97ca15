//! An S3 server for one's own machine: start it, paste what it prints, try.

// What it prints is its output: lines to paste into a shell.
#![allow(clippy::print_stdout)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Parser;
use testkit::server::{ETags, TestServer};

/// A strict S3 server for trying things out. Everything is kept in memory and
/// gone when it stops; `--discard` keeps no bodies at all.
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
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let cli = Cli::parse();
    let etags = match cli.no_md5 || cli.no_hashing {
        true => ETags::Random,
        false => ETags::Md5,
    };
    let server = TestServer::builder()
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
        .keep_log(false)
        .start()
        .await
        .map_err(|error| {
            let text = format!(
                "can't listen on port {} (--port takes another): {error}",
                cli.port
            );
            std::io::Error::new(error.kind(), text)
        })?;
    welcome(&server, cli.discard);
    tokio::signal::ctrl_c().await?;
    server.shutdown().await;
    Ok(())
}

fn welcome(server: &TestServer, discard: bool) {
    let kept = match discard {
        true => "bodies are discarded",
        false => "everything is in memory, and gone when this stops",
    };
    println!(
        "# S3 at {} ({kept}); Ctrl-C stops it. Paste this:",
        server.endpoint()
    );
    println!("export AWS_ENDPOINT_URL={}", server.endpoint());
    println!("export AWS_ACCESS_KEY_ID={}", server.access_key());
    println!("export AWS_SECRET_ACCESS_KEY={}", server.secret_key());
    println!("export AWS_REGION={}", server.region());
    println!(
        "# and then, for one: aws s3 cp FILE s3://{}/",
        server.bucket()
    );
}
