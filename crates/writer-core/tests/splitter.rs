//! The splitter against a trivial model: a list of bytes, cut where the plan says.

#![allow(clippy::unwrap_used)]

#[path = "splitter/model.rs"]
mod model;

use std::fs::File;
use std::sync::Arc;

use model::{Case, Write, check};
use proptest::prelude::*;
use writer_core::{
    COPY_THRESHOLD, ErrorKind, PartLimits, PartPlan, PartSizing, PartSplitter, Segment,
    WriterOptions,
};

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
        sizing in prop_oneof![
            Just(PartSizing::Auto),
            Just(PartSizing::Uniform),
            Just(PartSizing::Fixed),
        ],
    ) {
        prop_assume!(check(&Case { writes, part_size, page_len, known, sizing }));
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
