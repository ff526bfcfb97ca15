//! The S3 writer against a server in this process that takes bodies and keeps nothing, and
//! streaming beside buffering where producer and network are equally fast.

#![allow(missing_docs, clippy::unwrap_used)]

use std::io::Write as _;
use std::time::{Duration, Instant};

use backend_s3::{PayloadSigning, S3Config, S3ObjectStore};
use bench::{MIB, Producer, Source, file_of, random, write};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use testkit::server::{Builder, TestServer};
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::Runtime;
use writer_core::{ObjectStore, WriterOptions};
use writer_tokio::copy_from;

const OBJECT: usize = 128 * MIB;
const LARGE: usize = 512 * MIB;
const URI: &str = "s3://bench/object";

/// A server that keeps nothing, and does as little as it can.
fn discarding() -> Builder {
    TestServer::builder()
        .bucket("bench")
        .discard(true)
        .hashing(false)
        .keep_log(false)
}

fn config(server: &TestServer) -> S3Config {
    S3Config::default()
        .with_endpoint_url(server.endpoint())
        .with_region(server.region())
        .with_credentials(server.access_key(), server.secret_key())
}

fn s3(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let server = discarding().start_on_threads(1).unwrap();
    let mut group = c.benchmark_group("s3");
    group.throughput(Throughput::Bytes(OBJECT as u64));
    for (signing, suffix) in [
        (PayloadSigning::Never, ""),
        (PayloadSigning::Always, "-signed"),
    ] {
        let config = config(&server).with_payload_signing(signing);
        let store = runtime.block_on(S3ObjectStore::connect(config)).unwrap();
        sources(&mut group, suffix, &runtime, &store);
    }
    group.finish();
}

/// The same over TLS, where payloads are not signed.
fn s3_tls(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let server = discarding().tls().start_on_threads(1).unwrap();
    let mut bundle = tempfile::NamedTempFile::new().unwrap();
    let pem = server.ca_pem().unwrap();
    bundle.write_all(pem.as_bytes()).unwrap();
    let config = config(&server).with_ca_bundle(bundle.path());
    let store = runtime.block_on(S3ObjectStore::connect(config)).unwrap();
    let mut group = c.benchmark_group("s3-tls");
    group.throughput(Throughput::Bytes(OBJECT as u64));
    sources(&mut group, "", &runtime, &store);
    group.finish();
}

/// The same object, borrowed, owned, and from a file.
fn sources(
    group: &mut BenchmarkGroup<'_, WallTime>,
    suffix: &str,
    runtime: &Runtime,
    store: &S3ObjectStore,
) {
    let data = random(OBJECT);
    let file = file_of(&data).unwrap();
    for (name, source) in [
        ("borrowed-64KiB", Source::Borrowed(64 * 1024)),
        ("owned-1MiB", Source::Owned(MIB)),
        ("file", Source::File),
    ] {
        group.bench_function(format!("{name}{suffix}"), |b| {
            b.to_async(runtime).iter(|| async {
                let options = WriterOptions::default();
                write(store, URI, source, &data, &file, options)
                    .await
                    .unwrap()
            });
        });
    }
}

/// A pipe that another thread writes to, read into pages of the budget.
fn pipe(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let server = discarding().start_on_threads(1).unwrap();
    let store = unsigned(&runtime, &server);
    let data = random(OBJECT);
    let mut group = c.benchmark_group("s3-pipe");
    group.throughput(Throughput::Bytes(OBJECT as u64));
    group.bench_function("copy-from", |b| {
        b.to_async(&runtime).iter(|| async {
            let (reader, mut writer) = std::io::pipe().unwrap();
            let data = data.clone();
            let producer = std::thread::spawn(move || writer.write_all(&data));
            let mut reader = Receiver::from_owned_fd(reader.into()).unwrap();
            let mut object = store.create_writer(URI, None).await.unwrap();
            copy_from(&mut reader, &mut *object).await.unwrap();
            object.finish().await.unwrap();
            producer.join().unwrap().unwrap();
        });
    });
    group.finish();
}

