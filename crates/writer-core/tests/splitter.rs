//! The splitter against a trivial model: a list of bytes, cut where the plan says.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::sync::Arc;

use proptest::prelude::*;
use writer_core::{
    COPY_THRESHOLD, ErrorKind, HeapPage, Part, PartLimits, PartPlan, PartSizing, PartSplitter,
    Segment, WriterOptions,
};

/// One write of a producer.
#[derive(Clone, Debug)]
enum Write {
    Borrowed(usize),
    Owned(usize),
    File(u64, u64),
}

/// One byte of the stream: what it is, and, for linked memory, where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Byte {
    Copied(u8),
    Linked(u8, usize),
    File(u64),
}

struct Run {
    splitter: PartSplitter,
    parts: Vec<Part>,
    page_len: usize,
    model: Vec<Byte>,
    borrowed: u64,
    seed: u8,
}

impl Run {
    fn new(plan: PartPlan, page_len: usize) -> Self {
        Self {
            splitter: PartSplitter::new(plan),
            parts: Vec::new(),
            page_len,
            model: Vec::new(),
            borrowed: 0,
            seed: 0,
        }
    }

    fn apply(&mut self, write: &Write, file: &Arc<File>) {
        match *write {
            Write::Borrowed(len) => {
                let data = self.data(len);
                self.model.extend(data.iter().map(|b| Byte::Copied(*b)));
                self.borrowed += len as u64;
                let mut rest = &data[..];
                while !rest.is_empty() {
                    let taken = self.splitter.write(rest).unwrap();
                    rest = &rest[taken..];
                    if taken == 0 {
                        self.splitter.supply(Box::new(HeapPage::new(self.page_len)));
                    }
                    self.drain();
                }
            }
            Write::Owned(len) => {
                let data = self.data(len);
                let segment = Segment::from(data.clone());
                if PartSplitter::would_copy(&segment) {
                    self.splitter
                        .supply(Box::new(HeapPage::new(len.max(self.page_len))));
                    self.borrowed += len as u64;
                    self.model.extend(data.iter().map(|b| Byte::Copied(*b)));
                } else if let Segment::Memory(shared) = &segment {
                    let at = shared.as_ref().as_ptr().addr();
                    self.model.extend(
                        data.iter()
                            .enumerate()
                            .map(|(i, b)| Byte::Linked(*b, at + i)),
                    );
                }
                self.splitter.push(segment).unwrap();
            }
            Write::File(offset, len) => {
                self.model.extend((offset..offset + len).map(Byte::File));
                self.splitter
                    .push(Segment::file(Arc::clone(file), offset..offset + len))
                    .unwrap();
            }
        }
        self.drain();
    }

    fn data(&mut self, len: usize) -> Vec<u8> {
        self.seed = self.seed.wrapping_add(1);
        (0..len)
            .map(|i| (i as u8).wrapping_mul(self.seed))
            .collect()
    }

    fn drain(&mut self) {
        while let Some(part) = self.splitter.next_part() {
            self.parts.push(part);
        }
    }
}

/// What the parts hold, told apart as the model tells it.
fn flatten(parts: &[Part], model: &[Byte]) -> Vec<Byte> {
    let mut bytes = Vec::with_capacity(model.len());
    for segment in parts.iter().flat_map(Part::segments) {
        match segment {
            Segment::Memory(shared) => {
                for (i, b) in shared.as_ref().iter().enumerate() {
                    let at = shared.as_ref().as_ptr().addr() + i;
                    bytes.push(match model.get(bytes.len()) {
                        Some(Byte::Linked(..)) => Byte::Linked(*b, at),
                        _ => Byte::Copied(*b),
                    });
                }
            }
            Segment::File(range) => {
                bytes.extend((range.offset()..range.offset() + range.len()).map(Byte::File));
            }
        }
    }
    bytes
}

