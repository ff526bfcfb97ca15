//! One sync of a directory for everyone who waits for it.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use writer_core::Result;

/// Told when the sync that covers it has ended.
pub(crate) type Synced = Box<dyn FnOnce(Result<()>) + Send>;

/// The directories that are being synced, each with those who wait for its next sync.
///
/// A sync covers what was in its directory before it began. So whoever comes while one runs waits
/// for the next, together with all others who come until then: however many writers finish, there
/// is one sync after another, and nobody waits for more than two.
#[derive(Default)]
pub(crate) struct SharedSyncs(Mutex<HashMap<PathBuf, Vec<Synced>>>);

impl SharedSyncs {
    /// Has `directory` synced, and `synced` told of it. Where nobody is at it, that is up to the
    /// caller, who is given the lead.
    #[must_use = "nobody syncs unless the one who has the lead does"]
    pub(crate) fn join(&self, directory: &Path, synced: Synced) -> Option<Lead<'_>> {
        let mut waiting = self.lock();
        if let Some(others) = waiting.get_mut(directory) {
            others.push(synced);
            return None;
        }
        waiting.insert(directory.to_owned(), vec![synced]);
        Some(Lead {
            syncs: self,
            directory: directory.to_owned(),
            ended: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Vec<Synced>>> {
        // No code that holds the lock can panic half way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedSyncs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.lock().keys()).finish()
    }
}

/// The duty to sync a directory for as long as someone waits for it.
#[derive(Debug)]
pub(crate) struct Lead<'a> {
    syncs: &'a SharedSyncs,
    directory: PathBuf,
    ended: bool,
}

impl Lead<'_> {
    /// Calls `sync` until nobody waits any more.
    pub(crate) fn run(mut self, sync: impl Fn(&Path) -> Result<()>) {
        while let Some(waiting) = self.next() {
            let result = sync(&self.directory);
            for synced in waiting {
                synced(result.clone());
            }
        }
    }

    /// Those who have come so far; `None` once there are none, which ends the lead.
    fn next(&mut self) -> Option<Vec<Synced>> {
        let mut directories = self.syncs.lock();
        let waiting = std::mem::take(directories.get_mut(&self.directory)?);
        if waiting.is_empty() {
            directories.remove(&self.directory);
            self.ended = true;
            return None;
        }
        Some(waiting)
    }
}

impl Drop for Lead<'_> {
    /// A lead that is lost (in a panic) must not leave others waiting for it: they are dropped
    /// without being told.
    fn drop(&mut self) {
        if !self.ended {
            let lost = self.syncs.lock().remove(&self.directory);
            // Not under the lock: what they wake is not ours.
            drop(lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::mpsc;
    use writer_core::{Error, ErrorKind};

    const HERE: &str = "/d";

    fn waiter() -> (Synced, mpsc::Receiver<Result<()>>) {
        let (sender, receiver) = mpsc::channel();
        let synced = move |result| sender.send(result).unwrap();
        (Box::new(synced), receiver)
    }

    #[test]
    fn who_comes_during_a_sync_waits_for_the_next_one_with_all_others() {
        let syncs = SharedSyncs::default();
        let here = Path::new(HERE);
        let (first, first_told) = waiter();
        let lead = syncs.join(here, first).unwrap();
        let (synced, late_told): (Vec<Synced>, Vec<_>) = (0..5).map(|_| waiter()).unzip();
        let (rounds, late) = (Cell::new(0), Cell::new(synced));
        lead.run(|directory| {
            assert_eq!(directory, here);
            rounds.set(rounds.get() + 1);
            for synced in late.take() {
                assert!(syncs.join(here, synced).is_none());
            }
            // Nobody has been told of a sync that has not ended.
            assert!(late_told.iter().all(|told| told.try_recv().is_err()));
            Ok(())
        });
        assert_eq!(rounds.get(), 2);
        assert!(first_told.recv().unwrap().is_ok());
        assert!(late_told.iter().all(|told| told.recv().unwrap().is_ok()));
        assert!(syncs.lock().is_empty());
    }

    #[test]
    fn a_sync_that_fails_fails_all_it_was_for_and_nobody_else() {
        let syncs = SharedSyncs::default();
        let here = Path::new(HERE);
        let (first, first_told) = waiter();
        let (second, second_told) = waiter();
        let (third, third_told) = waiter();
        let lead = syncs.join(here, first).unwrap();
        assert!(syncs.join(here, second).is_none());
        let third = Cell::new(Some(third));
        lead.run(|_| match third.take() {
            Some(third) => {
                assert!(syncs.join(here, third).is_none());
                Err(Error::new(ErrorKind::Other, "disk on fire"))
            }
            None => Ok(()),
        });
        for told in [first_told, second_told] {
            let error = told.recv().unwrap().unwrap_err();
            assert_eq!(error.message(), "disk on fire");
        }
        assert!(third_told.recv().unwrap().is_ok());
    }

    #[test]
    fn directories_do_not_wait_for_each_other() {
        let syncs = SharedSyncs::default();
        let (one, _) = waiter();
        let (other, _) = waiter();
        let _lead = syncs.join(Path::new("/a"), one).unwrap();
        assert!(syncs.join(Path::new("/b"), other).is_some());
    }

    #[test]
    fn a_lead_that_is_lost_leaves_nobody_waiting() {
        let syncs = SharedSyncs::default();
        let here = Path::new(HERE);
        let (first, first_told) = waiter();
        let (second, second_told) = waiter();
        let lead = syncs.join(here, first).unwrap();
        assert!(syncs.join(here, second).is_none());
        drop(lead);
        assert!(first_told.recv().is_err() && second_told.recv().is_err());
        let (third, _) = waiter();
        assert!(syncs.join(here, third).is_some());
    }
}
