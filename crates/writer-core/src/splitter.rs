//! Cuts a stream of writes into parts, and never copies what it was given to own.

use std::fmt;
use std::mem;

use crate::{Error, ErrorKind, Page, Part, PartPlan, Result, Segment};

/// Owned segments of at most this many bytes are copied into the open page, if one has room:
/// a link and its owner cost more memory than the bytes, and as much time (4 KiB copy in 60 ns).
pub const COPY_THRESHOLD: usize = 4 * 1024;

/// Turns writes of any size into the parts of a [`PartPlan`].
///
/// Bytes go in by [`write`](Self::write) (copied into a page) and [`push`](Self::push) (linked);
/// after each, the caller takes the parts that are full with [`next_part`](Self::next_part).
/// The parts, joined, are the bytes that went in, and every part but the last has exactly the
/// size that the plan gives it.
///
/// The splitter has no memory of its own: it asks for a page by taking 0 bytes, and the caller,
/// who knows the budget, gives it one with [`supply`](Self::supply).
///
/// ```
/// use writer_core::{PartLimits, PartPlan, PartSplitter, WriterOptions};
///
/// let options = WriterOptions::default().with_part_size(4);
/// let mut splitter = PartSplitter::new(PartPlan::new(&options, PartLimits::NONE, 0)?);
/// splitter.push("abcdef".into())?;
/// let mut sizes = Vec::new();
/// sizes.extend(splitter.next_part().map(|part| part.len()));
/// splitter.finish()?;
/// sizes.extend(splitter.next_part().map(|part| part.len()));
/// assert_eq!(sizes, [4, 2]);
/// # Ok::<(), writer_core::Error>(())
/// ```
pub struct PartSplitter {
    plan: PartPlan,
    /// The part that fills. It holds more than its planned size for a moment, until the caller
    /// takes the full parts.
    open: Part,
    /// Planned size of `open`.
    target: u64,
    page: Option<Box<dyn Page>>,
    /// Bytes at the front of the page's spare room that `open` does not link yet. They are
    /// linked as one segment when something else must follow them.
    filled: usize,
    written: u64,
    copied: u64,
    finished: bool,
}

impl PartSplitter {
    /// A splitter at the beginning of an object.
    #[must_use]
    pub fn new(plan: PartPlan) -> Self {
        Self {
            target: plan.part_size(1),
            plan,
            open: Part::new(1, 0),
            page: None,
            filled: 0,
            written: 0,
            copied: 0,
            finished: false,
        }
    }

    /// The plan that the parts follow.
    #[must_use]
    pub fn plan(&self) -> &PartPlan {
        &self.plan
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.written
    }

    /// Bytes that were copied so far: all of [`write`](Self::write), and owned segments up to
    /// [`COPY_THRESHOLD`].
    #[must_use]
    pub fn bytes_copied(&self) -> u64 {
        self.copied
    }

    /// Bytes of the part that is not full yet.
    #[must_use]
    pub fn open_len(&self) -> u64 {
        self.open.len + self.filled as u64
    }

    /// The size that the open part will have when it is full.
    #[must_use]
    pub fn open_target(&self) -> u64 {
        self.target
    }

    /// Bytes that fit the page that was supplied last.
    #[must_use]
    pub fn spare_len(&self) -> usize {
        self.page
            .as_ref()
            .map_or(0, |page| page.spare_len() - self.filled)
    }

    /// Gives the splitter a page to copy into; the rest of the one before is given up.
    pub fn supply(&mut self, page: Box<dyn Page>) {
        self.seal();
        self.page = Some(page);
    }

    /// True if [`push`](Self::push) would copy `segment`, given room in a page.
    #[must_use]
    pub fn would_copy(segment: &Segment) -> bool {
        segment.charge() > 0 && segment.len() <= COPY_THRESHOLD as u64
    }

    /// Copies as much of `data` as fits the page, and says how much. 0 asks for a page.
    ///
    /// # Errors
    ///
    /// If all of `data` does not fit the object ([`ErrorKind::LimitExceeded`], or
    /// [`ErrorKind::InvalidInput`] if its size was said) or the object is finished
    /// ([`ErrorKind::Closed`]). Nothing of `data` is taken then.
    pub fn write(&mut self, data: &[u8]) -> Result<usize> {
        self.check(data.len() as u64)?;
        let taken = self.copy(data);
        self.written += taken as u64;
        Ok(taken)
    }

