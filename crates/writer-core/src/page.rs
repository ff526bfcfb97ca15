//! Memory that a budget has admitted, on its way from being filled to being shared.

use std::fmt;

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

impl fmt::Debug for dyn Page + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("spare_len", &self.spare_len())
            .finish_non_exhaustive()
    }
}
