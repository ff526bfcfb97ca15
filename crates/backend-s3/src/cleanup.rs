//! Counts the clean-ups of writers that were dropped, so that `close` can wait for them.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use writer_core::{Error, Result};

/// The clean-ups of one store.
#[derive(Clone, Debug)]
pub(crate) struct Cleanups {
    running: Arc<watch::Sender<usize>>,
    failed: Arc<Mutex<Option<Error>>>,
}

impl Default for Cleanups {
    fn default() -> Self {
        Self {
            running: Arc::new(watch::Sender::new(0)),
            failed: Arc::default(),
        }
    }
}

impl Cleanups {
    /// Counts one clean-up until the guard is dropped.
    pub(crate) fn begin(&self) -> Cleanup {
        self.running.send_modify(|running| *running += 1);
        Cleanup(self.clone())
    }

    /// Waits until none is running; gives the first that failed since the last call.
    pub(crate) async fn wait(&self) -> Result<()> {
        let mut running = self.running.subscribe();
        // Fails only without a sender, and `self` is one.
        let _none = running.wait_for(|running| *running == 0).await;
        match self.failed().take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Option<Error>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One clean-up that is running.
#[derive(Debug)]
pub(crate) struct Cleanup(Cleanups);

impl Cleanup {
    /// Keeps what went wrong for [`Cleanups::wait`].
    pub(crate) fn failed(&self, error: Error) {
        self.0.failed().get_or_insert(error);
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        self.0.running.send_modify(|running| *running -= 1);
    }
}
