//! What it gains to send a late part a second time, and fewer requests to a busy service: many
//! uploads to servers that stall or refuse, with each of the two and without it.

// Its output is a table.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use backend_s3::{PayloadSigning, S3Config, S3ObjectStore};
use testkit::server::{Builder, TestServer};
use writer_core::{ObjectStore as _, PartLimits, Segment, WriterOptions};

const PART: u64 = 256 * 1024;
const PARTS: u64 = 64;

/// Every 997th body: another part each time, in one upload of 16.
const STALL_EVERY: u64 = 997;
const STALL: Duration = Duration::from_secs(2);

/// Requests with a body that the busy server bears at once.
const BEARS: u64 = 8;

/// Bytes a second of each of its connections.
const BUSY_BANDWIDTH: u64 = 8_000_000;

struct Case {
    server: &'static str,
    client: &'static str,
    builder: fn(Builder) -> Builder,
    config: fn(S3Config) -> S3Config,
}

const CASES: [Case; 4] = [
    Case {
        server: "stalls",
        client: "waits for late parts",
        builder: |builder| builder.stall_every(STALL_EVERY, STALL),
        config: |config| config.with_wait_for_late_parts(true),
    },
    Case {
        server: "stalls",
        client: "sends them twice",
        builder: |builder| builder.stall_every(STALL_EVERY, STALL),
        config: |config| config,
    },
    Case {
        server: "refuses",
        client: "ignores SlowDown",
        builder: busy,
        config: |config| config.with_ignore_slow_down(true),
    },
    Case {
        server: "refuses",
        client: "heeds it",
        builder: busy,
        config: |config| config,
    },
];

/// Bodies take their time, so that they meet.
fn busy(builder: Builder) -> Builder {
    builder
        .connection_bandwidth(BUSY_BANDWIDTH)
        .slow_down_above(BEARS)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let uploads: usize = match std::env::args().nth(1) {
        Some(count) => count.parse()?,
        None => 300,
    };
    println!("{uploads} uploads of {PARTS} parts of {PART} bytes:\n");
    println!("| server | client | p50 s | p99 s | failed | bytes sent / stored |");
    println!("|---|---|---|---|---|---|");
    for case in CASES {
        run(&case, uploads).await?;
    }
    Ok(())
}

async fn run(case: &Case, uploads: usize) -> anyhow::Result<()> {
    let builder = TestServer::builder().min_part_size(PART).discard(true);
    let builder = builder.hashing(false).keep_log(false);
    let server = (case.builder)(builder.latency(Duration::from_millis(5))).start_on_threads(1)?;
    let store = S3ObjectStore::connect((case.config)(config(&server))).await?;
    let data = Segment::from(vec![0x5a; usize::try_from(PART * PARTS)?]);
    let mut seconds = Vec::new();
    let mut failed = 0;
    for _ in 0..uploads {
        let start = Instant::now();
        match upload(&store, &server, data.clone()).await {
            Ok(()) => seconds.push(start.elapsed().as_secs_f64()),
            Err(_) => failed += 1,
        }
    }
    seconds.sort_by(f64::total_cmp);
    let quantile = |q: f64| seconds.get((seconds.len() as f64 * q) as usize).copied();
    let stored = (seconds.len() as u64 * PART * PARTS) as f64;
    println!(
        "| {} | {} | {:.3} | {:.3} | {failed} | {:.3} |",
        case.server,
        case.client,
        quantile(0.5).unwrap_or(f64::NAN),
        quantile(0.99).unwrap_or(f64::NAN),
        server.stats().bytes_received as f64 / stored,
    );
    Ok(())
}

fn config(server: &TestServer) -> S3Config {
    S3Config::default()
        .with_endpoint_url(server.endpoint())
        .with_region(server.region())
        .with_credentials(server.access_key(), server.secret_key())
        .with_payload_signing(PayloadSigning::Never)
        .with_part_limits(PartLimits {
            min_part_size: PART,
            ..PartLimits::S3
        })
}

async fn upload(
    store: &S3ObjectStore,
    server: &TestServer,
    data: Segment,
) -> writer_core::Result<()> {
    let uri = format!("s3://{}/key", server.bucket());
    let options = WriterOptions::default().with_part_size(PART);
    let mut writer = store.create_writer(&uri, Some(options)).await?;
    writer.write_owned(data).await?;
    writer.finish().await?;
    Ok(())
}
