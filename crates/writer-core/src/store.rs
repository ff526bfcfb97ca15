//! The trait that opens writers, and looks at what they wrote.

use std::fmt;

use crate::{BoxFuture, ObjectMetadata, ObjectWriter, Result, Segment, WriterOptions};

/// Which bytes of an object to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ByteRange {
    /// All of them.
    #[default]
    Full,
    /// From `start` to before `end`; an end past the object's is its end.
    Bounded {
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
    /// From this byte to the end.
    From(u64),
    /// The last so many bytes, or all if there are fewer.
    Last(u64),
}

impl ByteRange {
    /// The first byte and the length of this range in an object of `size` bytes; `None` if it
    /// begins at or after the end (an empty object has the empty range `(0, 0)`, if asked for
    /// in full).
    #[must_use]
    pub fn resolve(self, size: u64) -> Option<(u64, u64)> {
        let (start, end) = match self {
            Self::Full => return Some((0, size)),
            Self::Bounded { start, end } => (start, end.min(size)),
            Self::From(start) => (start, size),
            Self::Last(n) => (size - n.min(size), size),
        };
        (start < end).then(|| (start, end - start))
    }
}

/// As in HTTP, whose ends count: `0-9`, `10-`, `-5`, and `all` for all of them.
///
/// ```
/// use writer_core::ByteRange;
///
/// assert_eq!(ByteRange::Bounded { start: 0, end: 10 }.to_string(), "0-9");
/// assert_eq!(ByteRange::From(10).to_string(), "10-");
/// ```
impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Full => f.write_str("all"),
            Self::Bounded { start, end } if start < end => write!(f, "{start}-{}", end - 1),
            // It holds nothing, for which HTTP has no way.
            Self::Bounded { start, end } => write!(f, "{start}..{end}"),
            Self::From(start) => write!(f, "{start}-"),
            Self::Last(n) => write!(f, "-{n}"),
        }
    }
}

/// A place that holds objects, named by URIs.
///
/// Cheap to share: one store is meant for a whole program, because its memory budget covers all
/// writers that it opened.
///
/// A URI that is not of this store's scheme, or names no object, is
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) to every method.
pub trait ObjectStore: Send + Sync {
    /// Opens a writer for the object at `uri`. `None` as options means
    /// [`WriterOptions::from_env`].
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a URI that names no object of this
    /// store or options out of bounds, [`LimitExceeded`](crate::ErrorKind::LimitExceeded) for an
    /// expected size that can't be stored. What needs the network or the disk may fail here or
    /// later, on a write: so [`AlreadyExists`](crate::ErrorKind::AlreadyExists), which `finish`
    /// decides.
    ///
    /// # Cancellation
    ///
    /// Safe: nothing stays.
    fn create_writer<'life0, 'life1, 'async_trait>(
        &'life0 self,
        uri: &'life1 str,
        options: Option<WriterOptions>,
    ) -> BoxFuture<'async_trait, Result<Box<dyn ObjectWriter>>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait;

    /// Stores `data`, which is all there, as the object at `uri`: the buffered way. The same as
    /// a writer with the options of the environment and the size of `data`.
    ///
    /// # Errors
    ///
    /// As [`create_writer`](Self::create_writer) and [`ObjectWriter::finish`].
    ///
    /// # Cancellation
    ///
    /// As [`ObjectWriter::finish`].
    fn put<'life0, 'life1, 'async_trait>(
        &'life0 self,
        uri: &'life1 str,
        data: Segment,
    ) -> BoxFuture<'async_trait, Result<ObjectMetadata>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait;

    /// What is known of the object at `uri`.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is none.
    ///
    /// # Cancellation
    ///
    /// Safe.
    fn stat<'life0, 'life1, 'async_trait>(
        &'life0 self,
        uri: &'life1 str,
    ) -> BoxFuture<'async_trait, Result<ObjectMetadata>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait;

    /// Reads the object at `uri`, or a range of it, as a stream.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is none;
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a range without a byte in the object,
    /// as [`ByteRange::resolve`] says.
    ///
    /// # Cancellation
    ///
    /// Safe.
    fn get<'life0, 'life1, 'async_trait>(
        &'life0 self,
        uri: &'life1 str,
        range: ByteRange,
    ) -> BoxFuture<'async_trait, Result<Box<dyn ObjectReader>>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait;

    /// Lists the objects whose URI begins with `prefix`, taken literally, in no promised order.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if the bucket does not exist. A prefix that no
    /// object has gives an empty list, on a file system also one in a missing directory.
    ///
    /// # Cancellation
    ///
    /// Safe.
    fn list<'life0, 'life1, 'async_trait>(
        &'life0 self,
        prefix: &'life1 str,
    ) -> BoxFuture<'async_trait, Result<Box<dyn ObjectLister>>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait;

    /// Removes the object at `uri`. That there is none is no error.
    ///
    /// # Errors
    ///
    /// If it is there and can't be removed.
    ///
    /// # Cancellation
    ///
    /// The object may be removed or not.
    fn delete<'life0, 'life1, 'async_trait>(
        &'life0 self,
        uri: &'life1 str,
    ) -> BoxFuture<'async_trait, Result<()>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait;

    /// Waits until the clean-up of writers that were dropped is done. Call it before the program
    /// ends; writers that are still open are not touched.
    ///
    /// # Errors
    ///
    /// If something could not be removed; the text says what stays.
    ///
    /// # Cancellation
    ///
    /// Safe: the clean-up goes on, and another call waits for it.
    fn close<'life0, 'async_trait>(&'life0 self) -> BoxFuture<'async_trait, Result<()>>
    where
        'life0: 'async_trait,
        Self: 'async_trait;
}

