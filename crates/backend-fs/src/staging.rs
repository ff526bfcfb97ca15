//! The staging file: made beside the target, locked while its writer lives, published at once.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, FlockOperation, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;
use writer_core::{Condition, Error, EventKind, Reporter, Result, Step};

use crate::condition::{Expected, already_exists};
use crate::directory::Directories;
use crate::error;
use crate::target::Target;

/// How the name of every staging file ends. Before it stand a dot, the beginning of the target's
/// name, a dot, and 16 random hexadecimal digits.
pub(crate) const SUFFIX: &str = ".s3dlio-staging";

const DIGITS: usize = 16;

/// Bytes that a name may have; see `NAME_MAX` in `limits.h`.
const NAME_MAX: usize = 255;

/// How far the time of a replaced file may be ahead of the clock's to be kept ahead of.
const MAX_AHEAD: Duration = Duration::from_secs(1);

/// How often making a file is tried while others sweep, make and remove in the same place.
const ATTEMPTS: usize = 16;

/// A file that is written and not seen, until it is published; removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    pub(crate) file: File,
    target: Target,
    expected: Expected,
    trace: Arc<Trace>,
}

/// What a write leaves on disk until it is published: from here, whoever gives it up removes it.
#[derive(Debug, Default)]
pub(crate) struct Trace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Published, or removed: nothing of the write is left, and nothing may come.
    ended: bool,
    /// The staging file, if it has a name.
    named: Option<PathBuf>,
    /// Directories that this write has made, outermost first.
    made: Vec<PathBuf>,
}

impl Staging {
    /// Makes the staging file of a write to `target`, and the directories above it. Where only a
    /// new object may be made, it has no name at all, if the file system can do that.
    ///
    /// # Errors
    ///
    /// If it can't be made, or something else than `expected` is there; nothing is left then.
    pub(crate) fn create(
        directories: &Directories,
        target: Target,
        expected: Expected,
    ) -> Result<Self> {
        let found = target.look()?;
        expected.check(found.as_ref())?;
        // Its owner must be able to write attributes to it. The rest of the mode comes last.
        let mode = found.map_or(0o666, |replaced| replaced.mode | 0o200);
        directories.sweep_once(&target.directory);
        let trace = Arc::new(Trace::default());
        let unnamed = expected == Expected::Nothing;
        let made = make_file(directories, &target, unnamed, mode, &trace);
        let file = made.inspect_err(|_| trace.remove_quietly())?;
        Ok(Self {
            file,
            target,
            expected,
            trace,
        })
    }

    /// The handle by which the write can be given up from elsewhere.
    pub(crate) fn trace(&self) -> &Arc<Trace> {
        &self.trace
    }

    /// Makes the file durable, and puts it in its place in one step, which is durable when its
    /// [directory](Self::directory) is synced. Tells `reporter` of it, but not that it is durable.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if only a new object may be made and there is one,
    /// `PreconditionFailed` if only another may be replaced.
    pub(crate) fn publish(
        &self,
        directories: &Directories,
        reporter: &Reporter,
    ) -> Result<fs::Metadata> {
        self.take_after_replaced()?;
        telling(reporter, Step::Sync, || {
            let synced = self.file.sync_all();
            synced.map_err(|source| error::io("can't sync the staging file", source))
        })?;
        reporter.tell(EventKind::Done {
            step: Step::Sync,
            bytes: 0,
            reused: false,
        });
        // Read now: nothing can fail once the object is visible, save the last sync.
        let metadata = self
            .file
            .metadata()
            .map_err(|source| error::io("can't look at the staging file", source))?;
        telling(reporter, Step::Complete, || self.put_in_place(directories))?;
        Ok(metadata)
    }

    /// Where the file is put.
    pub(crate) fn directory(&self) -> &Path {
        &self.target.directory
    }

    /// How the condition on what is replaced is kept, if there is one.
    pub(crate) fn condition(&self) -> Option<Condition> {
        self.expected.kept()
    }