fn write() -> impl Strategy<Value = Write> {
    let edge = COPY_THRESHOLD;
    prop_oneof![
        prop_oneof![0usize..40, 0usize..20_000].prop_map(Write::Borrowed),
        prop_oneof![0usize..40, edge - 2..edge + 3, 0usize..20_000].prop_map(Write::Owned),
        (0u64..1 << 40, 0u64..20_000).prop_map(|(offset, len)| Write::File(offset, len)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn parts_are_the_input_cut_by_the_plan(
        writes in prop::collection::vec(write(), 0..24),
        part_size in prop_oneof![1u64..64, 1_000u64..30_000],
        page_len in prop_oneof![1usize..64, 4_096usize..20_000],
        known in any::<bool>(),
        sizing in prop_oneof![Just(PartSizing::Auto), Just(PartSizing::Uniform)],
    ) {
        // Never read: /dev/null has none of the bytes that the ranges name.
        let file = Arc::new(File::open("/dev/null").unwrap());
        let len: u64 = writes.iter().map(|write| match write {
            Write::Borrowed(n) | Write::Owned(n) => *n as u64,
            Write::File(_, n) => *n,
        }).sum();
        let mut options = WriterOptions::default()
            .with_part_size(part_size)
            .with_part_sizing(sizing);
        if known {
            options = options.with_expected_size(len);
        }
        // Limits as small as the sizes, so that known lengths raise the size and unknown grow.
        let limits = PartLimits { max_parts: 40_000, max_part_size: 1 << 40, ..PartLimits::NONE };
        let plan = PartPlan::new(&options, limits, 4 * part_size).unwrap();
        let mut run = Run::new(plan.clone(), page_len);
        prop_assume!(len <= plan.ceiling());
        for write in &writes {
            run.apply(write, &file);
        }
        let before_finish = run.parts.len();
        run.splitter.finish().unwrap();
        run.drain();
        prop_assert_eq!(run.splitter.next_part().map(|part| part.len()), None);

        // Joined, the parts are the input, and linked bytes are where the producer put them.
        prop_assert!(flatten(&run.parts, &run.model) == run.model);
        // Copied: the borrowed bytes, once, and nothing else.
        prop_assert_eq!(run.splitter.bytes_copied(), run.borrowed);
        prop_assert_eq!(run.splitter.bytes_written(), len);

        // Sizes, numbers and offsets are the plan's.
        prop_assert_eq!(Some(run.parts.len() as u32), plan.part_count(len));
        let mut offset = 0;
        for (i, part) in run.parts.iter().enumerate() {
            let number = i as u32 + 1;
            prop_assert_eq!(part.number(), number);
            prop_assert_eq!(part.offset(), offset);
            if i + 1 < run.parts.len() {
                prop_assert_eq!(part.len(), plan.part_size(number));
                prop_assert!(!part.is_last());
            } else {
                prop_assert!(part.len() <= plan.part_size(number));
            }
            offset += part.len();
        }

        // Parts leave as soon as they are known to be parts.
        let full = if known {
            if len == 0 { 0 } else { run.parts.len() }
        } else {
            let ended_full = run.parts.len() > 1
                && run.parts.last().unwrap().len() == plan.part_size(run.parts.len() as u32);
            run.parts.len() - usize::from(!ended_full)
        };
        prop_assert_eq!(before_finish, full);
        if known || before_finish < run.parts.len() {
            prop_assert!(run.parts.last().unwrap().is_last());
        }
    }
}

fn splitter(options: &WriterOptions, limits: PartLimits) -> PartSplitter {
    PartSplitter::new(PartPlan::new(options, limits, 0).unwrap())
}

#[test]
fn a_first_part_leaves_with_the_byte_after_it() {
    let options = WriterOptions::default().with_part_size(10_000);
    let mut splitter = splitter(&options, PartLimits::NONE);
    splitter.push(vec![1; 10_000].into()).unwrap();
    assert!(splitter.next_part().is_none());
    splitter.push(vec![1; 1].into()).unwrap();
    assert_eq!(splitter.next_part().unwrap().len(), 10_000);
    assert!(splitter.next_part().is_none());
}

#[test]
fn a_first_part_of_known_length_leaves_when_it_is_full() {
    let options = WriterOptions::default()
        .with_part_size(10_000)
        .with_expected_size(10_000);
    let mut splitter = splitter(&options, PartLimits::NONE);
    splitter.push(vec![1; 10_000].into()).unwrap();
    assert!(splitter.next_part().unwrap().is_whole());
    splitter.finish().unwrap();
    assert!(splitter.next_part().is_none());
}

#[test]
fn an_empty_object_is_one_empty_part() {
    for options in [
        WriterOptions::default(),
        WriterOptions::default().with_expected_size(0),
    ] {
        let mut splitter = splitter(&options, PartLimits::S3);
        assert!(splitter.next_part().is_none());
        splitter.finish().unwrap();
        let part = splitter.next_part().unwrap();
        assert!(part.is_whole() && part.is_empty());
        assert!(splitter.next_part().is_none());
    }
}

#[test]
fn the_largest_object_of_s3_splits_into_10000_parts() {
    let largest = PartLimits::S3.max_object_size;
    let options = WriterOptions::default().with_expected_size(largest);
    let mut splitter = splitter(&options, PartLimits::S3);
    let file = Arc::new(File::open("/dev/null").unwrap());
    splitter.push(Segment::file(file, 0..largest)).unwrap();
    let mut parts = 0;
    while let Some(part) = splitter.next_part() {
        assert_eq!(part.len(), 5 << 30);
        parts += 1;
    }
    assert_eq!(parts, 10_000);
}

#[test]
fn the_write_that_crosses_the_ceiling_fails_and_takes_nothing() {
    let limits = PartLimits {
        max_parts: 3,
        ..PartLimits::NONE
    };
    let options = WriterOptions::default().with_part_size(5_000);
    let mut splitter = splitter(&options, limits);
    splitter.push(vec![0; 14_999].into()).unwrap();
    let error = splitter.push(vec![0; 2].into()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert!(error.message().contains("15000"), "{error}");
    assert_eq!(splitter.bytes_written(), 14_999);
    let error = splitter.write(&[0; 2]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
}

#[test]
fn more_or_less_than_was_said_fails() {
    let options = WriterOptions::default().with_expected_size(10);
    let mut splitter = splitter(&options, PartLimits::S3);
    splitter.push("123456789".into()).unwrap();
    let short = splitter.finish().unwrap_err();
    assert_eq!(short.kind(), ErrorKind::InvalidInput);
    assert!(short.message().contains("only 9"), "{short}");
    let long = splitter.push("12".into()).unwrap_err();
    assert_eq!(long.kind(), ErrorKind::InvalidInput);
    assert!(long.message().contains("said to be 10"), "{long}");
}

#[test]
fn nothing_can_follow_finish() {
    let mut splitter = splitter(&WriterOptions::default(), PartLimits::S3);
    splitter.finish().unwrap();
    assert_eq!(
        splitter.push("x".into()).unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert_eq!(splitter.finish().unwrap_err().kind(), ErrorKind::Closed);
}
