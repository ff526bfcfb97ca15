//! Where an object's bytes come from, as the user says it or as a folder has it.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use writer_core::{Error, ErrorKind, Result, split_scheme};

use crate::bounds::Bounds;
use crate::input::Input;
use crate::producer::Producer;

/// The source of one object.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Stdin,
    /// A file, a pipe or a device that the command line names.
    Path(PathBuf),
    /// A regular file that was found in a folder, and the bounds in which it must be.
    Found(PathBuf, Arc<Bounds>),
    /// A command, which is started when the source is opened.
    Command(Arc<Producer>),
}

impl Source {
    /// Reads `-`, a path, or a `file://` URI.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for any other URI, and for an empty name.
    pub(crate) fn parse(argument: &OsStr) -> Result<Self> {
        if argument == "-" {
            return Ok(Self::Stdin);
        }
        if argument.is_empty() {
            let text = "a source has an empty name: expected a file, or `-` for standard input";
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        // Of bytes, not of characters: a path need not be UTF-8.
        if let Some((scheme, path)) = argument.as_bytes().split_at_checked(b"file://".len())
            && scheme.eq_ignore_ascii_case(b"file://")
        {
            // As `writer_core::file_path` has it.
            let here = path.strip_prefix(b"localhost");
            let path = here.filter(|path| path.starts_with(b"/")).unwrap_or(path);
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
    /// If it can't be opened or read, is a folder, or is not where it was found any more.
    pub(crate) fn open(&self, small: u64) -> Result<Input> {
        if let Self::Command(producer) = self {
            return Input::start(producer);
        }
        let (file, metadata, position) = self.open_file()?;
        let input = Input::new(file, self.to_string(), &metadata, position, small);
        input.map_err(|error| error.with_uri(self.to_string()))
    }

    /// Opens a source that is no command: what it is, and from which byte on it is to be read. It
    /// blocks as [`open`](Self::open) does.
    ///
    /// # Errors
    ///
    /// If it can't be opened, is a folder, or is not where it was found any more.
    pub(crate) fn open_file(&self) -> Result<(File, Metadata, u64)> {
        let failed = |error| self.error(error);
        let mut file = self.descriptor().map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        self.refuse_folder(&metadata)?;
        if let Self::Found(path, bounds) = self {
            if !metadata.is_file() {
                let text = "is no regular file any more";
                return Err(Error::new(ErrorKind::SourceChanged, text).with_uri(self.to_string()));
            }
            let inside = bounds.check(&file, path);
            inside.map_err(|error| error.with_uri(self.to_string()))?;
        }
        // Of a redirected file a program before this one may have read some.
        let position = match self {
            Self::Stdin if metadata.is_file() => file.stream_position().map_err(failed)?,
            _ => 0,
        };
        Ok((file, metadata, position))
    }

    fn descriptor(&self) -> io::Result<File> {
        match self {
            Self::Stdin => Ok(io::stdin().as_fd().try_clone_to_owned()?.into()),
            Self::Path(path) => File::open(path),
            Self::Command(_) => Err(io::ErrorKind::Unsupported.into()),
            Self::Found(path, _) => {
                // It was a regular file. What it may be by now must not keep us waiting.
                let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
                let flags = i32::try_from(flags.bits()).unwrap_or_default();
                let mut options = OpenOptions::new();
                options.read(true).custom_flags(flags).open(path)
            }
        }
    }

    /// Where it lies, if it is a file, a named pipe or a device.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdin | Self::Command(_) => None,
            Self::Path(path) | Self::Found(path, _) => Some(path),
        }
    }

    fn refuse_folder(&self, metadata: &Metadata) -> Result<()> {
        if metadata.is_dir() {
            let text = "is a folder: -r writes the files in it";
            return Err(Error::new(ErrorKind::InvalidInput, text).with_uri(self.to_string()));
        }
        Ok(())
    }

    fn error(&self, error: io::Error) -> Error {
        Error::from(error).with_uri(self.to_string())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::Command(producer) => producer.fmt(f),
            Self::Path(path) | Self::Found(path, _) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Symlinks;
    use std::os::unix::fs::symlink;

    fn parse(argument: &str) -> Result<Source> {
        Source::parse(OsStr::new(argument))
    }

    #[test]
    fn sources_are_taken_literally() {
        assert!(matches!(parse("-").unwrap(), Source::Stdin));
        for (argument, path) in [
            ("a b#%20", "a b#%20"),
            ("./-", "./-"),
            ("file:///a%20b", "/a%20b"),
            ("FILE:///a", "/a"),
            ("file://localhost/a", "/a"),
            ("file://localhosts/a", "localhosts/a"),
            ("file:/a", "file:/a"),
        ] {
            let source = parse(argument).unwrap();
            assert!(matches!(source, Source::Path(parsed) if parsed == Path::new(path)));
        }
        let error = parse("s3://b/k").unwrap_err();
        assert!(error.to_string().contains("s3://b/k"), "{error}");
    }

    fn found(root: &Path, name: &str, symlinks: Symlinks) -> Source {
        let bounds = Bounds::new(root.into(), symlinks).unwrap();
        Source::Found(root.join(name), Arc::new(bounds))
    }

    /// What takes the place of a file, or of the folder that it is in, after it was found.
    #[test]
    fn a_link_that_comes_later_does_not_lead_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        for path in [root.join("d"), outside.join("d")] {
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("f"), b"content").unwrap();
        }
        let every = [Symlinks::Follow, Symlinks::Skip, Symlinks::Error];
        for links in every {
            assert!(found(&root, "d/f", links).open(0).is_ok(), "{links:?}");
        }
        symlink(root.join("d"), root.join("inside")).unwrap();
        symlink(outside.join("d/f"), root.join("file")).unwrap();
        symlink("../outside/d", root.join("folder")).unwrap();
        for links in every {
            let inside = found(&root, "inside/f", links).open(0);
            assert_eq!(inside.is_ok(), links == Symlinks::Follow, "{links:?}");
            for name in ["file", "folder/f"] {
                let error = found(&root, name, links).open(0).err().unwrap();
                assert_eq!(error.kind(), ErrorKind::SourceChanged, "{links:?} {name}");
            }
        }
    }
}
