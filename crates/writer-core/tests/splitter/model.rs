//! The model: a list of bytes, cut where the plan says. Tests and the fuzzer try the splitter
//! against it.

use std::fs::File;
use std::sync::Arc;

use writer_core::{
    HeapPage, Part, PartLimits, PartPlan, PartSizing, PartSplitter, Segment, WriterOptions,
};

/// An object, and how it is written.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) writes: Vec<Write>,
    pub(crate) part_size: u64,
    pub(crate) page_len: usize,
    /// The length is said beforehand.
    pub(crate) known: bool,
    pub(crate) sizing: PartSizing,
}

/// One write of a producer.
#[derive(Clone, Debug)]
pub(crate) enum Write {
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

/// Compares the splitter with the model; false if the plan has no room for the object.
pub(crate) fn check(case: &Case) -> bool {
    // Never read: /dev/null has none of the bytes that the ranges name.
    let file = Arc::new(File::open("/dev/null").unwrap());
    let lens = case.writes.iter().map(|write| match write {
        Write::Borrowed(n) | Write::Owned(n) => *n as u64,
        Write::File(_, n) => *n,
    });
    let len: u64 = lens.sum();
    let mut options = WriterOptions::default()
        .with_part_size(case.part_size)
        .with_part_sizing(case.sizing);
    if case.known {
        options = options.with_expected_size(len);
    }
    // Limits as small as the sizes, so that known lengths raise the size and unknown grow.
    let limits = PartLimits {
        max_parts: 40_000,
        max_part_size: 1 << 40,
        ..PartLimits::NONE
    };
    let Ok(plan) = PartPlan::new(&options, limits, 4 * case.part_size) else {
        return false;
    };
    if len > plan.ceiling() {
        return false;
    }
    let mut run = Run::new(plan.clone(), case.page_len);
    for write in &case.writes {
        run.apply(write, &file);
    }
    let before_finish = run.parts.len();
    run.splitter.finish().unwrap();
    run.drain();
    assert_eq!(run.splitter.next_part().map(|part| part.len()), None);

    // Joined, the parts are the input, and linked bytes are where the producer put them.
    assert!(flatten(&run.parts, &run.model) == run.model);
    // Copied: the borrowed bytes, once, and nothing else.
    assert_eq!(run.splitter.bytes_copied(), run.borrowed);
    assert_eq!(run.splitter.bytes_written(), len);

    // Sizes, numbers and offsets are the plan's.
    assert_eq!(Some(run.parts.len() as u32), plan.part_count(len));
    let mut offset = 0;
    for (i, part) in run.parts.iter().enumerate() {
        let number = i as u32 + 1;
        assert_eq!(part.number(), number);
        assert_eq!(part.offset(), offset);
        if i + 1 < run.parts.len() {
            assert_eq!(part.len(), plan.part_size(number));
            assert!(!part.is_last());
        } else {
            assert!(part.len() <= plan.part_size(number));
        }
        offset += part.len();
    }

    // Parts leave as soon as they are known to be parts.
    let full = if case.known {
        if len == 0 { 0 } else { run.parts.len() }
    } else {
        let ended_full = run.parts.len() > 1
            && run.parts.last().unwrap().len() == plan.part_size(run.parts.len() as u32);
        run.parts.len() - usize::from(!ended_full)
    };
    assert_eq!(before_finish, full);
    if case.known || before_finish < run.parts.len() {
        assert!(run.parts.last().unwrap().is_last());
    }
    true
}
