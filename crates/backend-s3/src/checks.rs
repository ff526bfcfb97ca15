//! How the bytes of parts are checked, by what is known of the service.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use writer_core::{Error, ErrorKind};

/// What one store knows of its service, from answers to all of its writers.
#[derive(Debug, Default)]
pub(crate) struct Service {
    /// It says no checksum of what it stores, whatever it is given.
    silent: AtomicBool,
    /// What it does with a part that comes without its checksum.
    unasked: AtomicU8,
}

mod unasked {
    pub(super) const UNKNOWN: u8 = 0;
    /// Its answer to CreateMultipartUpload promised it.
    pub(super) const HASHES: u8 = 1;
    /// It said the checksum of such a part.
    pub(super) const PROVEN: u8 = 2;
    /// It does not promise it, or did not keep its promise.
    pub(super) const WANTS: u8 = 3;
}

/// When the checksum of a part is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hashing {
    /// Before it is sent, so that it goes with it.
    Ahead,
    /// While it is sent, in the same pass over the bytes; what the service says it has stored is
    /// compared with it.
    AsSent,
    /// CreateMultipartUpload decides.
    Unknown,
}

impl Service {
    /// True if payloads must be signed, because nothing else vouches for them.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    pub(crate) fn set_silent(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }

    /// When to hash the parts of a multipart upload.
    pub(crate) fn hashing(&self) -> Hashing {
        match self.unasked.load(Ordering::Relaxed) {
            unasked::UNKNOWN => Hashing::Unknown,
            unasked::WANTS => Hashing::Ahead,
            _ => Hashing::AsSent,
        }
    }

    /// The answer to CreateMultipartUpload said which type of checksum the object will have.
    ///
    /// If that is FULL_OBJECT, S3 computes the checksum of each part itself, and says it. Services
    /// that do not say the type refuse a part without its checksum, or say none.
    pub(crate) fn created(&self, full_object: bool) {
        let known = if full_object {
            unasked::HASHES
        } else {
            unasked::WANTS
        };
        self.learn(unasked::UNKNOWN, known);
    }

    /// A part that went without its checksum was stored, and the service said the right one.
    pub(crate) fn proved_itself(&self) {
        self.learn(unasked::HASHES, unasked::PROVEN);
    }

    /// A part that went without its checksum was stored, and the service said none.
    pub(crate) fn wants_checksums(&self) {
        self.unasked.store(unasked::WANTS, Ordering::Relaxed);
    }

    /// True if a part may have been refused because it went without its checksum, which is from
    /// now on sent.
    pub(crate) fn may_have_refused(&self, error: &Error) -> bool {
        let refused = !error.is_retryable()
            && matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::Other
            );
        if refused {
            self.learn(unasked::HASHES, unasked::WANTS);
        }
        refused && self.hashing() == Hashing::Ahead
    }

    fn learn(&self, from: u8, to: u8) {
        // Something else is known: then that stands.
        let _known = self
            .unasked
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_taken_until_it_is_broken() {
        let service = Service::default();
        assert_eq!(service.hashing(), Hashing::Unknown);
        service.created(true);
        assert_eq!(service.hashing(), Hashing::AsSent);
        service.wants_checksums();
        service.created(true);
        assert_eq!(service.hashing(), Hashing::Ahead);
    }

    #[test]
    fn no_promise_is_no() {
        let service = Service::default();
        service.created(false);
        assert_eq!(service.hashing(), Hashing::Ahead);
    }

    #[test]
    fn a_service_that_has_proved_itself_refuses_for_other_reasons() {
        let refusal = Error::new(ErrorKind::InvalidInput, "InvalidRequest");
        let service = Service::default();
        service.created(true);
        assert!(!service.may_have_refused(&Error::new(ErrorKind::AccessDenied, "no")));
        assert!(service.may_have_refused(&refusal));
        assert!(
            service.may_have_refused(&refusal),
            "and the parts beside it"
        );

        let service = Service::default();
        service.created(true);
        service.proved_itself();
        assert!(!service.may_have_refused(&refusal));
    }
}
