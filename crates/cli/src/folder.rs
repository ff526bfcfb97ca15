//! The files of a folder, found before any of them is sent.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};
use walkdir::{DirEntry, WalkDir};
use writer_core::{Error, ErrorKind, Result};

use crate::args::{FolderArgs, Symlinks};
use crate::bounds::Bounds;
use crate::names::{MAX_KEY_LEN, room};
use crate::tally::Tally;

/// A folder and the files in it that are to be written. It is kept small, because there may be
/// millions: what all have in common is said once.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) bounds: Arc<Bounds>,
    /// Paths below the root.
    pub(crate) files: Vec<Box<str>>,
}

/// Which files of a folder are taken, and what their names may be.
#[derive(Debug)]
pub(crate) struct Rules {
    include: Option<GlobSet>,
    exclude: GlobSet,
    symlinks: Symlinks,
    /// Most bytes that a file's path below its folder may have.
    max_len: usize,
}

impl Rules {
    /// What `args` say, for objects below the prefix `destination`.
    ///
    /// # Errors
    ///
    /// If the globs are too many, or too large, for one matcher.
    pub(crate) fn new(args: &FolderArgs, destination: &str) -> Result<Self> {
        let include = (!args.include.is_empty()).then(|| glob_set(&args.include));
        Ok(Self {
            include: include.transpose()?,
            exclude: glob_set(&args.exclude)?,
            symlinks: args.symlinks,
            max_len: room(destination).unwrap_or(0),
        })
    }

    fn takes(&self, path: &Path) -> bool {
        let included = self.include.as_ref().is_none_or(|set| set.is_match(path));
        included && !self.exclude.is_match(path)
    }
}

/// One matcher for all of `globs`.
///
/// # Errors
///
/// If they are too many, or too large.
pub(crate) fn glob_set(globs: &[Glob]) -> Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        set.add(glob.clone());
    }
    set.build().map_err(|error| invalid(error.to_string()))
}

impl Folder {
    /// Finds the files in `root` that `rules` take. What is wrong with names is told to `tally`
    /// as it is found, and the walk goes on.
    ///
    /// # Errors
    ///
    /// If `root` itself can't be looked at.
    pub(crate) fn walk(root: PathBuf, rules: &Rules, tally: &mut Tally) -> Result<Self> {
        let bounds = Bounds::new(root, rules.symlinks)?;
        let mut walk = Walk {
            bounds: &bounds,
            rules,
            tally,
            files: Vec::new(),
        };
        let follow = rules.symlinks == Symlinks::Follow;
        let mut entries = WalkDir::new(bounds.root()).follow_links(follow).into_iter();
        while let Some(entry) = entries.next() {
            match entry {
                Ok(entry) if walk.enters(&entry) => walk.visit(&entry),
                Ok(_) => entries.skip_current_dir(),
                Err(error) => walk.refuse(error),
            }
        }
        let files = walk.files;
        Ok(Self {
            bounds: Arc::new(bounds),
            files,
        })
    }
}

/// A walk that is under way.
struct Walk<'a> {
    bounds: &'a Bounds,
    rules: &'a Rules,
    tally: &'a mut Tally,
    files: Vec<Box<str>>,
}

