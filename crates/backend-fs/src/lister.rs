//! Walks the directories below a prefix.

use std::fs::{self, Metadata, ReadDir};
use std::io;
use std::path::Path;
use std::vec;

use async_trait::async_trait;
use tokio::task::{self, JoinHandle};
use writer_core::{Error, ObjectLister, ObjectMetadata, Result};

use crate::config::LIST_BATCH;
use crate::error;
use crate::metadata::describe;
use crate::path;
use crate::staging;

pub(crate) struct Lister {
    walk: Option<Walk>,
    under_way: Option<JoinHandle<(Walk, Result<Vec<ObjectMetadata>>)>>,
}

impl Lister {
    /// Lists what begins with `prefix`, a URI or a plain path. Works on the disk.
    ///
    /// # Errors
    ///
    /// If the directory that the prefix lies in is there and can't be read.
    pub(crate) fn open(prefix: &str) -> Result<Self> {
        let walk = Walk::open(prefix).map_err(|error| error.with_uri(prefix))?;
        Ok(Self {
            walk: Some(walk),
            under_way: None,
        })
    }
}

#[async_trait]
impl ObjectLister for Lister {
    async fn next_batch(&mut self) -> Result<Option<Vec<ObjectMetadata>>> {
        if let Some(mut walk) = self.walk.take() {
            self.under_way = Some(task::spawn_blocking(move || {
                let batch = walk.batch();
                (walk, batch)
            }));
        }
        let Some(under_way) = &mut self.under_way else {
            return Ok(None);
        };
        // The handle stays in `self` while this waits, so a call that is dropped loses nothing.
        let result = under_way.await;
        self.under_way = None;
        let (walk, batch) = result.map_err(error::lost)?;
        let batch = batch?;
        if batch.is_empty() {
            return Ok(None);
        }
        self.walk = Some(walk);
        Ok(Some(batch))
    }
}

/// The directories on the way to where the walk is, outermost first, each with what is left of it.
struct Walk {
    /// What URIs have before their path: `file://`, or nothing for plain paths.
    scheme: String,
    /// What a name in the first directory must begin with.
    name_prefix: String,
    levels: Vec<Level>,
}

/// A directory that was read. Its names are kept, to be in order.
struct Level {
    /// As objects' paths begin, `/` at its end included.
    base: String,
    entries: vec::IntoIter<Entry>,
}

/// In the order of URIs: a directory's name ends in `/`, as what is in it goes on.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    name: Box<str>,
    is_link: bool,
}

impl Walk {
    fn open(prefix: &str) -> Result<Self> {
        let literal = path::from_uri(prefix)?;
        if literal.contains('\0') {
            return Err(error::invalid("the prefix holds a NUL byte"));
        }
        let scheme = &prefix[..prefix.len() - literal.len()];
        let (base, name_prefix) = literal.split_at(literal.rfind('/').map_or(0, |at| at + 1));
        let mut walk = Self {
            scheme: scheme.to_owned(),
            name_prefix: name_prefix.to_owned(),
            levels: Vec::new(),
        };
        match read_dir(base) {
            Ok(entries) => walk.enter(base.to_owned(), entries)?,
            // No object begins with this prefix, as on a service that has no directories.
            Err(error) if is_missing(&error) => {}
            Err(error) => {
                return Err(error::io(
                    format!("can't list the directory {base:?}"),
                    error,
                ));
            }
        }
        Ok(walk)
    }

    /// Reads a directory, which is gone through before what is left of the others.
    fn enter(&mut self, base: String, entries: ReadDir) -> Result<()> {
        let is_first = self.levels.is_empty();
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| self.cannot_list(&base, error))?;
            let name = entry.file_name();
            if staging::is_staging_name(&name) {
                continue;
            }
            let Some(name) = name.to_str() else {
                tracing::warn!(path = %entry.path().display(), "not listed: its name is not UTF-8");
                continue;
            };
            if is_first && !name.starts_with(&self.name_prefix) {
                continue;
            }
            let file_type = entry
                .file_type()
                .map_err(|error| self.cannot_list(&format!("{base}{name}"), error))?;
            let is_link = file_type.is_symlink();
            let name = if file_type.is_dir() {
                format!("{name}/").into()
            } else if is_link || file_type.is_file() {
                name.into()
            } else {
                continue;
            };
            found.push(Entry { name, is_link });
        }
        found.sort_unstable();
        let entries = found.into_iter();
        self.levels.push(Level { base, entries });
        Ok(())
    }

    /// Some objects; none at the end.
    fn batch(&mut self) -> Result<Vec<ObjectMetadata>> {
        let mut batch = Vec::new();
        while batch.len() < LIST_BATCH
            && let Some(level) = self.levels.last_mut()
        {
            let Some(entry) = level.entries.next() else {
                self.levels.pop();
                continue;
            };
            let path = format!("{}{}", level.base, entry.name);
            if path.ends_with('/') {
                match read_dir(&path) {
                    Ok(entries) => self.enter(path, entries)?,
                    // Removed since it was seen.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(self.cannot_list(&path, error)),
                }
                continue;
            }
            let found = look_at(Path::new(&path), entry.is_link);
            if let Some(metadata) = found.map_err(|error| self.cannot_list(&path, error))? {
                batch.push(describe(format!("{}{path}", self.scheme), &metadata));
            }
        }
        Ok(batch)
    }

    fn cannot_list(&self, path: &str, source: io::Error) -> Error {
        let uri = format!("{}{path}", self.scheme);
        error::io("can't list it", source).with_uri(uri)
    }
}

/// The file at `path`, if it still is one, or a link to one.
fn look_at(path: &Path, is_link: bool) -> io::Result<Option<Metadata>> {
    let metadata = if is_link {
        fs::metadata(path)
    } else {
        fs::symlink_metadata(path)
    };
    match metadata {
        // A link to a directory is not followed: it may lead back here.
        Ok(metadata) => Ok(metadata.is_file().then_some(metadata)),
        // Removed since it was seen; or a link that leads nowhere.
        Err(_) if is_link => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_dir(base: &str) -> io::Result<ReadDir> {
    fs::read_dir(if base.is_empty() {
        Path::new(".")
    } else {
        Path::new(base)
    })
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
