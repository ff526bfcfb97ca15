//! The file-system writer, durable as it always is, beside the same bytes written by hand.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs::File;
use std::io::Write as _;

use backend_fs::FileSystemObjectStore;
use bench::{MIB, Source, file_of, random, write};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use tokio::runtime::Runtime;
use writer_core::{ObjectStore as _, WriterOptions};

const OBJECT: usize = 64 * MIB;

fn fs(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("file://{}/object", folder.path().display());
    let store = FileSystemObjectStore::new().unwrap();
    let data = random(OBJECT);
    let file = file_of(&data).unwrap();

    let mut group = c.benchmark_group("fs");
    group.throughput(Throughput::Bytes(OBJECT as u64));
    for (name, source) in [
        ("borrowed-64KiB", Source::Borrowed(64 * 1024)),
        ("owned-1MiB", Source::Owned(MIB)),
        ("file", Source::File),
        ("buffered", Source::Buffered),
    ] {
        group.bench_function(name, |b| {
            b.to_async(&runtime).iter(|| async {
                let options = WriterOptions::default();
                write(&store, &uri, source, &data, &file, options)
                    .await
                    .unwrap()
            });
        });
    }
    let path = folder.path().join("by-hand");
    group.bench_function("by-hand-write-sync", |b| {
        b.iter(|| {
            let mut file = File::create(&path).unwrap();
            for chunk in data.chunks(MIB) {
                file.write_all(chunk).unwrap();
            }
            file.sync_all().unwrap();
        });
    });
    group.finish();
}

/// Objects of one page and less, one after another and side by side: what an object costs that its
/// bytes do not.
fn small(c: &mut Criterion) {
    const OBJECTS: usize = 64;
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = FileSystemObjectStore::new().unwrap();
    let data = random(16 * 1024);
    let put = async |number: usize| {
        let uri = format!("file://{}/{number}", folder.path().display());
        store.put(&uri, data.clone().into()).await.unwrap()
    };
    let mut group = c.benchmark_group("fs-small");
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

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = fs, small
}
criterion_main!(benches);
