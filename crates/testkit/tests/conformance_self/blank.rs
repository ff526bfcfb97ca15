//! A page that forgets what it was filled with.

use writer_core::{Page, Segment};

/// A page that gives out as many zeros as were filled.
pub(crate) struct Blank(pub(crate) Box<dyn Page>);

impl Page for Blank {
    fn spare_mut(&mut self) -> &mut [u8] {
        self.0.spare_mut()
    }

    fn spare_len(&self) -> usize {
        self.0.spare_len()
    }

    fn split(&mut self, filled: usize) -> Segment {
        vec![0; self.0.split(filled).len() as usize].into()
    }
}
