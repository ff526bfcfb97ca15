//! Part plans: within the service's limits, and large enough for what they take.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use writer_core::{ErrorKind, PartLimits, PartPlan, PartSizing, WriterOptions};

/// Up to so many parts are added up one by one.
const COUNTED: u32 = 20_000;

#[derive(Arbitrary, Debug)]
struct Input {
    part_size: u64,
    expected_size: Option<u64>,
    sizing: u8,
    limits: Option<Limits>,
    memory: u64,
    /// How large the object turns out to be.
    len: u64,
}

#[derive(Arbitrary, Debug)]
struct Limits {
    min_part_size: u64,
    max_part_size: u64,
    max_parts: u32,
    max_object_size: u64,
}

fuzz_target!(|input: Input| {
    let limits = match &input.limits {
        None => PartLimits::S3,
        Some(limits) => PartLimits {
            min_part_size: limits.min_part_size,
            max_part_size: limits.max_part_size,
            max_parts: limits.max_parts,
            max_object_size: limits.max_object_size,
        },
    };
    let mut options = WriterOptions::default()
        .with_part_size(input.part_size)
        .with_part_sizing(match input.sizing % 3 {
            0 => PartSizing::Auto,
            1 => PartSizing::Uniform,
            _ => PartSizing::Fixed,
        });
    options.expected_size = input.expected_size;
    match PartPlan::new(&options, limits, input.memory) {
        Ok(plan) => check(&plan, limits, &input),
        Err(error) => assert!(matches!(
            error.kind(),
            ErrorKind::InvalidInput | ErrorKind::LimitExceeded
        )),
    }
});

fn check(plan: &PartPlan, limits: PartLimits, input: &Input) {
    assert!(plan.ceiling() <= limits.max_object_size);
    assert_eq!(plan.total(), input.expected_size);
    if let Some(total) = plan.total() {
        assert!(
            total <= plan.ceiling(),
            "what was said does not fit {plan:?}"
        );
    }
    let lens = [plan.ceiling(), input.len, input.len % plan.ceiling().max(1)];
    for len in lens.into_iter().chain(plan.total()) {
        let Some(count) = plan.part_count(len) else {
            assert!(len > plan.ceiling(), "{len} of {plan:?}");
            continue;
        };
        assert!(
            (1..=limits.max_parts).contains(&count),
            "{count} parts of {plan:?}"
        );
        adds_up(plan, limits, len, count);
    }
}

/// `count` parts hold `len` bytes, and one fewer do not.
fn adds_up(plan: &PartPlan, limits: PartLimits, len: u64, count: u32) {
    if count > COUNTED {
        return;
    }
    let (mut before, mut smallest) = (0u128, 0);
    for number in 1..=count {
        let size = plan.part_size(number);
        assert!(
            size >= smallest,
            "part {number} is smaller than the one before it"
        );
        assert!((limits.min_part_size..=limits.max_part_size).contains(&size));
        smallest = size;
        if number < count {
            before += u128::from(size);
        }
    }
    assert!(
        before < u128::from(len).max(1),
        "part {count} of {len} bytes is empty"
    );
    let held = before + u128::from(plan.part_size(count));
    assert!(
        held >= u128::from(len),
        "{count} parts hold {held} of {len} bytes"
    );
}
