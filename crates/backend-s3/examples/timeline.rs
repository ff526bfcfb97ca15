//! What a server 25 ms away sees of three uploads, and when.

// Its output is a table.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use backend_s3::{PayloadSigning, S3Config, S3ObjectStore};
use testkit::server::TestServer;
use writer_core::{ObjectStore as _, Result, Segment, WriterOptions};

const PART: usize = 8 << 20;
const LATENCY: Duration = Duration::from_millis(25);

#[tokio::main]
async fn main() -> Result<()> {
    let unknown = WriterOptions::default();
    let known = unknown.clone().with_expected_size(3 * PART as u64);
    upload(
        "3 parts, length known, written in eighths of a part",
        known,
        &[PART / 8; 24],
    )
    .await?;
    let and_one = [PART, 1, PART - 1, PART];
    upload(
        "3 parts, length not known: one part, one byte, the rest",
        unknown.clone(),
        &and_one,
    )
    .await?;
    upload("a small object", unknown, &[1000]).await
}

async fn upload(what: &str, options: WriterOptions, writes: &[usize]) -> Result<()> {
    let server = TestServer::builder().discard(true).latency(LATENCY);
    let server = server.start_on_threads(1)?;
    let config = S3Config::default()
        .with_endpoint_url(server.endpoint())
        .with_region(server.region())
        .with_credentials(server.access_key(), server.secret_key())
        .with_payload_signing(PayloadSigning::Never);
    let store = S3ObjectStore::connect(config).await?;
    // The first upload loads what later ones need.
    store.put("s3://test/warm", "x".into()).await?;
    server.clear_log();

    let data = vec![0x5a; PART];
    let mut writer = store.create_writer("s3://test/key", Some(options)).await?;
    let start = Instant::now();
    let mut written = Vec::new();
    for len in writes {
        // A producer of 1 GB/s.
        tokio::time::sleep(Duration::from_secs_f64(*len as f64 / 1e9)).await;
        writer
            .write_owned(Segment::from(data[..*len].to_vec()))
            .await?;
        written.push(start.elapsed());
    }
    let finish = start.elapsed();
    writer.finish().await?;
    let finished = start.elapsed();

    println!("{what}:\n\n| ms | |\n|---|---|");
    let mut lines = vec![
        (written[0], "the first write returns".to_owned()),
        (finish, "`finish` is called".to_owned()),
        (finished, "`finish` returns".to_owned()),
    ];
    for request in server.log() {
        let name = match request.part_number {
            Some(number) => format!("{} {number}", request.operation),
            None => request.operation.to_owned(),
        };
        let mut at = |at: Option<Instant>, text: &str| {
            lines.extend(at.map(|at| (at.duration_since(start), format!("{name}: {text}"))));
        };
        at(Some(request.at), "head at the server");
        at(request.first_body_byte_at, "first byte at the server");
        at(request.finished_at, "answer leaves the server");
    }
    lines.sort();
    for (at, line) in lines {
        println!("| {:.1} | {line} |", at.as_secs_f64() * 1e3);
    }
    println!();
    Ok(())
}
