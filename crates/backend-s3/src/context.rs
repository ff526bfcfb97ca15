//! What one upload knows of its store and its object, and how it settles what happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::debug;
use writer_core::{Crc64Nvme, Error, ErrorKind, Result, WriterOptions};

use crate::api::{Api, Stored};
use crate::checks::{Hashing, Service};
use crate::digest::{Hasher, PartDigest, Wanted};
use crate::error::may_have_been_done;
use crate::retry::RetryPolicy;

/// An abort is repeated this often while parts that were on their way keep arriving: "it might
/// be necessary to abort a given multipart upload multiple times"
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html>).
const ABORTS: u32 = 5;

/// What an upload needs to know of its store and its object.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) api: Api,
    pub(crate) options: Arc<WriterOptions>,
    pub(crate) retry: RetryPolicy,
    pub(crate) hasher: Hasher,
    /// Payloads are signed, by configuration.
    pub(crate) sign: bool,
    pub(crate) service: Arc<Service>,
    /// A part that keeps the others waiting is sent a second time.
    pub(crate) repeat_late: bool,
    pub(crate) abort_on_drop: bool,
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

    /// Sends the request that makes `object` visible, with the attempt's number, until its outcome
    /// is known.
    pub(crate) async fn make_visible<F>(
        &self,
        object: &Publication<'_>,
        mut request: impl FnMut(u32) -> F,
    ) -> Result<Stored>
    where
        F: Future<Output = Result<Stored>>,
    {
        // An attempt without an answer may have done it, and may still do it.
        let lost = &AtomicBool::new(false);
        let attempt = |attempt| {
            let sent = request(attempt);
            async move {
                let stored = sent.await;
                if stored.as_ref().is_err_and(may_have_been_done) {
                    lost.store(true, Ordering::Relaxed);
                }
                stored
            }
        };
        match self.retry.run(attempt).await {
            Err(error) if lost.load(Ordering::Relaxed) => self.resolve(object, error).await,
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
        let Some(upload_id) = object.upload_id else {
            return Err(ambiguous(error));
        };
        // Without its upload, a Complete that is still on its way has nothing to complete.
        match self.retry.run(|_| self.api.abort(upload_id)).await {
            Ok(true) => return Err(error),
            Ok(false) => {}
            Err(abort) => return Err(ambiguous(error.with_note(abort))),
        }
        // Completed meanwhile; or the object was replaced since.
        match self.look_for(object, &error).await? {
            Found::This(stored) => Ok(stored),
            Found::None if matches!(before, Found::None) => Err(error),
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
        let whole = object.whole;
        let same =
            found.size == object.size && whole.is_none_or(|whole| found.checksum == Some(whole));
        let proven = whole.is_some() && !self.options.is_conditional();
        match (same, proven) {
            (true, true) => {
                debug!("the answer was lost, but the object is there");
                Ok(Found::This(Stored {
                    e_tag: found.e_tag,
                    version_id: found.version_id,
                    crc: found.checksum,
                }))
            }
            (true, false) => Err(ambiguous(error.clone())),
            (false, _) => Ok(Found::Other),
        }
    }

    /// Aborts until nothing is left.
    pub(crate) async fn abort(&self, upload_id: &str) -> Result<()> {
        let aborted = async {
            for round in 1..=ABORTS {
                self.retry.run(|_| self.api.abort(upload_id)).await?;
                if self.retry.run(|_| self.api.is_gone(upload_id)).await? {
                    debug!(upload_id, "aborted");
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(100) * round).await;
            }
            Err(Error::new(
                ErrorKind::Unavailable,
                "parts remain after it was aborted",
            ))
        };
        aborted.await.map_err(|error: Error| {
            Error::new(
                error.kind(),
                format!("upload {upload_id} is left on the service, which charges for it: {error}"),
            )
            .with_uri(self.api.location.uri())
            .with_source(error)
        })
    }
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
