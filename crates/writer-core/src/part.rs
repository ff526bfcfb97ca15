//! One part of an object: a short list of segments.

use crate::Segment;

/// A part that is ready to be stored: a rope of segments with its place in the object.
///
/// Cloning a part clones handles, not bytes, so a retry costs nothing.
#[derive(Clone, Debug)]
pub struct Part {
    pub(crate) number: u32,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) last: bool,
    pub(crate) segments: Vec<Segment>,
}

impl Part {
    pub(crate) fn new(number: u32, offset: u64) -> Self {
        Self {
            number,
            offset,
            len: 0,
            last: false,
            segments: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, segment: Segment) {
        if segment.is_empty() {
            return;
        }
        self.len += segment.len();
        let strange = match self.segments.last_mut() {
            Some(tail) => tail.try_join(segment),
            None => Some(segment),
        };
        self.segments.extend(strange);
    }

    /// The part number, from 1, as S3 counts.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Where the part begins in the object, in bytes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True for the part of an empty object.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True if the splitter knew, when it cut the part, that no other follows.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// True if this part is the whole object, which then needs no multipart upload.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.last && self.number == 1
    }

    /// The segments, in order. None of them is empty.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Bytes of memory held here that no page of a budget accounts for; see [`Segment::charge`].
    #[must_use]
    pub fn charge(&self) -> u64 {
        self.segments.iter().map(Segment::charge).sum()
    }

    /// True if any byte of the part is read from a file when it is stored.
    #[must_use]
    pub fn reads_files(&self) -> bool {
        self.segments
            .iter()
            .any(|segment| matches!(segment, Segment::File(_)))
    }

    /// True if any byte of the part is held in memory, admitted or not.
    #[must_use]
    pub fn holds_memory(&self) -> bool {
        self.segments
            .iter()
            .any(|segment| matches!(segment, Segment::Memory(_)))
    }
}
