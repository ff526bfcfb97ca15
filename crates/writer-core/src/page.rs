//! Memory that a budget has admitted, on its way from being filled to being shared.

use std::fmt;
use std::mem;

use crate::Segment;

/// A buffer that is filled from the front and handed on in pieces, without a copy.
///
/// A writer's [`reserve`](crate::ObjectWriter::reserve) lends one; [`split`](Page::split) turns
/// the bytes that were filled into a [`Segment`] for
/// [`write_owned`](crate::ObjectWriter::write_owned). The unfilled rest stays with the page, so
/// a short read wastes nothing. Dropping the page and every segment cut from it returns the
/// memory to its budget.
pub trait Page: Send {
    /// The bytes that are not filled yet. They are initialised (with zeros, or with what an
    /// earlier use left there).
    fn spare_mut(&mut self) -> &mut [u8];

    /// How many bytes [`spare_mut`](Page::spare_mut) gives.
    fn spare_len(&self) -> usize;

    /// Freezes the first `filled` spare bytes and returns them as a segment; the page goes on
    /// with the rest.
    ///
    /// # Panics
    ///
    /// If `filled` is more than [`spare_len`](Page::spare_len).
    fn split(&mut self, filled: usize) -> Segment;
}

/// A page of the heap, which no budget accounts for: for small things, and for tests.
///
/// What is cut from it is charged like any segment that a producer owns.
#[derive(Clone, Debug, Default)]
pub struct HeapPage(Vec<u8>);

impl HeapPage {
    /// A page of `len` bytes.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self(vec![0; len])
    }
}

impl Page for HeapPage {
    fn spare_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    fn spare_len(&self) -> usize {
        self.0.len()
    }

    fn split(&mut self, filled: usize) -> Segment {
        let rest = self.0.split_off(filled);
        Segment::from(mem::replace(&mut self.0, rest))
    }
}

impl fmt::Debug for dyn Page + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("spare_len", &self.spare_len())
            .finish_non_exhaustive()
    }
}
