//! What a write expects in its place, and the lock under which that is looked at.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use writer_core::{Condition, Error, ErrorKind, IfExists, Result, WriterOptions};

use crate::error;
use crate::target::Replaced;

/// How long a write with a tag waits for its directory's lock, which others hold for two or three
/// system calls.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a write without condition waits, before it takes the lock for another program's.
const COURTESY: Duration = Duration::from_secs(1);

/// Between two tries to lock.
const PAUSE: Duration = Duration::from_micros(500);

/// What must be in an object's place when a write takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Whatever is there is replaced.
    Anything,
    /// Only a new object may be made.
    Nothing,
    /// Only the object with this tag is replaced.
    Tag(String),
}

impl Expected {
    pub(crate) fn new(options: &WriterOptions) -> Self {
        match (&options.if_match, options.if_exists) {
            (Some(tag), _) => Self::Tag(tag.clone()),
            (None, IfExists::Fail) => Self::Nothing,
            (None, _) => Self::Anything,
        }
    }

    /// Checks it against what is there.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` or `PreconditionFailed` if it is something else.
    pub(crate) fn check(&self, found: Option<&Replaced>) -> Result<()> {
        match (self, found) {
            (Self::Nothing, Some(_)) => Err(already_exists()),
            (Self::Tag(tag), Some(found)) if *tag == found.e_tag => Ok(()),
            (Self::Tag(tag), Some(found)) => Err(changed(format!(
                "the object has the ETag {}, and only {tag} was to be replaced",
                found.e_tag
            ))),
            (Self::Tag(tag), None) => Err(missing(tag)),
            (Self::Anything, _) | (Self::Nothing, None) => Ok(()),
        }
    }

    /// How the condition is kept, if there is one. The kernel makes new names, and refuses those
    /// that are taken; tags it does not know.
    pub(crate) fn kept(&self) -> Option<Condition> {
        match self {
            Self::Anything => None,
            Self::Nothing => Some(Condition::Enforced),
            Self::Tag(_) => Some(Condition::Advisory),
        }
    }

    /// Holds the other writers of `directory` back while the result lives: those with a tag, and
    /// all that replace something if this one has a tag.
    ///
    /// # Errors
    ///
    /// Only with a tag: `Unavailable` if another program holds the lock, `Unsupported` if there
    /// are no locks, and what keeps the directory from being opened.
    pub(crate) fn lock(&self, directory: &Path) -> Result<Option<File>> {
        self.lock_within(directory, PATIENCE)
    }

    fn lock_within(&self, directory: &Path, patience: Duration) -> Result<Option<File>> {
        let Self::Tag(tag) = self else {
            // What makes a new name can't meet one with a tag, which must find the name taken.
            let replaces = *self == Self::Anything;
            return Ok(replaces.then(|| share(directory)).flatten());
        };
        let operation = FlockOperation::NonBlockingLockExclusive;
        match lock(directory, operation, patience) {
            Ok(locked) => Ok(Some(locked)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing(tag)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let what = format!(
                    "another program has held the lock of {} for {} s",
                    directory.display(),
                    patience.as_secs()
                );
                Err(Error::new(ErrorKind::Unavailable, what)
                    .with_retryable(true)
                    .with_source(error))
            }
            Err(source) => {
                let what = format!(
                    "{} can't be locked, so nothing can be replaced by its ETag there",
                    directory.display()
                );
                Err(match Errno::from_io_error(&source) {
                    // flock(2), and EBADF of NFS, where an exclusive lock takes a descriptor that
                    // may write, as none of a directory does.
                    Some(
                        Errno::BADF | Errno::NOLCK | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP,
                    ) => Error::new(ErrorKind::Unsupported, what).with_source(source),
                    _ => error::io(what, source),
                })
            }
        }
    }
}

/// Holds the writers of `directory` that have a tag back while the result lives. `None` where
/// that can't be had: then no write with a tag succeeds there either, unless another program, or
/// another user's rights, are at it.
pub(crate) fn share(directory: &Path) -> Option<File> {
    lock(directory, FlockOperation::NonBlockingLockShared, COURTESY)
        .inspect_err(|error| tracing::debug!(%error, "can't lock the directory"))
        .ok()
}

/// Locks `directory` itself, so that no file of a lock has to be made, or stays.
fn lock(directory: &Path, operation: FlockOperation, patience: Duration) -> io::Result<File> {
    let flags = i32::try_from(OFlags::DIRECTORY.bits()).unwrap_or_default();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(directory)?;
    let mut since = None;
    loop {
        match rustix::fs::flock(&file, operation) {
            Ok(()) => return Ok(file),
            Err(Errno::INTR) => {}
            // A blocking call could not be given up, should the lock be held for ever.
            Err(errno @ Errno::AGAIN) => {
                let since: Instant = *since.get_or_insert_with(Instant::now);
                if since.elapsed() >= patience {
                    return Err(errno.into());
                }
                thread::sleep(PAUSE);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The error of a create that found an object.
pub(crate) fn already_exists() -> Error {
    Error::new(ErrorKind::AlreadyExists, "the object exists already")
}

fn missing(tag: &str) -> Error {
    changed(format!(
        "there is no object, and only the one with the ETag {tag} was to be replaced"
    ))
}

fn changed(message: String) -> Error {
    Error::new(ErrorKind::PreconditionFailed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag() -> Expected {
        Expected::new(&WriterOptions::default().with_if_match("\"1-2-3\""))
    }

    #[test]
    fn options_say_what_is_expected() {
        let any = WriterOptions::default();
        assert_eq!(Expected::new(&any), Expected::Anything);
        let new = any.with_if_exists(IfExists::Fail);
        assert_eq!(Expected::new(&new), Expected::Nothing);
        assert_eq!(tag(), Expected::Tag("1-2-3".to_owned()));
    }

    #[test]
    fn a_tag_holds_back_everyone_and_the_others_only_those_with_a_tag() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let shared = [(); 2].map(|()| Expected::Anything.lock(directory).unwrap().unwrap());
        let exclusive = FlockOperation::NonBlockingLockExclusive;
        let refused = lock(directory, exclusive, Duration::ZERO).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(shared);
        let locked = tag().lock(directory).unwrap().unwrap();
        for operation in [exclusive, FlockOperation::NonBlockingLockShared] {
            assert!(lock(directory, operation, Duration::ZERO).is_err());
        }
        assert!(Expected::Nothing.lock(directory).unwrap().is_none());
        drop(locked);
        assert!(share(directory).is_some());
        assert_eq!(std::fs::read_dir(directory).unwrap().count(), 0);
    }

    #[test]
    fn a_lock_that_others_hold_is_waited_for_and_not_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let foreign = lock(directory, FlockOperation::LockExclusive, Duration::ZERO).unwrap();
        let since = Instant::now();
        assert!(share(directory).is_none());
        assert!(since.elapsed() >= COURTESY);
        let refused = tag().lock_within(directory, 2 * PAUSE).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
        assert!(refused.is_retryable());
        thread::scope(|scope| {
            let waits = scope.spawn(|| tag().lock(directory).unwrap());
            thread::sleep(Duration::from_millis(20));
            assert!(!waits.is_finished());
            drop(foreign);
            assert!(waits.join().unwrap().is_some());
        });
    }

    #[test]
    fn no_directory_is_no_object() {
        let error = tag().lock(Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
    }
}
