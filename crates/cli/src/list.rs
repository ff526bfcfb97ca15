//! Sources that a file names: `@FILE`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use writer_core::{Error, ErrorKind, Result};

/// A file that names sources, or standard input.
#[derive(Debug)]
pub(crate) struct List(OsString);

impl List {
    /// The list that `argument` stands for, if it is `@FILE` or `@-`.
    pub(crate) fn of(argument: &OsStr) -> Option<Self> {
        let name = argument.as_bytes().strip_prefix(b"@")?;
        Some(Self(OsStr::from_bytes(name).to_owned()))
    }

    /// True if it is read from standard input.
    pub(crate) fn is_stdin(&self) -> bool {
        self.0 == "-"
    }

    /// The paths in it, each of which ends in a NUL byte, or else in a line break. Nothing in them
    /// is special, and empty ones are left out.
    ///
    /// # Errors
    ///
    /// If it can't be read; [`ErrorKind::InvalidInput`] if a name has a NUL byte, which none can.
    pub(crate) fn read(&self, null: bool) -> Result<Vec<PathBuf>> {
        let mut bytes = Vec::new();
        let read = match self.is_stdin() {
            true => io::stdin().lock().read_to_end(&mut bytes).map(drop),
            false => fs::read(&self.0).map(|read| bytes = read),
        };
        read.map_err(|error| {
            let text = format!("the list of sources can't be read: {error}");
            let kind = Error::from(error).kind();
            Error::new(kind, text).with_uri(format!("@{}", self.0.display()))
        })?;
        if !null && bytes.contains(&0) {
            let text = "has NUL bytes, which no name has: -0 (--null) takes them for its ends";
            let uri = format!("@{}", self.0.display());
            return Err(Error::new(ErrorKind::InvalidInput, text).with_uri(uri));
        }
        let end = if null { 0 } else { b'\n' };
        let names = bytes.split(|byte| *byte == end);
        let names = names.filter(|name| !name.is_empty());
        Ok(names
            .map(|name| OsString::from_vec(name.to_vec()).into())
            .collect())
    }
}

/// The name below a prefix of a file that a list names: its path, without what leads to the root
/// or out of the current folder, as tar has it.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] if nothing is left, it leads up after it led down, or it is not
/// UTF-8.
pub(crate) fn name_of(path: &Path) -> Result<String> {
    let invalid = |text: &str| {
        let path = path.display().to_string();
        Error::new(ErrorKind::InvalidInput, text).with_uri(path)
    };
    let mut name = String::new();
    for component in path.components() {
        match component {
            Component::Normal(word) => {
                let word = word.to_str();
                let text = "is not valid UTF-8, which names of objects are";
                let word = word.ok_or_else(|| invalid(text))?;
                if !name.is_empty() {
                    name.push('/');
                }
                name.push_str(word);
            }
            Component::ParentDir if !name.is_empty() => {
                return Err(invalid("has `..` in its middle: no name follows from that"));
            }
            _ => {}
        }
    }
    match name.is_empty() {
        true => Err(invalid("names no file")),
        false => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_file_behind_an_at() {
        assert!(List::of(OsStr::new("a@b")).is_none());
        assert!(List::of(OsStr::new("./@a")).is_none());
        assert!(!List::of(OsStr::new("@a")).unwrap().is_stdin());
        assert!(List::of(OsStr::new("@-")).unwrap().is_stdin());
    }

    #[test]
    fn nothing_in_a_line_is_special() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |bytes: &[u8]| fs::write(file.path(), bytes).unwrap();
        write(b"a\n\n# b\n - \nc\r\n\xff\ne");
        let list = List(file.path().into());
        let read = |null| -> Vec<Vec<u8>> {
            let paths = list.read(null).unwrap().into_iter();
            paths.map(|path| path.into_os_string().into_vec()).collect()
        };
        assert_eq!(
            read(false),
            [&b"a"[..], b"# b", b" - ", b"c\r", b"\xff", b"e"]
        );
        write(b"a\n\n# b\n - \nc\r\n\xff\0d\ne");
        let error = list.read(false).unwrap_err();
        assert!(error.to_string().contains("-0 (--null)"), "{error}");
        assert_eq!(read(true), [&b"a\n\n# b\n - \nc\r\n\xff"[..], b"d\ne"]);
    }

    #[test]
    fn a_list_that_is_not_there_is_named() {
        let error = List("/nowhere".into()).read(false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("@/nowhere"), "{error}");
    }

    #[test]
    fn names_are_paths_below_the_folder_that_they_are_in() {
        for (path, name) in [
            ("a", "a"),
            ("a//b/./c", "a/b/c"),
            ("./a", "a"),
            ("/x/a", "x/a"),
            ("../../x/a", "x/a"),
            ("-", "-"),
            ("@a", "@a"),
            ("a\\b %", "a\\b %"),
        ] {
            assert_eq!(name_of(Path::new(path)).unwrap(), name, "{path}");
        }
        for path in ["..", "/", ".", "a/../b"] {
            let error = name_of(Path::new(path)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path}");
        }
        assert!(name_of(Path::new(OsStr::from_bytes(b"a/\xff"))).is_err());
    }
}
