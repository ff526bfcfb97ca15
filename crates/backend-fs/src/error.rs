//! From what the kernel says to what a program can act on.

use std::io;

use rustix::io::Errno;
use writer_core::{Error, ErrorKind};

/// The error of something that the kernel refused; `what` says what was being done.
pub(crate) fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Error {
    let source = source.into();
    let kind = if Errno::from_io_error(&source) == Some(Errno::LOOP) {
        ErrorKind::InvalidInput
    } else {
        Error::from(io::Error::from(source.kind())).kind()
    };
    Error::new(kind, what).with_source(source)
}

/// An argument that can't be right; `message` says what was found and what was expected.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

/// A write that its caller gave up.
pub(crate) fn abandoned() -> Error {
    Error::new(ErrorKind::Closed, "the write was given up")
}

/// A blocking task that ended without an answer: it panicked, or the runtime shuts down.
pub(crate) fn lost(source: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Other, "the task that works on the disk ended").with_source(source)
}

/// An answer that will not come, because what would have given it was never run.
pub(crate) fn shut_down() -> Error {
    Error::new(ErrorKind::Other, "the runtime shuts down")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn the_kernels_answer_keeps_its_meaning() {
        for (errno, kind) in [
            (Errno::NOSPC, ErrorKind::StorageFull),
            (Errno::DQUOT, ErrorKind::StorageFull),
            (Errno::FBIG, ErrorKind::StorageFull),
            (Errno::ACCESS, ErrorKind::AccessDenied),
            (Errno::ROFS, ErrorKind::AccessDenied),
            (Errno::EXIST, ErrorKind::AlreadyExists),
            (Errno::NOTDIR, ErrorKind::InvalidInput),
            (Errno::LOOP, ErrorKind::InvalidInput),
            (Errno::NAMETOOLONG, ErrorKind::InvalidInput),
            (Errno::IO, ErrorKind::Other),
        ] {
            let error = io("can't do it", errno);
            assert_eq!(error.kind(), kind, "{errno:?}");
            assert!(error.source().is_some());
        }
    }
}
