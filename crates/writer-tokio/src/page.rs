//! The one place with `unsafe`: memory that is filled at its end while its beginning is shared.

#![allow(unsafe_code)]

use std::fmt;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use writer_core::{Page, Segment};

use crate::pool::Pool;

/// Memory of a budget, lent to one producer.
pub(crate) struct BudgetPage {
    frame: Arc<Frame>,
}

impl BudgetPage {
    /// A page over `memory`; both go back to `pool` with the last segment that shares them.
    pub(crate) fn new(memory: Box<[u8]>, pool: Arc<Pool>) -> Self {
        let len = memory.len();
        // The pointer of a box is never null.
        let start = NonNull::from(Box::leak(memory)).cast();
        Self {
            frame: Arc::new(Frame {
                start,
                len,
                filled: AtomicUsize::new(0),
                pool,
            }),
        }
    }

    fn filled(&self) -> usize {
        // Only `split`, through `&mut self`, changes it.
        self.frame.filled.load(Ordering::Relaxed)
    }
}

impl Page for BudgetPage {
    fn spare_mut(&mut self) -> &mut [u8] {
        let filled = self.filled();
        // SAFETY: `filled <= len`, so the range lies within the allocation, which is initialised.
        // It is not aliased: `Frame::as_ref` gives out bytes below `filled` only, `filled` never
        // shrinks, and `&mut self` makes this the only writer (a `BudgetPage` is not `Clone`, and
        // no other type writes through `start`).
        unsafe {
            slice::from_raw_parts_mut(self.frame.start.as_ptr().add(filled), self.spare_len())
        }
    }

    fn spare_len(&self) -> usize {
        self.frame.len - self.filled()
    }

    fn split(&mut self, filled: usize) -> Segment {
        assert!(filled <= self.spare_len(), "more bytes than the page has");
        let start = self.filled();
        let end = start + filled;
        // Release: whoever sees the new end sees the bytes below it.
        self.frame.filled.store(end, Ordering::Release);
        let owner: Arc<Frame> = Arc::clone(&self.frame);
        Segment::admitted(owner, start..end)
    }
}

impl fmt::Debug for BudgetPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BudgetPage")
            .field("len", &self.frame.len)
            .field("filled", &self.filled())
            .finish()
    }
}

/// The memory of a page, owned together by the page and the segments cut from it.
struct Frame {
    /// Start of a leaked `Box<[u8]>` of `len` bytes.
    start: NonNull<u8>,
    len: usize,
    /// Bytes below are frozen and may be read by anyone; bytes from here on belong to the page.
    filled: AtomicUsize,
    pool: Arc<Pool>,
}

// SAFETY: the frozen bytes are only read, the others are reached through one `&mut BudgetPage`,
// and the boundary between them is atomic; see `BudgetPage::spare_mut`.
unsafe impl Send for Frame {}
// SAFETY: as for `Send`.
unsafe impl Sync for Frame {}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        let filled = self.filled.load(Ordering::Acquire);
        // SAFETY: the bytes below `filled` are within the allocation, initialised, and nobody
        // writes to them any more; see `BudgetPage::spare_mut`.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), filled) }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let memory = ptr::slice_from_raw_parts_mut(self.start.as_ptr(), self.len);
        // SAFETY: `start` and `len` are those of the box that `BudgetPage::new` leaked, and the
        // frame, being dropped, is the last that knows them.
        let memory = unsafe { Box::from_raw(memory) };
        self.pool.release_page(memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(segment: &Segment) -> &[u8] {
        match segment {
            Segment::Memory(bytes) => bytes.as_ref(),
            Segment::File(_) => panic!("not memory"),
        }
    }

    #[test]
    fn what_was_split_stays_while_the_rest_is_filled() {
        let pool = Pool::new(1 << 20);
        let mut page = BudgetPage::new(vec![0; 8].into_boxed_slice(), pool);
        page.spare_mut()[..3].copy_from_slice(b"abc");
        let head = page.split(3);
        assert_eq!(page.spare_len(), 5);
        page.spare_mut()[..2].copy_from_slice(b"de");
        let tail = page.split(2);
        page.spare_mut().fill(b'z');
        drop(page);
        assert_eq!((bytes(&head), bytes(&tail)), (&b"abc"[..], &b"de"[..]));
    }

    #[test]
    fn a_reader_on_another_thread_sees_what_was_split() {
        let pool = Pool::new(1 << 20);
        let mut page = BudgetPage::new(vec![0; 4_096].into_boxed_slice(), pool);
        let (send, receive) = std::sync::mpsc::channel::<(u8, Segment)>();
        let reader = std::thread::spawn(move || {
            for (value, segment) in receive {
                assert!(bytes(&segment).iter().all(|b| *b == value));
            }
        });
        for value in 1..=128 {
            page.spare_mut()[..32].fill(value);
            send.send((value, page.split(32))).unwrap();
        }
        drop(send);
        reader.join().unwrap();
    }
}