/// Objects of one request: what an object costs that its bytes do not.
fn small(c: &mut Criterion) {
    const OBJECTS: usize = 64;
    let runtime = Runtime::new().unwrap();
    let server = discarding().start_on_threads(1).unwrap();
    let store = unsigned(&runtime, &server);
    let data = random(16 * 1024);
    let put = async |number: usize| {
        let uri = format!("{URI}-{number}");
        store.put(&uri, data.clone().into()).await.unwrap()
    };
    let mut group = c.benchmark_group("s3-small");
    group.throughput(Throughput::Elements(OBJECTS as u64));
    group.bench_function("16KiB-in-turn", |b| {
        b.to_async(&runtime).iter(async || {
            for number in 0..OBJECTS {
                put(number).await;
            }
        });
    });
    group.bench_function("16KiB-side-by-side", |b| {
        b.to_async(&runtime)
            .iter(|| join_all((0..OBJECTS).map(put)));
    });
    group.finish();
}

/// A producer and a service of 200 MiB/s each: buffering takes the sum of both times.
fn streaming(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let server = discarding()
        .bandwidth(200 << 20)
        .start_on_threads(1)
        .unwrap();
    let store = unsigned(&runtime, &server);
    let mut group = c.benchmark_group("streaming");
    let options = WriterOptions::default();
    side_by_side(&mut group, &runtime, &store, LARGE, ("buffered", options));
    group.finish();
}

/// The same producer and a service like S3: 25 ms away, 80 MB/s for each connection. Beside the
/// parts that leave as they fill, one PutObject of all of it.
fn streaming_like_s3(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let server = discarding()
        .latency(Duration::from_millis(25))
        .connection_bandwidth(80_000_000)
        .start_on_threads(1)
        .unwrap();
    let store = unsigned(&runtime, &server);
    let mut group = c.benchmark_group("streaming-like-s3");
    let one_part = WriterOptions::default().with_part_size(OBJECT as u64);
    side_by_side(&mut group, &runtime, &store, OBJECT, ("one-put", one_part));
    group.finish();
}

/// A producer of 200 MiB/s whose bytes leave as they come, beside one that makes all of them first
/// and stores them as `buffered` says, under that name.
fn side_by_side(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    store: &S3ObjectStore,
    len: usize,
    (name, buffered): (&str, WriterOptions),
) {
    let producer = Producer {
        data: random(len),
        pace: Duration::from_millis(5),
    };
    group.sample_size(10);
    group.throughput(Throughput::Bytes(len as u64));
    group.bench_function("streamed", |b| {
        b.to_async(runtime)
            .iter(|| async { producer.stream(store, URI, WriterOptions::default()).await });
    });
    group.bench_function(name, |b| {
        b.to_async(runtime)
            .iter(|| async { producer.buffer(store, URI, buffered.clone()).await });
    });
}

fn unsigned(runtime: &Runtime, server: &TestServer) -> S3ObjectStore {
    let config = config(server)
        .with_payload_signing(PayloadSigning::Never)
        .with_memory(2 * LARGE as u64);
    runtime.block_on(S3ObjectStore::connect(config)).unwrap()
}

/// From the first byte that a producer writes to the first byte of a body that the server sees.
/// Of an unknown length, that is after a whole part and the answer to Create.
fn first_byte(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = c.benchmark_group("first-byte");
    for (name, latency, known) in [
        ("known-length", 0, true),
        ("unknown-length", 0, false),
        ("known-length-25ms", 25, true),
        ("unknown-length-25ms", 25, false),
    ] {
        let server = TestServer::builder()
            .bucket("bench")
            .discard(true)
            .hashing(false)
            .latency(Duration::from_millis(latency))
            .start_on_threads(1)
            .unwrap();
        let store = runtime.block_on(S3ObjectStore::connect(config(&server)));
        let store = store.unwrap();
        let data = random(16 * MIB);
        group.bench_function(name, |b| {
            b.to_async(&runtime).iter_custom(async |rounds| {
                let mut total = Duration::ZERO;
                for _ in 0..rounds {
                    server.clear_log();
                    let mut options = WriterOptions::default();
                    if known {
                        options = options.with_expected_size(data.len() as u64);
                    }
                    let mut writer = store.create_writer(URI, Some(options)).await.unwrap();
                    let start = Instant::now();
                    for chunk in data.chunks(MIB) {
                        writer.write_chunk(chunk).await.unwrap();
                    }
                    writer.finish().await.unwrap();
                    let log = server.log_of("UploadPart");
                    let first = log.iter().filter_map(|part| part.first_body_byte_at).min();
                    total += first.unwrap() - start;
                }
                total
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(6));
    targets = s3, s3_tls, pipe, small, streaming, streaming_like_s3, first_byte
}
criterion_main!(benches);
