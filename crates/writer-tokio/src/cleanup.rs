//! What is still being cleaned up, so that a store's `close` can wait for it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use writer_core::{Error, ErrorKind, Result};

/// The clean-ups of one store: of writers that were dropped, or are being opened.
#[derive(Debug, Default)]
pub struct CleanUps {
    running: watch::Sender<usize>,
    /// What could not be removed.
    stays: Mutex<Vec<String>>,
}

impl CleanUps {
    /// Counts as one clean-up under way until it is dropped.
    pub fn begin(self: &Arc<Self>) -> CleanUp {
        self.running.send_modify(|running| *running += 1);
        CleanUp(Arc::clone(self))
    }

    /// Waits until none is under way.
    ///
    /// # Errors
    ///
    /// If something could not be removed since the last call.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub async fn wait(&self) -> Result<()> {
        // The sender lives in `self`, so the channel can't be closed.
        let _closed = self
            .running
            .subscribe()
            .wait_for(|running| *running == 0)
            .await
            .is_err();
        let stays = std::mem::take(&mut *self.stays());
        if stays.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Other, stays.join("; ")))
    }

    /// Keeps what could not be removed, for `wait` to tell.
    pub fn report(&self, error: &Error) {
        self.stays().push(error.to_string());
    }

    fn stays(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.stays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One clean-up under way.
#[derive(Debug)]
#[must_use = "the clean-up counts as under way until this is dropped"]
pub struct CleanUp(Arc<CleanUps>);

impl CleanUp {
    /// Keeps what could not be removed, for [`CleanUps::wait`] to tell.
    pub fn failed(&self, error: &Error) {
        self.0.report(error);
    }
}

impl Drop for CleanUp {
    fn drop(&mut self) {
        self.0.running.send_modify(|running| *running -= 1);
    }
}
