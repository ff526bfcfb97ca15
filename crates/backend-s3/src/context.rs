//! What one upload knows of its store and its object, and how it settles what happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::debug;
use writer_core::{Condition, Crc64Nvme, Error, ErrorKind, Result, WriterOptions};

use crate::api::{Api, Stored, exists_already, nothing_to_replace, replaced};
use crate::checks::{Hashing, Service};
use crate::create::Running;
use crate::digest::{Hasher, PartDigest, Wanted};
use crate::error::{Doubt, doubt};
use crate::resume::Resumed;
use crate::retry::Retries;
use crate::watch::{Attempt, Attempts, Watch};

/// The name under which an object's metadata keep the token of a conditional write.
pub(crate) const TOKEN: &str = "writer-token";

/// What an upload needs to know of its store and its object.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) api: Api,
    pub(crate) options: Arc<WriterOptions>,
    /// What of the options goes with requests: a condition only if the service keeps it.
    pub(crate) sent: Arc<WriterOptions>,
    /// How the condition of the write is kept, if it has one.
    pub(crate) condition: Option<Condition>,
    /// What tells this write's object from any other, where it has a condition.
    pub(crate) token: Option<String>,
    pub(crate) retry: Retries,
    pub(crate) watch: Watch,
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
        self.sign || self.service.is_silent() || self.takes_no_checksums()
    }

    /// True if the upload was begun by another, without checksums.
    pub(crate) fn takes_no_checksums(&self) -> bool {
        let resumed = self.resumed.as_ref();
        resumed.is_some_and(|resumed| resumed.takes_no_checksums())
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

    /// Whether the object, which is there by now, is encrypted as it was asked for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ambiguous`] if the service does not say so.
    pub(crate) fn confirm_encryption(&self, stored: &Stored) -> Result<()> {
        let confirmed = self.api.protection.confirm(stored.encryption.as_deref());
        confirmed.map_err(|error| {
            let text = format!("the object is stored, but {}", error.message());
            Error::new(ErrorKind::Ambiguous, text).with_source(error)
        })
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
            Some(_) if found.is_none() => Err(nothing_to_replace()),
            Some(wanted)
                if found.as_ref().and_then(|found| found.e_tag.as_ref()) != Some(wanted) =>
            {
                Err(replaced())
            }
            None if found.is_some() => Err(exists_already()),
            _ => Ok(()),
        }
    }

    /// Sends the request that makes `object` visible, with each of its `attempts`, until its
    /// outcome is known.
    pub(crate) async fn make_visible<F>(
        &self,
        object: &Publication<'_>,
        attempts: &Attempts,
        mut request: impl FnMut(Attempt) -> F,
    ) -> Result<Stored>
    where
        F: Future<Output = Result<Stored>>,
    {
        // An attempt without an answer may have done it, and may still do it.
        let (lost, failed) = (&AtomicBool::new(false), &AtomicBool::new(false));
        let attempt = |attempt| {
            let sent = request(attempt);
            async move {
                let stored = sent.await;
                match stored.as_ref().map_err(doubt) {
                    Err(Doubt::Unanswered) => lost.store(true, Ordering::Relaxed),
                    Err(Doubt::Failed) => failed.store(true, Ordering::Relaxed),
                    Ok(_) | Err(Doubt::None) => {}
                }
                stored
            }
        };
        match attempts.run(&self.retry, attempt).await {
            Err(error) if lost.load(Ordering::Relaxed) => self.resolve(object, error).await,
            // The service says that it failed; where it is wrong, the object shows it.
            Err(error) if failed.load(Ordering::Relaxed) => {
                match self.look_for(object, &error).await {
                    Ok(Found::This(stored)) => Ok(stored),
                    _ => Err(error),
                }
            }
            other => other,
        }
    }

    /// Whether the object is there after a request whose answer was lost, `error` being the last
    /// that is known; or the outcome is ambiguous.
    async fn resolve(&self, object: &Publication<'_>, error: Error) -> Result<Stored> {
        let before = match self.look_for(object, &error).await? {
            Found::This(stored) => return Ok(stored),
            before => before,
        };
        // A condition that does not hold for another object keeps all attempts from their work.
        if is_refused(&error) {
            return Err(error);
        }
        let upload_id = object.upload_id.filter(|_| !self.keep_parts);
        let Some(upload_id) = upload_id else {
            return Err(ambiguous(error));
        };
        // Without its upload, a Complete that is still on its way has nothing to complete.
        let aborted = match self.retry.run(|_| self.api.abort(upload_id)).await {
            Ok(aborted) => aborted,
            Err(abort) => return Err(ambiguous(error.with_note(abort))),
        };
        // It may have been completed meanwhile, and the object replaced since; and some services
        // say that they aborted what was complete.
        match (before, self.look_for(object, &error).await?) {
            (_, Found::This(stored)) => Ok(stored),
            (Found::None, Found::None) => Err(error),
            (Found::Other, Found::Other) if aborted => Err(error),
            _ => Err(ambiguous(error)),
        }
    }

    /// Looks at what is there: its size and its checksum decide.
    async fn look_for(&self, object: &Publication<'_>, error: &Error) -> Result<Found> {
        let found = match self.retry.run(|_| self.api.head()).await {
            Ok(found) => found,
            Err(head) if head.kind() == ErrorKind::NotFound => return Ok(Found::None),
            Err(head) => return Err(ambiguous(error.clone().with_note(head))),
        };
        let is_this = match (&self.token, object.whole, found.checksum) {
            (Some(token), ..) => Some(found.metadata.get(TOKEN) == Some(token)),
            _ if found.size != object.size => Some(false),
            (None, Some(whole), Some(checksum)) if whole != checksum => Some(false),
            (None, Some(_), Some(_)) if !self.options.is_conditional() => Some(true),
            // It may be this one, and nothing proves it.
            _ => None,
        };
        match is_this {
            Some(true) => {
                debug!("the answer was lost, but the object is there");
                Ok(Found::This(Stored {
                    e_tag: found.e_tag,
                    version_id: found.version_id,
                    crc: found.checksum,
                    encryption: found.encryption,
                }))
            }
            Some(false) => Ok(Found::Other),
            None => Err(ambiguous(error.clone())),
        }
    }
}

/// A new token, which no other write has.
pub(crate) fn token() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// What a request is to make visible.
pub(crate) struct Publication<'a> {
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) whole: Option<Crc64Nvme>,
    /// The upload that is completed; `None` for a PutObject.
    pub(crate) upload_id: Option<&'a str>,
}

/// What was found where an object was to be made visible.
enum Found {
    This(Stored),
    Other,
    None,
}

/// True if there is an object that a condition forbids.
fn is_refused(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed
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

/// Why a body that was stored is sent again.
pub(crate) fn unverified() -> Error {
    Error::new(
        ErrorKind::ChecksumMismatch,
        "the service said no checksum of what it stored: once more, with one",
    )
}
