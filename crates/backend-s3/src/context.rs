//! What one upload knows of its store and its object, and how it settles what happened.

use std::sync::Arc;

use tracing::debug;
use writer_core::{Condition, Crc64Nvme, Error, ErrorKind, Result, WriterOptions};

use crate::api::{Api, Stored, exists_already, replaced};
use crate::checks::{Hashing, Service};
use crate::create::Running;
use crate::digest::{Hasher, PartDigest, Wanted};
use crate::resume::Resumed;
use crate::retry::Retries;

/// The name under which an object's metadata keep the token of a conditional write.
pub(crate) const TOKEN: &str = "writer-token";

/// What an upload needs to know of its store and its object.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) api: Api,
    pub(crate) options: Arc<WriterOptions>,
    /// How the condition of the write is kept, if it has one.
    pub(crate) condition: Option<Condition>,
    /// What tells this write's object from any other, where it has a condition.
    pub(crate) token: Option<String>,
    pub(crate) retry: Retries,
    pub(crate) hasher: Hasher,
    /// Payloads are signed, by configuration.
    pub(crate) sign: bool,
    pub(crate) service: Arc<Service>,
    pub(crate) running: Arc<Running>,
    /// A part that keeps the others waiting is sent a second time.
    pub(crate) repeat_late: bool,
    pub(crate) abort_on_drop: bool,
    /// What fails, or is cancelled, leaves its parts to be resumed.
    pub(crate) keep_parts: bool,
    /// The upload that this one goes on with.
    pub(crate) resumed: Option<Arc<Resumed>>,
}

/// How a stored body compares with what was sent.
pub(crate) enum Verdict {
    Stored,
    /// Nothing vouches for the bytes: send them again, signed.
    Unverified,
    Damaged(Error),
}

impl Context {
    pub(crate) fn signs(&self) -> bool {
        self.sign || self.service.is_silent()
    }

    /// When to hash the parts of a multipart upload.
    pub(crate) fn hashing(&self) -> Hashing {
        if self.options.enable_checksums && !self.signs() {
            self.service.hashing()
        } else {
            Hashing::Ahead
        }
    }

    pub(crate) fn wanted(&self, sign: bool) -> Wanted {
        Wanted {
            crc: self.options.enable_checksums,
            sha256: sign,
            md5: false,
        }
    }

    /// Whether the service has what was sent: it says the same checksum, or it says none but has
    /// checked the signed hash of the payload.
    pub(crate) fn verify(&self, stored: &Stored, digest: &PartDigest) -> Verdict {
        match (digest.crc, stored.crc) {
            (Some(sent), Some(stored)) if sent != stored => Verdict::Damaged(damaged(sent, stored)),
            (Some(_), None) if digest.sha256.is_none() => Verdict::Unverified,
            _ => Verdict::Stored,
        }
    }

    /// Looks whether the condition holds, where the service is not known to look.
    ///
    /// # Errors
    ///
    /// What the service would say if it looked.
    pub(crate) async fn check_first(&self) -> Result<()> {
        if self.condition != Some(Condition::Advisory) {
            return Ok(());
        }
        let found = match self.retry.run(|_| self.api.head()).await {
            Ok(found) => Some(found),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        match &self.options.if_match {
            Some(wanted)
                if found.as_ref().and_then(|found| found.e_tag.as_ref()) != Some(wanted) =>
            {
                Err(replaced())
            }
            None if found.is_some() => Err(exists_already()),
            _ => Ok(()),
        }
    }

    /// Sends the request that makes an object of `size` bytes visible, with the attempt's number,
    /// until its outcome is known.
    pub(crate) async fn make_visible<F>(
        &self,
        size: u64,
        whole: Option<Crc64Nvme>,
        mut request: impl FnMut(u32) -> F,
    ) -> Result<Stored>
    where
        F: Future<Output = Result<Stored>>,
    {
        let attempt = |attempt| {
            let sent = request(attempt);
            async move {
                match sent.await {
                    // An earlier attempt may have done it, and only its answer been lost.
                    Err(error) if attempt > 1 && is_settled(&error) => {
                        self.resolve(size, whole, error).await
                    }
                    other => other,
                }
            }
        };
        match self.retry.run(attempt).await {
            // All answers were lost, or none came.
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                self.resolve(size, whole, error).await
            }
            other => other,
        }
    }

    /// Whether the object is there after a request whose answer was lost, `error` being the last
    /// that is known: its size and its checksum decide, or the outcome is ambiguous.
    async fn resolve(&self, size: u64, whole: Option<Crc64Nvme>, error: Error) -> Result<Stored> {
        let found = match self.retry.run(|_| self.api.head()).await {
            Ok(found) => found,
            Err(head) if head.kind() == ErrorKind::NotFound => return Err(error),
            Err(head) => return Err(ambiguous(error.with_note(head))),
        };
        let same = match &self.token {
            Some(token) => found.metadata.get(TOKEN) == Some(token),
            None => found.size == size && whole.is_none_or(|whole| found.checksum == Some(whole)),
        };
        let proven = self.token.is_some() || whole.is_some() && !self.options.is_conditional();
        match (same, proven) {
            (true, true) => {
                debug!("the answer was lost, but the object is there");
                Ok(Stored {
                    e_tag: found.e_tag,
                    version_id: found.version_id,
                    crc: found.checksum,
                })
            }
            (true, false) => Err(ambiguous(error)),
            // Another object is there, and the request may still be tried or aborted; but an
            // upload that has vanished may have been completed, and the object replaced since.
            (false, _) if error.kind() == ErrorKind::NotFound => Err(ambiguous(error)),
            (false, _) => Err(error),
        }
    }
}

/// A new token, which no other write has.
pub(crate) fn token() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// True if the service no longer has the upload, or now has the object that a condition forbids.
fn is_settled(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed
    )
}

fn ambiguous(error: Error) -> Error {
    Error::new(
        ErrorKind::Ambiguous,
        "the answer to the request that makes the object visible was lost: it may have been \
         written by this upload or by another; look at it",
    )
    .with_source(error)
}

pub(crate) fn damaged(sent: Crc64Nvme, stored: Crc64Nvme) -> Error {
    Error::new(
        ErrorKind::ChecksumMismatch,
        format!("the service stored CRC64NVME {stored}, but {sent} was sent"),
    )
}