    /// A file that replaces another has its mode, its owner where that is permitted, and a later
    /// time.
    fn take_after_replaced(&self) -> Result<()> {
        let found = self.target.look()?;
        self.expected.check(found.as_ref())?;
        let Some(replaced) = found else {
            return Ok(());
        };
        let failed = |what: &str, source: io::Error| error::io(what, source);
        let own = self
            .file
            .metadata()
            .map_err(|source| failed("can't look at the staging file", source))?;
        let mut mode = replaced.mode;
        if (own.uid(), own.gid()) != (replaced.owner, replaced.group) {
            let owner = Some(Uid::from_raw(replaced.owner));
            let group = Some(Gid::from_raw(replaced.group));
            let both = rustix::fs::fchown(&self.file, owner, group);
            // Who may not give a file away may still give it to a group of their own.
            if both.is_err() && rustix::fs::fchown(&self.file, None, group).is_err() {
                tracing::debug!("the replaced file's owner and group are not kept");
                // What its group was allowed, another group is not.
                if own.gid() != replaced.group {
                    mode &= 0o707;
                }
            }
        }
        if own.mode() & 0o777 != mode {
            rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode)).map_err(|source| {
                failed("can't set the mode of the staging file", source.into())
            })?;
        }
        if let Some(time) = time_after(&own, replaced.modified)
            && let Err(error) = self.file.set_modified(time)
        {
            tracing::debug!(%error, "can't set the time of the staging file");
        }
        Ok(())
    }

    fn put_in_place(&self, directories: &Directories) -> Result<()> {
        // Held until it is in its place: what is there stays the same between the look and the
        // step.
        let _locked = self.expected.lock(&self.target.directory)?;
        if matches!(self.expected, Expected::Tag(_)) {
            self.expected.check(self.target.look()?.as_ref())?;
        }
        // Held for the one step: after it the write is either published or removed, for everyone.
        let mut state = self.trace.lock();
        if state.ended {
            return Err(error::abandoned());
        }
        let target = &self.target.path;
        let result = match (&state.named, &self.expected) {
            (Some(named), Expected::Nothing) => rename_new(named, target),
            (Some(named), _) => fs::rename(named, target),
            (None, _) => self.link(directories, &mut state.made),
        };
        match result {
            Ok(()) => {
                *state = State {
                    ended: true,
                    ..State::default()
                };
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(already_exists()),
            Err(error) => {
                let what = format!("can't put the file in its place as {}", target.display());
                Err(error::io(what, error))
            }
        }
    }

    /// Gives an unnamed file its name.
    fn link(&self, directories: &Directories, made: &mut Vec<PathBuf>) -> io::Result<()> {
        let mut left = ATTEMPTS;
        loop {
            let from = proc_path(&self.file);
            let flags = AtFlags::SYMLINK_FOLLOW;
            match rustix::fs::linkat(CWD, from, CWD, &self.target.path, flags) {
                // A directory looks empty while it holds unnamed files only, so another writer
                // that had made it may have taken it away.
                Err(Errno::NOENT) if left > 0 => {
                    left -= 1;
                    directories
                        .make(&self.target.directory, made)
                        .map_err(io::Error::other)?;
                }
                result => return Ok(result?),
            }
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.trace.remove_quietly();
    }
}

impl Trace {
    /// Removes the staging file and the directories that were made for it, as far as they are
    /// empty, unless it was published. Quick: it never waits for the disk, only for a
    /// publication that is just taking place.
    ///
    /// # Errors
    ///
    /// If the staging file can't be removed; the text says where it is.
    pub(crate) fn remove(&self) -> Result<()> {
        let mut state = self.lock();
        state.ended = true;
        let removed = match state.named.take() {
            Some(named) => match fs::remove_file(&named) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let what = format!("can't remove the staging file {}", named.display());
                    // Another call tries, and tells, again.
                    state.named = Some(named);
                    Err(error::io(what, error))
                }
                _ => Ok(()),
            },
            None => Ok(()),
        };
        for directory in std::mem::take(&mut state.made).iter().rev() {
            // Not empty: someone else writes there, and it is theirs now.
            if fs::remove_dir(directory).is_err() {
                break;
            }
        }
        removed
    }

    fn remove_quietly(&self) {
        if let Err(error) = self.remove() {
            tracing::warn!(%error, "a staging file stays");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic half way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does `work`, and tells that `step` began, and that it failed if it did.
fn telling<T>(reporter: &Reporter, step: Step, work: impl FnOnce() -> Result<T>) -> Result<T> {
    reporter.tell(EventKind::Began { step, attempt: 1 });
    let done = work();
    if let Err(error) = &done {
        reporter.tell(EventKind::Failed { step, error });
    }
    done
}

/// The time that a file must be given to be younger than the one that it replaces, whose inode
/// may be used again by the next. By itself it is not, if both were written within one tick of
/// the clock, or if the clock was set back a little; if by more, it counts.
fn time_after(own: &fs::Metadata, replaced: Option<SystemTime>) -> Option<SystemTime> {
    let (own, replaced) = (own.modified().ok()?, replaced?);
    let ahead = replaced.duration_since(own).ok()?;
    (ahead < MAX_AHEAD).then(|| replaced + Duration::from_nanos(1))
}

fn make_file(
    directories: &Directories,
    target: &Target,
    mut unnamed: bool,
    mode: u32,
    trace: &Trace,
) -> Result<File> {
    let directory = &target.directory;
    let mut prefix: &OsStr = &target.name;
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let result = if unnamed {
            open_unnamed(directory, mode)
        } else {
            let path = directory.join(staging_name(prefix));
            open_locked(&path, mode).inspect(|file| {
                if file.is_some() {
                    trace.lock().named = Some(path);
                }
            })
        };
        match result {
            Ok(Some(file)) => return Ok(file),
            Ok(None) => unnamed = false,
            Err(error) => {
                match Errno::from_io_error(&error) {
                    Some(Errno::NOENT) => directories.make(directory, &mut trace.lock().made)?,
                    Some(Errno::EXIST) => {}
                    // Some file systems take shorter names than NAME_MAX.
                    Some(Errno::NAMETOOLONG) if !prefix.is_empty() => prefix = OsStr::new(""),
                    _ => return Err(cannot_create(directory, error)),
                }
                last = Some(error);
            }
        }
    }
    let error = last.unwrap_or_else(|| io::ErrorKind::ResourceBusy.into());
    Err(cannot_create(directory, error))
}

fn cannot_create(directory: &Path, source: io::Error) -> Error {
    let what = format!("can't create a staging file in {}", directory.display());
    error::io(what, source)
}

fn open_options(mode: u32) -> OpenOptions {
    let mut options = OpenOptions::new();
    // Read as well: checksums of copied ranges are made from what is stored.
    options.read(true).write(true).mode(mode);
    options
}

/// A file without a name, which vanishes with its writer; `None` if that can't be had here.
fn open_unnamed(directory: &Path, mode: u32) -> io::Result<Option<File>> {
    let flags = i32::try_from(OFlags::TMPFILE.bits()).unwrap_or_default();
    match open_options(mode).custom_flags(flags).open(directory) {
        // It gets its name through /proc, which a sandbox may lack.
        Ok(file) => Ok(fs::symlink_metadata(proc_path(&file))
            .is_ok()
            .then_some(file)),
        Err(error) => match Errno::from_io_error(&error) {
            // open(2): what kernels and file systems say that don't know O_TMPFILE.
            Some(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => Ok(None),
            _ => Err(error),
        },
    }
}

fn proc_path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// A new file at `path`, locked by this writer; `None` if a sweep took it in between.
fn open_locked(path: &Path, mode: u32) -> io::Result<Option<File>> {
    let file = open_options(mode).create_new(true).open(path)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        // A sweep saw the file before it was locked, and now removes it.
        Err(Errno::AGAIN) => return Ok(None),
        // A file system without locks: nobody can sweep there either.
        Err(error) => tracing::debug!(%error, "can't lock the staging file"),
        Ok(()) => {}
    }
    // A sweep may also have been quicker than the lock.
    Ok(names(path, &file)?.then_some(file))
}

/// True if `path` is the name of the open `file`.
fn names(path: &Path, file: &File) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Renames unless the new name is taken, atomically.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system has it. A second name fails as well if there is one.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)?;
            // Both names are the object; if this one stays, the next sweep takes it.
            if let Err(error) = fs::remove_file(from) {
                tracing::warn!(%error, "the second name of a published object stays");
            }
            Ok(())
        }
        result => Ok(result?),
    }
}

