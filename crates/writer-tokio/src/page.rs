//! The one place with `unsafe`: memory that is filled at its end while its beginning is shared.

#![allow(unsafe_code)]

use std::alloc::{Layout, handle_alloc_error};
use std::fmt;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::MmapMut;
use writer_core::{Page, Segment};

use crate::pool::{Held, Pool};

/// `size` bytes of zeros, for pages.
///
/// From the kernel: for a page of 256 KiB, `malloc` asks it for 4 KiB more to keep a header in, 8 MiB
/// for a budget of 512.
pub(crate) fn allocate(size: usize) -> MmapMut {
    MmapMut::map_anon(size).unwrap_or_else(|_out_of_memory| {
        // Sizes are far below `isize::MAX`, what fits no address space can't be charged.
        handle_alloc_error(Layout::array::<u8>(size).unwrap_or(Layout::new::<u8>()))
    })
}

/// Memory of a budget, lent to one producer.
pub(crate) struct BudgetPage {
    frame: Arc<Frame>,
}

impl BudgetPage {
    /// A page over `memory`, which counts as `held`, and goes back to `pool` with the last segment
    /// that shares it.
    pub(crate) fn new(mut memory: MmapMut, held: Arc<Held>, pool: Arc<Pool>) -> Self {
        Self {
            frame: Arc::new(Frame {
                start: NonNull::from(&mut memory[..]).cast(),
                len: memory.len(),
                memory: Some(memory),
                filled: AtomicUsize::new(0),
                held,
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
    /// Start of `memory`, which has `len` bytes, and is reached through this pointer only.
    start: NonNull<u8>,
    len: usize,
    memory: Option<MmapMut>,
    /// Bytes below are frozen and may be read by anyone; bytes from here on belong to the page.
    filled: AtomicUsize,
    held: Arc<Held>,
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
        if let Some(memory) = self.memory.take() {
            self.held.sub(memory.len() as u64);
            self.pool.release_page(memory);
        }
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

    fn page_of(size: usize) -> BudgetPage {
        let held = Arc::new(Held::default());
        held.add(size as u64);
        BudgetPage::new(allocate(size), held, Pool::new(1 << 20))
    }

    #[test]
    fn what_was_split_stays_while_the_rest_is_filled() {
        let mut page = page_of(8);
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
        let mut page = page_of(4_096);
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
