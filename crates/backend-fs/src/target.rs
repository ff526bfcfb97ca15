//! The file that a write is to make or replace.

use std::ffi::OsString;
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{self, Path, PathBuf};
use std::time::SystemTime;

use writer_core::{Error, ErrorKind, Result};

use crate::error::{self, invalid};
use crate::metadata::e_tag;

/// As many symbolic links as the kernel follows; see `path_resolution(7)`.
const MAX_LINKS: usize = 40;

/// Where an object goes: absolute, and past every symbolic link in its last component.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) path: PathBuf,
    pub(crate) directory: PathBuf,
    pub(crate) name: OsString,
}

/// What matters of a file that is replaced.
#[derive(Clone, Debug)]
pub(crate) struct Replaced {
    /// Permission bits, without set-user-ID and its kin, which new contents must not inherit.
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    pub(crate) group: u32,
    pub(crate) e_tag: String,
    /// When its contents were last written, where the file system knows.
    pub(crate) modified: Option<SystemTime>,
}

impl Target {
    /// Finds out where a write to `path` goes.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a loop of links, or if they lead to no name.
    pub(crate) fn resolve(path: &Path) -> Result<Self> {
        // The current directory may change before the write ends.
        let mut path = path::absolute(path)
            .map_err(|source| error::io("can't tell the current directory", source))?;
        for _ in 0..MAX_LINKS {
            match fs::read_link(&path) {
                Ok(link) => {
                    path.pop();
                    path.push(link);
                }
                // EINVAL: not a link. What else may be wrong shows when the file is looked at.
                Err(_not_a_link) => return Self::new(path),
            }
        }
        Err(invalid(format!(
            "more than {MAX_LINKS} symbolic links, the last to {}: they go round in a circle",
            path.display()
        )))
    }

    fn new(path: PathBuf) -> Result<Self> {
        match (path.parent(), path.file_name()) {
            (Some(directory), Some(name)) => Ok(Self {
                directory: directory.to_owned(),
                name: name.to_owned(),
                path,
            }),
            _ => Err(invalid(format!(
                "{} is a directory: expected the path of a file",
                path.display()
            ))),
        }
    }

    /// The file that is there now, if any.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if what is there is not a regular file.
    pub(crate) fn look(&self) -> Result<Option<Replaced>> {
        match fs::symlink_metadata(&self.path) {
            Ok(metadata) => {
                // A link that has come since this path was resolved is replaced, as rename(2) does.
                if !metadata.is_file() && !metadata.is_symlink() {
                    return Err(invalid(format!(
                        "{} is {}: only a regular file can be replaced",
                        self.path.display(),
                        kind_of(metadata.file_type())
                    )));
                }
                Ok(Some(Replaced {
                    mode: metadata.mode() & 0o777,
                    owner: metadata.uid(),
                    group: metadata.gid(),
                    e_tag: e_tag(&metadata),
                    modified: metadata.modified().ok(),
                }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let what = format!("can't look at {}", self.path.display());
                Err(error::io(what, error))
            }
        }
    }
}

/// The metadata of the object at `path`.
///
/// # Errors
///
/// `NotFound` if there is nothing, or something that is not an object.
pub(crate) fn stat(path: &Path) -> Result<Metadata> {
    match fs::metadata(path) {
        Ok(metadata) => {
            check_regular(&metadata)?;
            Ok(metadata)
        }
        Err(error) => Err(missing_or("can't look at it", error)),
    }
}

/// # Errors
///
/// `NotFound` if `metadata` are not those of a regular file.
pub(crate) fn check_regular(metadata: &Metadata) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let what = kind_of(metadata.file_type());
    let text = format!("there is {what}, which is not an object");
    Err(Error::new(ErrorKind::NotFound, text))
}

/// The error of an object that should be there: where a directory of its path is a file, it is
/// not found either.
pub(crate) fn missing_or(what: &str, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Error::new(ErrorKind::NotFound, "there is no such file").with_source(source)
        }
        _ => error::io(what, source),
    }
}

/// What a file that is no regular one is, in words.
pub(crate) fn kind_of(file_type: FileType) -> &'static str {
    if file_type.is_dir() {
        "a directory"
    } else if file_type.is_fifo() {
        "a named pipe"
    } else if file_type.is_socket() {
        "a socket"
    } else if file_type.is_block_device() || file_type.is_char_device() {
        "a device"
    } else if file_type.is_symlink() {
        "a symbolic link"
    } else {
        "not a regular file"
    }
}
