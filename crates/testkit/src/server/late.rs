//! Work that a server does after its client may have gone.

use tokio::sync::watch;

/// Counts the work that is still to come.
#[derive(Clone, Debug, Default)]
pub(super) struct Late(watch::Sender<usize>);

impl Late {
    /// One piece of work, which is to come until the result drops.
    pub(super) fn begin(&self) -> Coming {
        self.0.send_modify(|coming| *coming += 1);
        Coming(self.clone())
    }

    /// Waits until nothing is to come. Cancellation safe.
    pub(super) async fn done(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|coming| *coming == 0).await;
    }
}

#[derive(Debug)]
pub(super) struct Coming(Late);

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.0.send_modify(|coming| *coming -= 1);
    }
}
