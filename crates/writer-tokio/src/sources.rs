//! Notices files that change while they are being written from.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::sync::Arc;
use std::time::SystemTime;

use writer_core::{Error, ErrorKind, FileRange, Result};

/// The files that one object is written from, as they were when their ranges were handed over.
///
/// They stay open until this is dropped, so an object that is written from very many files needs
/// as many descriptors.
#[derive(Debug, Default)]
pub struct Sources(HashMap<usize, Source>);

#[derive(Debug)]
struct Source {
    file: Arc<File>,
    stamp: Stamp,
}

/// What a change of a file's content changes as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            len: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }
}

impl Sources {
    /// Remembers the state of the file of `range`, the first time that it is seen.
    ///
    /// # Errors
    ///
    /// An I/O error.
    pub fn note(&mut self, range: &FileRange) -> Result<()> {
        // While it is held, its address is nobody else's.
        let address = Arc::as_ptr(range.file()).addr();
        if !range.is_empty() && !self.0.contains_key(&address) {
            let source = Source {
                stamp: Stamp::of(&range.file().metadata()?),
                file: Arc::clone(range.file()),
            };
            self.0.insert(address, source);
        }
        Ok(())
    }

    /// Checks that no file has changed since it was noted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SourceChanged`], or an I/O error.
    pub fn verify(&self) -> Result<()> {
        for Source { file, stamp } in self.0.values() {
            let now = Stamp::of(&file.metadata()?);
            if now != *stamp {
                return Err(Error::new(
                    ErrorKind::SourceChanged,
                    format!(
                        "the file changed while it was written from: it had {} bytes, and has {}{}",
                        stamp.len,
                        now.len,
                        if now.len == stamp.len {
                            ", but was modified meanwhile"
                        } else {
                            ""
                        }
                    ),
                ));
            }
        }
        Ok(())
    }
}
