//! How the bytes of parts are checked, by what is known of the service.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use writer_core::{Error, ErrorKind};

/// What one store knows of its service, from answers to all of its writers.
#[derive(Debug, Default)]
pub(crate) struct Service {
    /// It says no checksum of what it stores, whatever it is given.
    silent: AtomicBool,
    unasked: AtomicU8,
}

/// Whether the service says the checksum of a part that comes without one.
mod unasked {
    pub(super) const UNKNOWN: u8 = 0;
    pub(super) const TRIED: u8 = 1;
    pub(super) const YES: u8 = 2;
    pub(super) const NO: u8 = 3;
}

/// When the checksum of a part is computed.
#[derive(Debug)]
pub(crate) enum Hashing<'a> {
    /// Before it is sent, so that it goes with it.
    Ahead,
    /// While it is sent, in the same pass over the bytes; what the service says it has stored is
    /// compared with it.
    AsSent(Option<Trial<'a>>),
}

impl Service {
    /// True if payloads must be signed, because nothing else vouches for them.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    pub(crate) fn set_silent(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }

    /// A part that went without its checksum was refused, or the service did not say one.
    pub(crate) fn wants_checksums(&self) {
        self.unasked.store(unasked::NO, Ordering::Relaxed);
    }

    /// How to hash the next part of a multipart upload. As the first one is on trial, the others
    /// carry their checksums until the service has shown that it does not need them.
    ///
    /// S3 computes a part's checksum itself if CreateMultipartUpload declared its algorithm with
    /// the type FULL_OBJECT, and says it in its answer; other services refuse such a part, or say
    /// nothing.
    pub(crate) fn hashing(&self) -> Hashing<'_> {
        let tried = self.unasked.compare_exchange(
            unasked::UNKNOWN,
            unasked::TRIED,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        match tried {
            Ok(_unknown) => Hashing::AsSent(Some(Trial(self))),
            Err(unasked::YES) => Hashing::AsSent(None),
            Err(_) => Hashing::Ahead,
        }
    }
}

/// The first part that goes without its checksum. Dropped undecided, another one tries.
#[derive(Debug)]
pub(crate) struct Trial<'a>(&'a Service);

impl Trial<'_> {
    pub(crate) fn succeeded(self) {
        self.0.unasked.store(unasked::YES, Ordering::Relaxed);
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        // Decided, it is no longer what is compared with.
        let _undecided = self.0.unasked.compare_exchange(
            unasked::TRIED,
            unasked::UNKNOWN,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }
}

/// True if the service may have refused a part because its checksum was missing.
pub(crate) fn may_want_checksum(error: &Error) -> bool {
    !error.is_retryable()
        && matches!(
            error.kind(),
            ErrorKind::InvalidInput
                | ErrorKind::Unsupported
                | ErrorKind::PreconditionFailed
                | ErrorKind::Other
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_tries_and_the_others_follow() {
        let service = Service::default();
        let Hashing::AsSent(Some(trial)) = service.hashing() else {
            panic!("the first part tries");
        };
        assert!(matches!(service.hashing(), Hashing::Ahead));
        drop(trial);
        let Hashing::AsSent(Some(trial)) = service.hashing() else {
            panic!("nothing was decided");
        };
        trial.succeeded();
        assert!(matches!(service.hashing(), Hashing::AsSent(None)));
    }

    #[test]
    fn a_service_that_refuses_is_not_asked_again() {
        let service = Service::default();
        let trial = service.hashing();
        service.wants_checksums();
        drop(trial);
        assert!(matches!(service.hashing(), Hashing::Ahead));
    }
}