/// A name for a staging file of the object `target`, of at most [`NAME_MAX`] bytes.
fn staging_name(target: &OsStr) -> OsString {
    let tail = format!(".{:016x}{SUFFIX}", fastrand::u64(..));
    let bytes = target.as_bytes();
    let kept = bytes.len().min(NAME_MAX - 1 - tail.len());
    let mut name = Vec::with_capacity(NAME_MAX);
    name.push(b'.');
    name.extend_from_slice(&bytes[..kept]);
    name.extend_from_slice(tail.as_bytes());
    OsString::from_vec(name)
}

/// True for a name that [`staging_name`] makes.
pub(crate) fn is_staging_name(name: &OsStr) -> bool {
    let Some(rest) = name.as_bytes().strip_suffix(SUFFIX.as_bytes()) else {
        return false;
    };
    let Some((rest, digits)) = rest.split_last_chunk::<DIGITS>() else {
        return false;
    };
    let hexadecimal = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    rest.starts_with(b".")
        && rest.len() > 1
        && rest.ends_with(b".")
        && digits.iter().all(hexadecimal)
}

/// Removes the staging files in `directory` whose writer is gone: those that can be locked.
///
/// # Errors
///
/// If the directory can't be read.
pub(crate) fn sweep(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !is_staging_name(&entry.file_name()) {
            continue;
        }
        let path = entry.path();
        match remove_stale(&path) {
            Ok(true) => tracing::debug!(path = %path.display(), "removed a stale staging file"),
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, path = %path.display(), "can't remove"),
        }
    }
    Ok(())
}