    /// Takes all of `segment`, by reference: no byte is copied, except of a segment that
    /// [`would_copy`](Self::would_copy), as far as the page has room.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn push(&mut self, mut segment: Segment) -> Result<()> {
        self.check(segment.len())?;
        self.written += segment.len();
        if Self::would_copy(&segment)
            && let Segment::Memory(bytes) = &segment
        {
            let copied = self.copy(bytes.as_ref());
            let _copied = segment.split_to(copied as u64);
        }
        if !segment.is_empty() {
            self.seal();
            self.open.push(segment);
        }
        Ok(())
    }

    /// The next part that is full, if one is.
    ///
    /// The first part of an object of unknown size is full only when a byte follows it, because
    /// until then it may be the whole object. Where the size is known, the last part is full with
    /// the last byte; otherwise it comes after [`finish`](Self::finish).
    pub fn next_part(&mut self) -> Option<Part> {
        let len = self.open_len();
        let end = self.open.offset + len;
        if len > self.target {
            return Some(self.cut(self.target));
        }
        let complete = self.plan.total() == Some(end);
        let follows_another = self.open.number > 1;
        let full = len == self.target && (follows_another || self.plan.total().is_some());
        // An empty object is one empty part; any other has no empty one.
        let rest = if follows_another { len > 0 } else { true };
        if full || (complete && len > 0) || (self.finished && rest) {
            let last = complete || self.finished;
            let mut part = self.cut(len);
            part.last = last;
            return Some(part);
        }
        None
    }

    /// Ends the object: what is left comes out of [`next_part`](Self::next_part).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the size was said beforehand and is not reached;
    /// [`ErrorKind::Closed`] if it was called before.
    pub fn finish(&mut self) -> Result<()> {
        self.check(0)?;
        if let Some(total) = self.plan.total()
            && self.written < total
        {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "the object was said to have {total} bytes, but only {} were written",
                    self.written
                ),
            ));
        }
        self.finished = true;
        Ok(())
    }

    fn check(&self, more: u64) -> Result<()> {
        if self.finished {
            return Err(Error::new(ErrorKind::Closed, "the object is finished"));
        }
        let size = self.written.saturating_add(more);
        if size > self.plan.total().unwrap_or(self.plan.ceiling()) {
            return Err(self.plan.too_large(size));
        }
        Ok(())
    }

    fn copy(&mut self, data: &[u8]) -> usize {
        let Some(page) = &mut self.page else {
            return 0;
        };
        let spare = &mut page.spare_mut()[self.filled..];
        let taken = spare.len().min(data.len());
        spare[..taken].copy_from_slice(&data[..taken]);
        let full = taken == spare.len();
        self.filled += taken;
        self.copied += taken as u64;
        if full {
            self.seal();
            self.page = None;
        }
        taken
    }

    /// Links what was copied into the page since it was last linked.
    fn seal(&mut self) {
        let filled = mem::take(&mut self.filled);
        if filled > 0
            && let Some(page) = &mut self.page
        {
            let segment = page.split(filled);
            self.open.push(segment);
        }
    }

    /// Cuts the first `size` bytes off the open part; the rest opens the next.
    fn cut(&mut self, size: u64) -> Part {
        self.seal();
        let next = Part::new(self.open.number + 1, self.open.offset + size);
        let mut part = mem::replace(&mut self.open, next);
        self.target = self.plan.part_size(self.open.number);

        // Only the segment that came last can reach over the boundary, so this is one round.
        let mut over = Vec::new();
        while part.len > size
            && let Some(mut tail) = part.segments.pop()
        {
            part.len -= tail.len();
            if part.len < size {
                let head = tail.split_to(size - part.len);
                part.len += head.len();
                part.segments.push(head);
            }
            over.push(tail);
        }
        for segment in over.into_iter().rev() {
            self.open.push(segment);
        }
        part
    }
}

impl fmt::Debug for PartSplitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartSplitter")
            .field("plan", &self.plan)
            .field("part", &self.open.number)
            .field("open_len", &self.open_len())
            .field("written", &self.written)
            .field("copied", &self.copied)
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}
