//! What a producer hands over: shared bytes of any owner, or a range of an open file.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

/// A run of bytes that is moved, cut and sent without being copied.
///
/// Anything that owns bytes converts into one: `Vec<u8>`, `String`, `Arc<[u8]>`, `&'static [u8]`,
/// `bytes::Bytes`, a memory map. A file range is a `Segment` too; it is read by the backend, or
/// never, where the kernel can copy it.
///
/// Cutting moves two offsets and clones an [`Arc`], so its cost does not depend on the length.
/// A small piece of a large owner keeps the whole owner alive until the piece is sent.
///
/// ```
/// use writer_core::Segment;
///
/// let mut rest = Segment::from(vec![1, 2, 3, 4, 5]);
/// let head = rest.split_to(2);
/// assert_eq!((head.len(), rest.len()), (2, 3));
/// ```
#[derive(Clone, Debug)]
pub enum Segment {
    /// Bytes in memory.
    Memory(SharedBytes),
    /// Bytes of a file, which nothing in this crate reads.
    File(FileRange),
}

impl Segment {
    /// A segment of `range.end - range.start` bytes of `file`, from offset `range.start`.
    ///
    /// An inverted range is empty. The file must not change until the writer has finished; a
    /// backend that finds its size or modification time changed fails with
    /// [`ErrorKind::SourceChanged`](crate::ErrorKind::SourceChanged).
    #[must_use]
    pub fn file(file: Arc<File>, range: Range<u64>) -> Self {
        Self::File(FileRange {
            len: range.end.saturating_sub(range.start),
            offset: range.start,
            file,
        })
    }

    /// Bytes that a memory budget has already admitted, as a [`Page`](crate::Page) hands them out:
    /// a writer does not charge them a second time.
    #[must_use]
    pub fn admitted(owner: Arc<dyn AsRef<[u8]> + Send + Sync>, range: Range<usize>) -> Self {
        let len = range.end.saturating_sub(range.start);
        Self::Memory(SharedBytes {
            owner,
            start: range.start,
            len,
            admitted: true,
        })
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len as u64,
            Self::File(range) => range.len,
        }
    }

    /// True if there is no byte in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, where they are in memory: `None` for a file range, which somebody has to read.
    ///
    /// What an [`ObjectReader`](crate::ObjectReader) gives always is in memory.
    ///
    /// ```
    /// use writer_core::Segment;
    ///
    /// assert_eq!(Segment::from("abc").as_bytes(), Some(&b"abc"[..]));
    /// ```
    ///
    /// # Panics
    ///
    /// If the owner gives fewer bytes than it did at first, as that of [`SharedBytes`] does.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Memory(bytes) => Some(bytes.as_ref()),
            Self::File(_) => None,
        }
    }

    /// Bytes of memory that this segment adds to what its writer holds: 0 for a file range and
    /// for memory that a budget admitted before.
    #[must_use]
    pub fn charge(&self) -> u64 {
        match self {
            Self::Memory(bytes) if !bytes.admitted => bytes.len as u64,
            _ => 0,
        }
    }

    /// Cuts the first `at` bytes off and returns them; `self` keeps the rest. Where there are
    /// fewer than `at` bytes, all of them are returned. Copies nothing.
    #[must_use]
    pub fn split_to(&mut self, at: u64) -> Self {
        match self {
            Self::Memory(bytes) => {
                // A longer cut than usize can say is a cut of everything.
                let at = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len);
                let mut head = bytes.clone();
                head.len = at;
                bytes.start += at;
                bytes.len -= at;
                Self::Memory(head)
            }
            Self::File(range) => {
                let at = at.min(range.len);
                let mut head = range.clone();
                head.len = at;
                range.offset += at;
                range.len -= at;
                Self::File(head)
            }
        }
    }

    /// Grows `self` by `next` if that is the continuation of the same owner's bytes; gives `next`
    /// back otherwise. Keeps the list of a part short when a page or a file arrives in many cuts.
    pub(crate) fn try_join(&mut self, next: Self) -> Option<Self> {
        match (&mut *self, &next) {
            (Self::Memory(a), Self::Memory(b))
                if Arc::as_ptr(&a.owner).addr() == Arc::as_ptr(&b.owner).addr()
                    && a.admitted == b.admitted
                    && a.start + a.len == b.start =>
            {
                a.len += b.len;
                None
            }
            (Self::File(a), Self::File(b))
                if Arc::ptr_eq(&a.file, &b.file) && a.offset + a.len == b.offset =>
            {
                a.len += b.len;
                None
            }
            _ => Some(next),
        }
    }
}

