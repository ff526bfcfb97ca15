//! Making an object visible: one PutObject, or CompleteMultipartUpload.

use tracing::debug;
use writer_core::{Crc64Nvme, Error, ErrorKind, Part, Result, Step};
use writer_tokio::{LeavingPart, Sources};

use crate::api::{Completed, Stored, StoredPart};
use crate::context::{Context, Publication, Verdict, damaged, unverified};
use crate::watch::{Attempt, Attempts};

/// What the service confirmed.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub(crate) size: u64,
    pub(crate) parts: u32,
    pub(crate) e_tag: Option<String>,
    pub(crate) version_id: Option<String>,
    pub(crate) checksum: Option<Crc64Nvme>,
    pub(crate) encryption: Option<String>,
    pub(crate) bytes_reused: u64,
}

/// Stores an object of one part.
pub(crate) async fn put(
    context: &Context,
    mut whole: LeavingPart,
    sources: &Sources,
) -> Result<Receipt> {
    whole.begin();
    let part = whole.part();
    let attempts = context.watch.step(Step::Part(part.number()));
    let stored = put_whole(context, part, sources, &attempts).await;
    match &stored {
        Ok(_) => attempts.done(part.len(), false),
        Err(error) => attempts.failed(error),
    }
    stored
}

async fn put_whole(
    context: &Context,
    part: &Part,
    sources: &Sources,
    attempts: &Attempts,
) -> Result<Receipt> {
    // An object that is created only can't be sent a second time if no checksum comes back.
    let mut sign = context.signs() || context.condition.is_some();
    loop {
        let digest = context.hasher.digest(part, context.wanted(sign)).await?;
        sources.verify()?;
        context.options.check_whole(digest.crc)?;
        context.check_first().await?;
        let digest = &digest;
        let put = |attempt| async move {
            let options = &context.sent;
            let sent = context.api.put_object(part, digest, options, attempt).await;
            sent.map_err(|error| blame(sources, error))
        };
        let object = Publication {
            size: part.len(),
            whole: digest.crc,
            upload_id: None,
        };
        let stored = context.make_visible(&object, attempts, put).await?;
        match context.verify(&stored, digest) {
            Verdict::Stored => {}
            Verdict::Unverified => {
                context.service.set_silent();
                attempts.in_vain(&unverified());
                sign = true;
                continue;
            }
            Verdict::Damaged(error) => return Err(error),
        }
        context.confirm_encryption(&stored)?;
        return Ok(Receipt {
            size: part.len(),
            parts: 1,
            e_tag: stored.e_tag,
            version_id: stored.version_id,
            checksum: digest.crc,
            encryption: stored.encryption,
            bytes_reused: 0,
        });
    }
}

/// A body that did not arrive as it was hashed was damaged on its way; or its file has changed in
/// between, and then another try is in vain.
fn blame(sources: &Sources, error: Error) -> Error {
    if error.kind() != ErrorKind::ChecksumMismatch {
        return error;
    }
    match sources.verify() {
        Ok(()) => error,
        Err(changed) => changed.with_source(error),
    }
}

/// Completes an upload of `parts`, which are in order of their numbers.
pub(crate) async fn complete(
    context: &Context,
    upload_id: &str,
    parts: &[StoredPart],
) -> Result<Receipt> {
    let size = parts.iter().map(|part| part.len).sum();
    let whole = whole_checksum(parts);
    context.options.check_whole(whole)?;
    context.check_first().await?;
    let attempts = context.watch.step(Step::Complete);
    let complete = |attempt: Attempt| {
        attempt.begin();
        complete_once(context, upload_id, parts, whole)
    };
    let object = Publication {
        size,
        whole,
        upload_id: Some(upload_id),
    };
    let completed = context.make_visible(&object, &attempts, complete).await;
    match &completed {
        Ok(_) => attempts.done(0, false),
        Err(error) => attempts.failed(error),
    }
    let completed = completed?;
    if let (Some(sent), Some(stored)) = (whole, completed.crc)
        && sent != stored
    {
        return Err(damaged(sent, stored));
    }
    debug!(size, parts = parts.len(), "completed");
    if let Some(resumed) = &context.resumed {
        resumed.conclude();
        // That of any other upload was confirmed when it was created.
        context.confirm_encryption(&completed)?;
    }
    Ok(Receipt {
        size,
        parts: u32::try_from(parts.len()).unwrap_or(u32::MAX),
        e_tag: completed.e_tag,
        version_id: completed.version_id,
        checksum: whole,
        encryption: completed.encryption,
        bytes_reused: context
            .resumed
            .as_ref()
            .map_or(0, |resumed| resumed.reused()),
    })
}

async fn complete_once(
    context: &Context,
    upload_id: &str,
    parts: &[StoredPart],
    whole: Option<Crc64Nvme>,
) -> Result<Stored> {
    let (api, options) = (&context.api, &context.sent);
    let whole = whole.filter(|_| !context.takes_no_checksums());
    let refusal = match api.complete(upload_id, parts, whole, options).await? {
        Completed::Done(stored) => return Ok(stored),
        Completed::InvalidPart(refusal) => refusal,
    };
    let parts = as_listed(context, upload_id, parts, refusal).await?;
    match api.complete(upload_id, &parts, whole, options).await? {
        Completed::Done(stored) => Ok(stored),
        Completed::InvalidPart(refusal) => Err(refusal),
    }
}

/// `parts` with the ETags that the service has for them now. A part that was sent twice, and
/// arrived twice, has that of the second, which need not be that of the first (SSE-KMS). Each
/// must have the size and the checksum of what was sent.
async fn as_listed(
    context: &Context,
    upload_id: &str,
    parts: &[StoredPart],
    refusal: Error,
) -> Result<Vec<StoredPart>> {
    let listed = context.api.list_parts(upload_id).await?;
    let current = |part: &StoredPart| {
        listed
            .parts
            .iter()
            .map(|part| &part.stored)
            .find(|listed| listed.number == part.number)
            .filter(|listed| listed.len == part.len && listed.crc.is_some())
            .filter(|listed| listed.crc == part.crc)
            .cloned()
    };
    let current: Option<Vec<StoredPart>> = parts.iter().map(current).collect();
    let current = current.ok_or(refusal)?;
    debug!("completing with the ETags that the service lists");
    Ok(current)
}

/// The checksum of the whole object, in order of the parts.
fn whole_checksum(parts: &[StoredPart]) -> Option<Crc64Nvme> {
    let mut parts = parts.iter();
    let first = parts.next()?.crc?;
    parts.try_fold(first, |whole, part| {
        Some(whole.followed_by(part.crc?, part.len))
    })
}
