//! What is counted. What a case is made of is prepared before, and does not count.

use std::hint::black_box;

use writer_core::{
    Crc64Nvme, HeapPage, Page, PartLimits, PartPlan, PartSplitter, Segment, WriterOptions,
    split_scheme,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Bytes of the object that is cut.
const OBJECT: usize = 64 * MIB;

/// Bytes of a page, as the budget has them.
const PAGE: usize = 256 * KIB;

/// Parts of the largest object that S3 takes.
const MOST_PARTS: u32 = 10_000;

type Prepare = fn() -> Box<dyn FnOnce()>;

/// All cases by name.
pub(crate) const CASES: [(&str, Prepare); 11] = [
    ("splitter/owned-8MiB", || owned(8 * MIB)),
    ("splitter/owned-8MiB+1", || owned(8 * MIB + 1)),
    ("splitter/owned-64KiB", || owned(64 * KIB)),
    ("splitter/owned-1KiB", || owned(KIB)),
    ("splitter/borrowed-64KiB", || borrowed(64 * KIB)),
    ("splitter/borrowed-100B", || borrowed(100)),
    ("plan/known-length", || plan(Some(5 << 40))),
    ("plan/unknown-length", || plan(None)),
    ("part/rope-of-1000", rope),
    ("crc/combine-10000", combine),
    ("uri/split", uri),
];

fn splitter() -> PartSplitter {
    let plan = PartPlan::new(&WriterOptions::default(), PartLimits::S3, 128 << 20);
    PartSplitter::new(known(plan))
}

/// What can't fail, because it is the same every time.
fn known<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error:?}"),
    }
}

/// Segments of `size` bytes that are linked, or copied where they are tiny.
fn owned(size: usize) -> Box<dyn FnOnce()> {
    let mut rest = Segment::from(vec![1_u8; OBJECT]);
    let mut splitter = splitter();
    let mut pages = pages(if size < 16 * KIB {
        OBJECT / PAGE + 1
    } else {
        0
    });
    Box::new(move || {
        while !rest.is_empty() {
            let segment = rest.split_to(size as u64);
            // The bytes of a segment that is copied may need another page each time.
            if PartSplitter::would_copy(&segment)
                && splitter.spare_len() < size
                && let Some(page) = pages.pop()
            {
                splitter.supply(page);
            }
            known(splitter.push(segment));
            take_parts(&mut splitter);
        }
        known(splitter.finish());
        take_parts(&mut splitter);
    })
}

/// Chunks of `size` bytes that are copied into pages.
fn borrowed(size: usize) -> Box<dyn FnOnce()> {
    let data = vec![1_u8; OBJECT / 4];
    let mut splitter = splitter();
    let mut pages = pages(OBJECT / 4 / PAGE + 1);
    Box::new(move || {
        for chunk in data.chunks(size) {
            let mut rest = chunk;
            while !rest.is_empty() {
                let taken = known(splitter.write(rest));
                rest = &rest[taken..];
                take_parts(&mut splitter);
                if taken == 0 {
                    match pages.pop() {
                        Some(page) => splitter.supply(page),
                        None => return,
                    }
                }
            }
        }
        known(splitter.finish());
        take_parts(&mut splitter);
    })
}

fn pages(count: usize) -> Vec<Box<dyn Page>> {
    let page = || -> Box<dyn Page> { Box::new(HeapPage::new(PAGE)) };
    std::iter::repeat_with(page).take(count).collect()
}

fn take_parts(splitter: &mut PartSplitter) {
    while let Some(part) = splitter.next_part() {
        black_box(part);
    }
}

/// The sizes of all parts of an object.
fn plan(size: Option<u64>) -> Box<dyn FnOnce()> {
    Box::new(move || {
        let options = WriterOptions::default();
        let options = match size {
            Some(size) => options.with_expected_size(size),
            None => options,
        };
        let plan = known(PartPlan::new(&options, PartLimits::S3, 128 << 20));
        for number in 1..=MOST_PARTS {
            black_box(plan.part_size(number));
        }
        black_box(plan.part_count(5 << 40));
    })
}

/// A part of a thousand segments, walked through, as a request does.
fn rope() -> Box<dyn FnOnce()> {
    let mut splitter = splitter();
    for _ in 0..1000 {
        known(splitter.push(Segment::from(vec![1_u8; 8 * KIB])));
    }
    Box::new(move || {
        known(splitter.finish());
        let part = splitter.next_part();
        for part in part.iter() {
            black_box((part.charge(), part.reads_files(), part.holds_memory()));
            for segment in part.segments() {
                black_box(segment.clone());
            }
        }
    })
}

/// The checksum of an object from those of its parts.
fn combine() -> Box<dyn FnOnce()> {
    Box::new(|| {
        let mut whole = Crc64Nvme(0);
        for number in 0..u64::from(MOST_PARTS) {
            whole = whole.followed_by(Crc64Nvme(black_box(number)), 8 << 20);
        }
        black_box(whole);
    })
}

fn uri() -> Box<dyn FnOnce()> {
    Box::new(|| {
        for _ in 0..1000 {
            black_box(split_scheme(black_box("s3://bucket/a/long/enough/key")));
        }
    })
}