fn remove_stale(path: &Path) -> io::Result<bool> {
    // Over NFS, an exclusive lock takes a descriptor that may write.
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags);
    let file = match options.clone().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => options.open(path)?,
        result => result?,
    };
    if !file.metadata()?.is_file()
        || rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
        || !names(path, &file)?
    {
        return Ok(false);
    }
    // The lock is held until the name is gone, so that a writer that has just made the file
    // either finds it locked or finds its name gone; see `open_locked`.
    fs::remove_file(path)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staging_names_fit_and_are_known_again() {
        for len in [1, 3, 221, 222, 223, 255] {
            let target = OsString::from("x".repeat(len));
            let name = staging_name(&target);
            assert!(name.len() <= NAME_MAX, "{len}");
            assert!(is_staging_name(&name), "{name:?}");
            assert_ne!(name, staging_name(&target));
        }
        assert!(is_staging_name(&staging_name(OsStr::new(""))));
    }

    #[test]
    fn other_names_are_left_alone() {
        for name in [
            ".s3dlio-staging",
            ".0123456789abcdef.s3dlio-staging",
            "x.0123456789abcdef.s3dlio-staging",
            ".x.0123456789abcdeF.s3dlio-staging",
            ".x.0123456789abcde.s3dlio-staging",
            ".x.0123456789abcdef.s3dlio-staging~",
        ] {
            assert!(!is_staging_name(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn a_sweep_and_a_writer_agree_on_who_has_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(staging_name(OsStr::new("x")));

        let file = open_locked(&path, 0o666).unwrap().unwrap();
        assert!(!remove_stale(&path).unwrap());
        drop(file);
        assert!(remove_stale(&path).unwrap());

        // Made and not locked yet, swept, then locked: the name is gone.
        let file = open_options(0o666).create_new(true).open(&path).unwrap();
        assert!(remove_stale(&path).unwrap());
        assert!(!names(&path, &file).unwrap());
    }

    #[test]
    fn writers_and_sweeps_side_by_side_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sweeper = scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    sweep(directory).unwrap();
                }
            });
            let writers: Vec<_> = (0..4)
                .map(|n| {
                    scope.spawn(move || {
                        let directories = Directories::default();
                        for round in 0..200 {
                            let path = directory.join(format!("{n}-{round}"));
                            let target = Target::resolve(&path).unwrap();
                            let staging = Staging::create(&directories, target, Expected::Anything);
                            let staging = staging.unwrap();
                            staging.put_in_place(&directories).unwrap();
                            assert!(path.exists());
                        }
                    })
                })
                .collect();
            writers
                .into_iter()
                .for_each(|writer| writer.join().unwrap());
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            sweeper.join().unwrap();
        });
        assert_eq!(fs::read_dir(directory).unwrap().count(), 800);
    }
}
