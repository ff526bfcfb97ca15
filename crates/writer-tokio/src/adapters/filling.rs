//! A page of the budget that small writes fill, before it is handed on as a whole.

use writer_core::{Page, Segment};

/// A page, and how much of it is filled.
#[derive(Debug, Default)]
pub(super) struct Filling {
    page: Option<Box<dyn Page>>,
    filled: usize,
}

impl Filling {
    /// True if there is no page to fill.
    pub(super) fn needs_page(&self) -> bool {
        self.page.is_none()
    }

    pub(super) fn lend(&mut self, page: Box<dyn Page>) {
        self.page = Some(page);
    }

    /// Copies as much of `bytes` as fits, and says how much that was.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        let Some(page) = &mut self.page else { return 0 };
        let spare = &mut page.spare_mut()[self.filled..];
        let len = bytes.len().min(spare.len());
        spare[..len].copy_from_slice(&bytes[..len]);
        self.filled += len;
        len
    }

    /// True if nothing more fits.
    pub(super) fn is_full(&self) -> bool {
        let page = self.page.as_ref();
        page.is_some_and(|page| page.spare_len() == self.filled)
    }

    /// True if anything was filled.
    #[cfg(feature = "futures")]
    pub(super) fn has_some(&self) -> bool {
        self.filled > 0
    }

    /// What was filled, if anything was; the rest of the page stays.
    pub(super) fn take(&mut self) -> Option<Segment> {
        let page = self.page.as_mut().filter(|_| self.filled > 0)?;
        let segment = page.split(self.filled);
        self.filled = 0;
        if page.spare_len() == 0 {
            self.page = None;
        }
        Some(segment)
    }

    /// Gives the page back.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