impl Walk<'_> {
    /// False for a link to a folder that is not to be entered. What is to be said of that is said.
    fn enters(&mut self, entry: &DirEntry) -> bool {
        let is_folder = entry.file_type().is_dir();
        if !is_folder || !entry.path_is_symlink() || entry.depth() == 0 {
            return true;
        }
        let path = self.below_root(entry.path());
        !self.rules.exclude.is_match(path) && self.stays_inside(entry)
    }

    fn visit(&mut self, entry: &DirEntry) {
        let path = self.below_root(entry.path());
        let kind = entry.file_type();
        if kind.is_dir() || !self.rules.takes(path) {
            return;
        }
        if entry.path_is_symlink() && !self.takes_link(entry) {
            return;
        }
        if !kind.is_file() {
            let text = format!("{} is no regular file: left out", entry.path().display());
            return self.tally.warn(&text);
        }
        match self.name(path) {
            Ok(name) => self.files.push(name),
            Err(error) => self.tally.add(&error.into()),
        }
    }

    fn takes_link(&mut self, entry: &DirEntry) -> bool {
        match self.rules.symlinks {
            Symlinks::Follow => self.stays_inside(entry),
            Symlinks::Skip => false,
            Symlinks::Error => {
                self.complain(entry.path(), "is a symbolic link");
                false
            }
        }
    }

    fn stays_inside(&mut self, link: &DirEntry) -> bool {
        match fs::canonicalize(link.path()) {
            Ok(target) if self.bounds.contain(&target) => true,
            Ok(target) => {
                let text = format!(
                    "is a symbolic link that leads out of the folder, to {}",
                    target.display()
                );
                self.complain(link.path(), &text);
                false
            }
            Err(error) => {
                self.add(link.path(), Error::from(error));
                false
            }
        }
    }

    /// The end of a file's object's name.
    fn name(&self, path: &Path) -> Result<Box<str>> {
        let shown = || self.bounds.root().join(path).display().to_string();
        let Some(name) = path.to_str() else {
            let text = "is not valid UTF-8, which names of objects are";
            return Err(invalid(text).with_uri(shown()));
        };
        if name.len() > self.rules.max_len {
            let text = format!("is too long: its key would have more than {MAX_KEY_LEN} bytes");
            return Err(invalid(text).with_uri(shown()));
        }
        Ok(name.into())
    }

    /// Says what could not be looked at, unless it would not be taken anyway.
    fn refuse(&mut self, error: walkdir::Error) {
        let path = error.path().map_or_else(PathBuf::new, Path::to_owned);
        let below = self.below_root(&path);
        if let Some(ancestor) = error.loop_ancestor() {
            if !self.rules.exclude.is_match(below) {
                let text = format!(
                    "is a symbolic link that leads back to {}",
                    ancestor.display()
                );
                self.complain(&path, &text);
            }
            return;
        }
        let is_link = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
        if is_link && !self.rules.takes(below) {
            return;
        }
        let error = error
            .into_io_error()
            .unwrap_or_else(|| io::Error::other("can't be looked at"));
        if is_link && error.kind() == io::ErrorKind::NotFound {
            return self.complain(&path, "is a symbolic link that leads nowhere");
        }
        self.add(&path, Error::from(error));
    }

    fn complain(&mut self, path: &Path, text: &str) {
        self.add(path, invalid(text));
    }

    fn add(&mut self, path: &Path, error: Error) {
        let error = error.with_uri(path.display().to_string());
        self.tally.add(&error.into());
    }

    fn below_root<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(self.bounds.root()).unwrap_or(path)
    }
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(include: &[&str], exclude: &[&str]) -> Rules {
        let globs = |texts: &[&str]| texts.iter().map(|text| Glob::new(text).unwrap()).collect();
        let args = FolderArgs {
            recursive: true,
            include: globs(include),
            exclude: globs(exclude),
            symlinks: Symlinks::Follow,
        };
        Rules::new(&args, "s3://bucket/p/").unwrap()
    }

    #[test]
    fn a_file_is_taken_if_any_include_and_no_exclude_matches() {
        for (include, exclude, path, taken) in [
            (&[][..], &[][..], "a", true),
            (&["*.txt"], &[], "a.txt", true),
            (&["*.txt"], &[], "x/y/a.txt", true),
            (&["*.txt"], &[], "a.bin", false),
            (&["x/*"], &[], "x/y/a", true),
            (&["x/*"], &[], "y/x/a", false),
            (&["*.txt", "*.md"], &[], "a.md", true),
            (&["*.{txt,md}"], &[], "a.md", true),
            (&["[a-c]?"], &[], "b1", true),
            (&["[a-c]?"], &[], "d1", false),
            (&[], &["*.tmp"], "x/a.tmp", false),
            (&[], &["*.tmp"], "x/a.txt", true),
            (&["x/*"], &["*.tmp"], "x/a.tmp", false),
            (&["x/a.tmp"], &["*.tmp"], "x/a.tmp", false),
        ] {
            let rules = rules(include, exclude);
            let what = format!("{include:?} {exclude:?} {path}");
            assert_eq!(rules.takes(Path::new(path)), taken, "{what}");
        }
    }
}
