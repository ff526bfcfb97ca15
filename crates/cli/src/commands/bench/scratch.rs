//! The objects that are written: their names, and their removal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinSet;
use writer_core::{Error, ObjectStore, Result};

use super::data::unique;

/// How many objects are removed at once.
const AT_ONCE: usize = 64;

/// Names that nothing else has, counted from 0.
#[derive(Debug)]
pub(super) struct Scratch {
    /// What all names begin with: by 64 random bits, no object that was there before has one.
    stem: String,
    next: AtomicU64,
}

impl Scratch {
    /// Names in `folder`, a prefix or a folder.
    pub(super) fn below(folder: &str) -> Self {
        let slash = if folder.ends_with('/') { "" } else { "/" };
        Self {
            stem: format!("{folder}{slash}s3-cli-bench-{:016x}-", unique()),
            next: AtomicU64::new(0),
        }
    }

    /// What all names begin with.
    pub(super) fn stem(&self) -> &str {
        &self.stem
    }

    /// A number that no object had yet.
    pub(super) fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The name of the object with this number.
    pub(super) fn name(&self, number: u64) -> String {
        format!("{}{number:08}", self.stem)
    }

    /// Removes all objects since `first`, written or not. Nobody may write to them any more.
    ///
    /// # Errors
    ///
    /// The first of those that can't be removed; the others are tried all the same.
    pub(super) async fn remove(&self, store: &Arc<dyn ObjectStore>, first: u64) -> Result<()> {
        let end = self.next.load(Ordering::Relaxed);
        let mut tasks = JoinSet::new();
        let mut failed: Option<Error> = None;
        for number in first..end {
            if tasks.len() >= AT_ONCE {
                note(&mut failed, tasks.join_next().await);
            }
            let (store, name) = (Arc::clone(store), self.name(number));
            tasks.spawn(async move { store.delete(&name).await });
        }
        while let Some(ended) = tasks.join_next().await {
            note(&mut failed, Some(ended));
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Keeps the first error.
fn note(failed: &mut Option<Error>, ended: Option<Result<Result<()>, tokio::task::JoinError>>) {
    let error = match ended {
        None | Some(Ok(Ok(()))) => return,
        Some(Ok(Err(error))) => error,
        Some(Err(panicked)) => std::io::Error::other(panicked).into(),
    };
    failed.get_or_insert(error);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_below_the_folder_and_nobody_elses() {
        let (one, other) = (Scratch::below("s3://b/p"), Scratch::below("s3://b/p/"));
        for scratch in [&one, &other] {
            let name = scratch.name(scratch.next());
            assert!(name.starts_with("s3://b/p/s3-cli-bench-"), "{name}");
            assert!(name.ends_with("-00000000"), "{name}");
            assert_eq!(scratch.next(), 1);
        }
        assert_ne!(one.stem(), other.stem());
    }
}
