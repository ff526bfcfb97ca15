//! The part splitter: what one call costs, and how far a copy is from `memcpy`.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use bench::{MIB, random};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Builder;
use writer_core::{PartLimits, PartPlan, PartSplitter, Segment, WriterOptions};
use writer_tokio::{MemoryBudget, OpenPart};

const OBJECT: usize = 256 * MIB;

fn splitter() -> PartSplitter {
    let plan = PartPlan::new(&WriterOptions::default(), PartLimits::S3, 128 << 20);
    PartSplitter::new(plan.unwrap())
}

/// Linked, whatever the length: the time is that of the calls.
fn owned(c: &mut Criterion) {
    let mut group = c.benchmark_group("splitter/owned");
    let data = random(OBJECT);
    for (name, size) in [
        ("aligned-8MiB", 8 * MIB),
        ("unaligned-8MiB+1", 8 * MIB + 1),
        ("unaligned-3MiB", 3 * MIB),
        ("small-64KiB", 64 * 1024),
    ] {
        group.throughput(Throughput::Elements(OBJECT.div_ceil(size) as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut splitter = splitter();
                let mut rest = Segment::from(data.clone());
                while !rest.is_empty() {
                    splitter.push(rest.split_to(size as u64)).unwrap();
                    while let Some(part) = splitter.next_part() {
                        black_box(part);
                    }
                }
                splitter.finish().unwrap();
                black_box(splitter.next_part());
                assert_eq!(splitter.bytes_copied(), 0);
            });
        });
    }
    group.finish();
}

/// Copied once, into pages that are warm from the part before; beside a plain copy.
fn borrowed(c: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let mut group = c.benchmark_group("splitter/borrowed");
    group.throughput(Throughput::Bytes(OBJECT as u64));
    let data = random(OBJECT);
    let open = OpenPart { len: 0, target: 0 };
    for (name, size) in [("64KiB", 64 * 1024), ("1MiB", MIB), ("100B", 100)] {
        let budget = MemoryBudget::new(128 << 20).unwrap();
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut account = budget.open_account();
                let mut splitter = splitter();
                for chunk in data.chunks(size) {
                    let mut rest = chunk;
                    loop {
                        let taken = splitter.write(rest).unwrap();
                        rest = &rest[taken..];
                        while let Some(part) = splitter.next_part() {
                            black_box(part);
                        }
                        if rest.is_empty() {
                            break;
                        }
                        let page = runtime.block_on(account.page(0, open)).unwrap();
                        splitter.supply(page);
                    }
                }
            });
        });
    }
    let mut warm = vec![1; 8 * MIB];
    group.bench_function("memcpy", |b| {
        b.iter(|| {
            for part in data.chunks(warm.len()) {
                warm[..part.len()].copy_from_slice(part);
                black_box(&mut warm);
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = owned, borrowed
}
criterion_main!(benches);
