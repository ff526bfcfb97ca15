//! Where an object's bytes come from, as the user says it or as a folder has it.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use writer_core::{Error, ErrorKind, Result, split_scheme};

use crate::input::Input;

/// The source of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Stdin,
    /// A file, a pipe or a device that the command line names.
    Path(PathBuf),
    /// A regular file that was found in a folder.
    Found(PathBuf),
}

impl Source {
    /// Reads `-`, a path, or a `file://` URI.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for any other URI.
    pub(crate) fn parse(argument: &OsStr) -> Result<Self> {
        if argument == "-" {
            return Ok(Self::Stdin);
        }
        // Of bytes, not of characters: a path need not be UTF-8.
        if let Some((scheme, path)) = argument.as_bytes().split_at_checked(b"file://".len())
            && scheme.eq_ignore_ascii_case(b"file://")
        {
            return Ok(Self::Path(OsStr::from_bytes(path).into()));
        }
        match argument.to_str().and_then(split_scheme) {
            None => Ok(Self::Path(argument.into())),
            Some(_) => Err(Error::new(
                ErrorKind::InvalidInput,
                "is no source: sources are files and `-` (to copy an object: \
                 s3-cli cat URI | s3-cli put - DEST)",
            )
            .with_uri(argument.to_string_lossy())),
        }
    }

    /// The name that a prefix is completed with.
    pub(crate) fn file_name(&self) -> Option<&OsStr> {
        self.path().and_then(Path::file_name)
    }

    /// True if there is something to read.
    pub(crate) fn exists(&self) -> bool {
        self.path().is_none_or(Path::exists)
    }

    /// The folder that it is, if it is one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.path().filter(|path| path.is_dir())
    }

    /// Looks whether the source is there and can be one, without opening it.
    ///
    /// # Errors
    ///
    /// If it can't.
    pub(crate) fn check(&self) -> Result<()> {
        let Some(path) = self.path() else {
            return Ok(());
        };
        let metadata = fs::metadata(path).map_err(|error| self.error(error))?;
        self.refuse_folder(&metadata)
    }

    /// Opens the source, and reads it if it has at most `small` bytes. It blocks; for a named
    /// pipe, until someone writes to it.
    ///
    /// # Errors
    ///
    /// If it can't be opened or read, or is a folder.
    pub(crate) fn open(&self, small: u64) -> Result<Input> {
        let failed = |error| self.error(error);
        let mut file = self.open_file().map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        self.refuse_folder(&metadata)?;
        if matches!(self, Self::Found(_)) && !metadata.is_file() {
            let text = "is no regular file any more";
            return Err(Error::new(ErrorKind::SourceChanged, text).with_uri(self.to_string()));
        }
        // Of a redirected file a program before this one may have read some.
        let position = match self {
            Self::Stdin if metadata.is_file() => file.stream_position().map_err(failed)?,
            _ => 0,
        };
        let input = Input::new(file, self.to_string(), &metadata, position, small);
        input.map_err(|error| error.with_uri(self.to_string()))
    }

    fn open_file(&self) -> io::Result<File> {
        match self {
            Self::Stdin => Ok(io::stdin().as_fd().try_clone_to_owned()?.into()),
            Self::Path(path) => File::open(path),
            Self::Found(path) => {
                // It was a regular file. What it may be by now must not keep us waiting.
                let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
                let flags = i32::try_from(flags.bits()).unwrap_or_default();
                let mut options = OpenOptions::new();
                options.read(true).custom_flags(flags).open(path)
            }
        }
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdin => None,
            Self::Path(path) | Self::Found(path) => Some(path),
        }
    }

    fn refuse_folder(&self, metadata: &Metadata) -> Result<()> {
        if metadata.is_dir() {
            let text = format!("is a folder: {self} (-r writes the files in it)");
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        Ok(())
    }

    fn error(&self, error: io::Error) -> Error {
        Error::from(error).with_uri(self.to_string())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path() {
            None => f.write_str("standard input"),
            Some(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(argument: &str) -> Result<Source> {
        Source::parse(OsStr::new(argument))
    }

    #[test]
    fn sources_are_taken_literally() {
        assert_eq!(parse("-").unwrap(), Source::Stdin);
        for (argument, path) in [
            ("a b#%20", "a b#%20"),
            ("./-", "./-"),
            ("file:///a%20b", "/a%20b"),
            ("FILE:///a", "/a"),
            ("file:/a", "file:/a"),
        ] {
            assert_eq!(parse(argument).unwrap(), Source::Path(path.into()));
        }
        let error = parse("s3://b/k").unwrap_err();
        assert!(error.to_string().contains("s3://b/k"), "{error}");
    }
}
