//! The bounds of a folder: what was found inside must be inside when it is opened, too.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use writer_core::{Error, ErrorKind, Result};

use crate::args::Symlinks;

/// A folder, and whether links within it may be followed.
#[derive(Debug)]
pub(crate) struct Bounds {
    root: PathBuf,
    /// The root without symbolic links.
    real: PathBuf,
    symlinks: Symlinks,
}

impl Bounds {
    /// Those of the folder `root`.
    ///
    /// # Errors
    ///
    /// If it can't be looked at.
    pub(crate) fn new(root: PathBuf, symlinks: Symlinks) -> Result<Self> {
        let real = fs::canonicalize(&root)
            .map_err(|error| Error::from(error).with_uri(root.display().to_string()))?;
        Ok(Self {
            root,
            real,
            symlinks,
        })
    }

    /// The folder, as it was named.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// True if `real`, a path without symbolic links, is within the folder.
    pub(crate) fn contain(&self, real: &Path) -> bool {
        real.starts_with(&self.real)
    }

    /// Looks where `file`, which was opened as `path`, really is: by then a link may have taken
    /// the place of what was found there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SourceChanged`] if it is outside, or if a link led to it and none is to be
    /// followed.
    pub(crate) fn check(&self, file: &File, path: &Path) -> Result<()> {
        let real = path_of(file, path)?;
        let is_as_found = match self.symlinks {
            Symlinks::Follow => self.contain(&real),
            Symlinks::Skip | Symlinks::Error => {
                let below = path.strip_prefix(&self.root).unwrap_or(path);
                real == self.real.join(below)
            }
        };
        if is_as_found {
            return Ok(());
        }
        let text = format!("is not what it was any more, but {}", real.display());
        Err(Error::new(ErrorKind::SourceChanged, text))
    }
}

/// Where an open file is. Linux knows; elsewhere, the path that it was opened by has to do.
fn path_of(file: &File, path: &Path) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .or_else(|_no_proc| fs::canonicalize(path))
}
