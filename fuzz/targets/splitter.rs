//! The splitter against the model that its tests use.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use writer_core::PartSizing;

#[path = "../../crates/writer-core/tests/splitter/model.rs"]
mod model;

use model::{Case, Write, check};

/// Most writes of one case: the model keeps a record of each byte.
const MOST: usize = 12;

#[derive(Arbitrary, Debug)]
struct Input {
    writes: Vec<Step>,
    part_size: u16,
    page_len: u16,
    known: bool,
    sizing: u8,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Borrowed(u16),
    Owned(u16),
    File(u32, u16),
}

/// Lengths below two thresholds of copying, so that both ways are taken.
fn len(value: u16) -> usize {
    usize::from(value % 9_000)
}

fuzz_target!(|input: Input| {
    let writes = input.writes.into_iter().take(MOST).map(|step| match step {
        Step::Borrowed(n) => Write::Borrowed(len(n)),
        Step::Owned(n) => Write::Owned(len(n)),
        Step::File(offset, n) => Write::File(offset.into(), len(n) as u64),
    });
    let _has_room = check(&Case {
        writes: writes.collect(),
        part_size: u64::from(input.part_size).max(1),
        page_len: usize::from(input.page_len).max(1),
        known: input.known,
        sizing: match input.sizing % 3 {
            0 => PartSizing::Auto,
            1 => PartSizing::Uniform,
            _ => PartSizing::Fixed,
        },
    });
});