/// The bytes of one object, or of a range of it, as they come.
pub trait ObjectReader: Send {
    /// What is known of the whole object.
    fn metadata(&self) -> &ObjectMetadata;

    /// The next bytes; `None` at the end. Never an empty segment, and never a file range.
    ///
    /// # Errors
    ///
    /// If they can't be read; the bytes so far are a prefix of the object.
    ///
    /// # Cancellation
    ///
    /// Safe: no byte is lost.
    fn next_chunk<'life0, 'async_trait>(
        &'life0 mut self,
    ) -> BoxFuture<'async_trait, Result<Option<Segment>>>
    where
        'life0: 'async_trait,
        Self: 'async_trait;
}

/// The objects of a listing, as they come.
pub trait ObjectLister: Send {
    /// Some more objects; `None` at the end.
    ///
    /// # Errors
    ///
    /// If the listing can't go on.
    ///
    /// # Cancellation
    ///
    /// Safe: no object is lost.
    fn next_batch<'life0, 'async_trait>(
        &'life0 mut self,
    ) -> BoxFuture<'async_trait, Result<Option<Vec<ObjectMetadata>>>>
    where
        'life0: 'async_trait,
        Self: 'async_trait;
}

impl fmt::Debug for dyn ObjectReader + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectReader")
            .field("metadata", self.metadata())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for dyn ObjectLister + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectLister").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clipped_to_the_object() {
        let bounded = |start, end| ByteRange::Bounded { start, end };
        assert_eq!(ByteRange::Full.resolve(0), Some((0, 0)));
        assert_eq!(bounded(2, 5).resolve(10), Some((2, 3)));
        assert_eq!(bounded(2, 50).resolve(10), Some((2, 8)));
        assert_eq!(bounded(10, 50).resolve(10), None);
        assert_eq!(bounded(5, 2).resolve(10), None);
        assert_eq!(ByteRange::From(9).resolve(10), Some((9, 1)));
        assert_eq!(ByteRange::From(10).resolve(10), None);
        assert_eq!(ByteRange::Last(3).resolve(10), Some((7, 3)));
        assert_eq!(ByteRange::Last(30).resolve(10), Some((0, 10)));
        assert_eq!(ByteRange::Last(0).resolve(10), None);

        let texts = [
            (ByteRange::Full, "all"),
            (bounded(0, 1), "0-0"),
            (bounded(5, 5), "5..5"),
            (ByteRange::Last(3), "-3"),
        ];
        for (range, text) in texts {
            assert_eq!(range.to_string(), text);
        }
    }
}
