//! What each way in costs, beside the writer's own calls: parts are cut and forgotten.

#![allow(missing_docs, clippy::unwrap_used)]

use std::io::Write as _;

use bench::{DiscardWriter, MIB, random};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::SinkExt;
use tokio::io::AsyncWriteExt as _;
use tokio::runtime::{Builder, Runtime};
use writer_core::{ObjectMetadata, ObjectWriter};
use writer_tokio::{AsyncObjectWriter, BlockingObjectWriter, MemoryBudget, copy_from};

const OBJECT: usize = 64 * MIB;
const CHUNK: usize = 64 * 1024;

async fn chunks(mut writer: Box<dyn ObjectWriter>, data: Bytes) -> ObjectMetadata {
    for chunk in data.chunks(CHUNK) {
        writer.write_chunk(chunk).await.unwrap();
    }
    writer.finish().await.unwrap()
}

async fn owned(mut writer: Box<dyn ObjectWriter>, mut data: Bytes) -> ObjectMetadata {
    while !data.is_empty() {
        let chunk = data.split_to(CHUNK.min(data.len()));
        writer.write_owned(chunk.into()).await.unwrap();
    }
    writer.finish().await.unwrap()
}

async fn async_write(writer: Box<dyn ObjectWriter>, data: Bytes) -> ObjectMetadata {
    let mut writer = AsyncObjectWriter::new(writer);
    for chunk in data.chunks(CHUNK) {
        writer.write_all(chunk).await.unwrap();
    }
    writer.shutdown().await.unwrap();
    writer.into_receipt().unwrap()
}

async fn sink(writer: Box<dyn ObjectWriter>, mut data: Bytes) -> ObjectMetadata {
    let mut writer = AsyncObjectWriter::new(writer);
    while !data.is_empty() {
        let chunk = data.split_to(CHUNK.min(data.len()));
        writer.feed(chunk).await.unwrap();
    }
    SinkExt::<Bytes>::close(&mut writer).await.unwrap();
    writer.into_receipt().unwrap()
}

async fn copy(mut writer: Box<dyn ObjectWriter>, data: Bytes) -> ObjectMetadata {
    copy_from(&mut &data[..], &mut *writer).await.unwrap();
    writer.finish().await.unwrap()
}

fn blocking(writer: Box<dyn ObjectWriter>, data: &Bytes, runtime: &Runtime) -> ObjectMetadata {
    let mut writer = BlockingObjectWriter::new(writer, runtime.handle().clone());
    for chunk in data.chunks(CHUNK) {
        writer.write_all(chunk).unwrap();
    }
    writer.finish().unwrap()
}

fn adapters(c: &mut Criterion) {
    // One worker, so that nothing but the adapters runs; `Blocking` waits beside it.
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let data = random(OBJECT);
    let budget = MemoryBudget::new(128 << 20).unwrap();
    let writer = || -> Box<dyn ObjectWriter> { Box::new(DiscardWriter::new(&budget).unwrap()) };

    let mut group = c.benchmark_group("adapters");
    group.throughput(Throughput::Bytes(OBJECT as u64));
    group.bench_function("write-chunk", |b| {
        b.to_async(&runtime).iter(|| chunks(writer(), data.clone()));
    });
    group.bench_function("write-owned", |b| {
        b.to_async(&runtime).iter(|| owned(writer(), data.clone()));
    });
    group.bench_function("async-write", |b| {
        b.to_async(&runtime)
            .iter(|| async_write(writer(), data.clone()));
    });
    group.bench_function("sink", |b| {
        b.to_async(&runtime).iter(|| sink(writer(), data.clone()));
    });
    group.bench_function("copy-from", |b| {
        b.to_async(&runtime).iter(|| copy(writer(), data.clone()));
    });
    group.bench_function("std-write", |b| {
        b.iter(|| blocking(writer(), &data, &runtime));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = adapters
}
criterion_main!(benches);
