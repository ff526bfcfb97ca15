//! Walks the directories below a prefix.

use std::fs::{self, DirEntry, Metadata, ReadDir};
use std::io;
use std::path::Path;

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

/// One directory is open at a time; the others wait by their names.
struct Walk {
    /// What URIs have before their path: `file://`, or nothing for plain paths.
    scheme: String,
    /// What a name in the first directory must begin with.
    name_prefix: String,
    open: Option<Open>,
    waiting: Vec<String>,
}

struct Open {
    entries: ReadDir,
    /// The directory as objects' paths begin, `/` at its end included.
    base: String,
    first: bool,
}

impl Walk {
    fn open(prefix: &str) -> Result<Self> {
        let literal = path::from_uri(prefix)?;
        if literal.contains('\0') {
            return Err(error::invalid("the prefix holds a NUL byte"));
        }
        let scheme = &prefix[..prefix.len() - literal.len()];
        let (base, name_prefix) = literal.split_at(literal.rfind('/').map_or(0, |at| at + 1));
        let open = match read_dir(base) {
            Ok(entries) => Some(Open {
                entries,
                base: base.to_owned(),
                first: true,
            }),
            // No object begins with this prefix, as on a service that has no directories.
            Err(error) if is_missing(&error) => None,
            Err(error) => {
                return Err(error::io(
                    format!("can't list the directory {base:?}"),
                    error,
                ));
            }
        };
        Ok(Self {
            scheme: scheme.to_owned(),
            name_prefix: name_prefix.to_owned(),
            open,
            waiting: Vec::new(),
        })
    }

    /// Some objects; none at the end.
    fn batch(&mut self) -> Result<Vec<ObjectMetadata>> {
        let mut batch = Vec::new();
        while batch.len() < LIST_BATCH && self.open_next()? {
            self.read_open(&mut batch)?;
        }
        Ok(batch)
    }

    fn open_next(&mut self) -> Result<bool> {
        while self.open.is_none() {
            let Some(base) = self.waiting.pop() else {
                return Ok(false);
            };
            match read_dir(&base) {
                Ok(entries) => {
                    self.open = Some(Open {
                        entries,
                        base,
                        first: false,
                    });
                }
                // Removed since it was seen.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.cannot_list(&base, error)),
            }
        }
        Ok(true)
    }

    fn read_open(&mut self, batch: &mut Vec<ObjectMetadata>) -> Result<()> {
        let Some(mut open) = self.open.take() else {
            return Ok(());
        };
        while batch.len() < LIST_BATCH {
            let entry = match open.entries.next() {
                None => return Ok(()),
                Some(Ok(entry)) => entry,
                Some(Err(error)) => return Err(self.cannot_list(&open.base, error)),
            };
            let name = entry.file_name();
            if staging::is_staging_name(&name) {
                continue;
            }
            let Some(name) = name.to_str() else {
                tracing::warn!(path = %entry.path().display(), "not listed: its name is not UTF-8");
                continue;
            };
            if open.first && !name.starts_with(&self.name_prefix) {
                continue;
            }
            let path = format!("{}{name}", open.base);
            let found = look_at(&entry).map_err(|error| self.cannot_list(&path, error))?;
            match found {
                Found::Object(metadata) => {
                    batch.push(describe(format!("{}{path}", self.scheme), &metadata));
                }
                Found::Directory => self.waiting.push(path + "/"),
                Found::Other => {}
            }
        }
        self.open = Some(open);
        Ok(())
    }

    fn cannot_list(&self, path: &str, source: io::Error) -> Error {
        let uri = format!("{}{path}", self.scheme);
        error::io("can't list it", source).with_uri(uri)
    }
}

enum Found {
    Object(Metadata),
    Directory,
    Other,
}

fn look_at(entry: &DirEntry) -> io::Result<Found> {
    let file_type = entry.file_type()?;
    if file_type.is_dir() {
        return Ok(Found::Directory);
    }
    let metadata = if file_type.is_symlink() {
        fs::metadata(entry.path())
    } else if file_type.is_file() {
        entry.metadata()
    } else {
        return Ok(Found::Other);
    };
    match metadata {
        // A link to a directory is not followed: it may lead back here.
        Ok(metadata) if metadata.is_file() => Ok(Found::Object(metadata)),
        Ok(_) => Ok(Found::Other),
        // Removed since it was seen; or a link that leads nowhere.
        Err(_) if file_type.is_symlink() => Ok(Found::Other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Other),
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
