//! The directories that objects lie in: made durably, and swept of what a crash left.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use rustix::io::Errno;
use writer_core::Result;

use crate::error;
use crate::staging;
use crate::sync::{Lead, SharedSyncs, Synced};

/// How many directories are remembered as swept; 64 Ki of them take about 1 MiB.
const MAX_REMEMBERED: usize = 64 << 10;

/// What a store knows of the directories that it writes to.
#[derive(Debug, Default)]
pub(crate) struct Directories {
    /// Device and inode of those that were swept.
    swept: Mutex<HashSet<(u64, u64)>>,
    /// Held for reading while a directory is made and synced into its parent.
    making: RwLock<()>,
    syncs: SharedSyncs,
}

impl Directories {
    /// Makes `directory` and what is missing above it, each synced into its parent. What was made
    /// is added to `made`, outermost first, also if it fails.
    pub(crate) fn make(&self, directory: &Path, made: &mut Vec<PathBuf>) -> Result<()> {
        let _making = self.making.read().unwrap_or_else(PoisonError::into_inner);
        make(directory, made)
    }

    /// Has what is in `directory` by now made durable, with all that lies above it, and `synced`
    /// told of it. Where no other writer is at it, the caller is given the lead, and runs
    /// [`lead`](Self::lead).
    #[must_use = "nobody syncs unless the one who has the lead does"]
    pub(crate) fn sync_with_others(&self, directory: &Path, synced: Synced) -> Option<Lead<'_>> {
        self.syncs.join(directory, synced)
    }

    /// Syncs for all who wait.
    pub(crate) fn lead(&self, lead: Lead<'_>) {
        lead.run(|directory| {
            self.settle();
            sync(directory)
        });
    }

    /// Returns when every directory that another writer of this store was just making is durable:
    /// that writer may have made what lies above the object of this one.
    fn settle(&self) {
        drop(self.making.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Removes the staging files that crashed writers left in `directory`, unless this store did
    /// that before. It is no error if it can't.
    pub(crate) fn sweep_once(&self, directory: &Path) {
        let Ok(metadata) = fs::metadata(directory) else {
            return;
        };
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.len() >= MAX_REMEMBERED {
            swept.clear();
        }
        let first = swept.insert((metadata.dev(), metadata.ino()));
        drop(swept);
        if first && let Err(error) = staging::sweep(directory) {
            tracing::debug!(%error, directory = %directory.display(), "can't sweep");
        }
    }
}

fn make(directory: &Path, made: &mut Vec<PathBuf>) -> Result<()> {
    let parent = directory.parent();
    let mut result = DirBuilder::new().create(directory);
    if let Err(error) = &result
        && error.kind() == io::ErrorKind::NotFound
        && let Some(parent) = parent
    {
        make(parent, made)?;
        result = DirBuilder::new().create(directory);
    }
    match result {
        Ok(()) => made.push(directory.to_owned()),
        // Not a directory? Whoever needs it in it finds out.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => {
            let what = format!("can't make the directory {}", directory.display());
            return Err(error::io(what, error));
        }
    }
    match parent {
        Some(parent) => sync(parent),
        None => Ok(()),
    }
}

/// Makes the entries of `directory` durable.
///
/// # Errors
///
/// If the disk fails.
pub(crate) fn sync(directory: &Path) -> Result<()> {
    let result = File::open(directory).and_then(|directory| directory.sync_all());
    match result {
        Ok(()) => Ok(()),
        // It may be written to but not read: only the system as a whole can be synced.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            rustix::fs::sync();
            Ok(())
        }
        // fsync(2): EINVAL is what file systems say that have no notion of it.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => Ok(()),
        Err(error) => {
            let what = format!("can't sync the directory {}", directory.display());
            Err(error::io(what, error))
        }
    }
}