impl<T: AsRef<[u8]> + Send + Sync + 'static> From<T> for Segment {
    fn from(owner: T) -> Self {
        let len = owner.as_ref().len();
        Self::Memory(SharedBytes {
            owner: Arc::new(owner),
            start: 0,
            len,
            admitted: false,
        })
    }
}

/// A view of bytes that someone owns: what [`Segment::Memory`] holds.
///
/// Cheap to clone. `AsRef<[u8]>` gives the bytes, so it can be handed to any library that takes an
/// owner of bytes (`bytes::Bytes::from_owner`, for one).
#[derive(Clone)]
pub struct SharedBytes {
    owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
    start: usize,
    len: usize,
    admitted: bool,
}

impl AsRef<[u8]> for SharedBytes {
    /// # Panics
    ///
    /// If the owner's `as_ref` gives fewer bytes than it did at first, which breaks the contract
    /// of an owner that is shared.
    fn as_ref(&self) -> &[u8] {
        &(*self.owner).as_ref()[self.start..self.start + self.len]
    }
}

impl fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBytes")
            .field("start", &self.start)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// A range of an open file: what [`Segment::File`] holds.
///
/// Reads must be positional (`pread`): the descriptor is shared, and its cursor is nobody's.
#[derive(Clone, Debug)]
pub struct FileRange {
    file: Arc<File>,
    offset: u64,
    len: u64,
}

impl FileRange {
    /// The open file.
    #[must_use]
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Offset of the first byte, in bytes from the start of the file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True if there is no byte in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(segment: &Segment) -> &[u8] {
        segment.as_bytes().expect("in memory")
    }

    #[test]
    fn cutting_moves_offsets_and_shares_the_owner() {
        let owner: Arc<[u8]> = Arc::from(&b"abcdef"[..]);
        let mut rest = Segment::from(Arc::clone(&owner));
        let head = rest.split_to(4);
        assert_eq!(bytes(&head), b"abcd");
        assert_eq!(bytes(&rest), b"ef");
        assert_eq!(bytes(&head).as_ptr(), owner.as_ptr());
        assert_eq!(bytes(&rest).as_ptr(), owner[4..].as_ptr());
    }

    #[test]
    fn a_cut_past_the_end_takes_everything() {
        let mut rest = Segment::from("abc");
        assert_eq!(rest.split_to(u64::MAX).len(), 3);
        assert!(rest.is_empty());
    }

    #[test]
    fn a_file_range_is_not_in_memory() {
        let file = File::open("/dev/null").expect("it is always there");
        assert_eq!(Segment::file(Arc::new(file), 0..3).as_bytes(), None);
    }

    #[test]
    fn neighbours_join_and_strangers_do_not() {
        let mut tail = Segment::from("abcdef");
        let mut head = tail.split_to(2);
        let middle = tail.split_to(2);
        assert!(head.try_join(middle).is_none());
        assert_eq!(bytes(&head), b"abcd");
        assert!(head.try_join(Segment::from("xy")).is_some());
        assert!(head.try_join(tail).is_none());
        assert_eq!(bytes(&head), b"abcdef");
    }

    #[test]
    fn only_memory_that_nobody_admitted_is_charged() {
        assert_eq!(Segment::from("abc").charge(), 3);
        assert_eq!(Segment::admitted(Arc::new("abc"), 0..3).charge(), 0);
    }
}
