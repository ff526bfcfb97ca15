//! CreateMultipartUpload, whose answer may be lost.
//!
//! A request that was done, and whose answer did not arrive, leaves an upload that nobody knows.
//! It is looked for among those of the same object that were begun within the time in which
//! answers were lost, and removed at the end if it has no parts by then; unless there are more of
//! them than answers that were lost.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tracing::{debug, warn};
use writer_core::{Error, ErrorKind, Result, Step};

use crate::api::Pending;
use crate::context::Context;

/// Services tell times to the second, and clocks differ.
const SLACK: Duration = Duration::from_secs(2);

/// The uploads that are running in one store.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<HashSet<Arc<str>>>);

impl Running {
    pub(crate) fn add(&self, id: &Arc<str>) {
        self.ids().insert(Arc::clone(id));
    }

    pub(crate) fn remove(&self, id: &str) {
        self.ids().remove(id);
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.ids().contains(id)
    }

    fn ids(&self) -> std::sync::MutexGuard<'_, HashSet<Arc<str>>> {
        // A set is whole between any two calls.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What creating an upload left that is to be removed in the end.
#[derive(Default)]
pub(crate) struct Leftovers {
    /// Uploads that lost answers may have left.
    lost: Vec<String>,
    /// The one that was created, and that nothing may be sent to.
    refused: Option<Arc<str>>,
}

/// Creates the upload, unless it is `stopping`, and tells its id, or why there is none that may be
/// used. Gives what is left besides.
pub(crate) async fn create(
    context: Context,
    stopping: Arc<AtomicBool>,
    created: watch::Sender<Option<Result<Arc<str>>>>,
) -> Leftovers {
    let began = Instant::now();
    let lost = &AtomicUsize::new(0);
    let (context, stopping) = (&context, &*stopping);
    let attempt = |attempt| async move {
        if attempt > 1 && stopping.load(Ordering::Relaxed) {
            let text = "the upload was stopped before the service had created it";
            return Err(Error::new(ErrorKind::Interrupted, text));
        }
        let created = context.api.create(&context.options, lost).await;
        created.map_err(|error| {
            let again = error.is_retryable() && !stopping.load(Ordering::Relaxed);
            error.with_retryable(again)
        })
    };
    let steps = context.watch.step(Step::Create);
    let answered = steps.run_short(&context.retry, attempt).await;
    let mut refused = None;
    let own = answered.and_then(|new| {
        let (id, full_object) = (new.upload_id, new.full_object);
        debug!(upload_id = %id, full_object, "created");
        context.running.add(&id);
        match new.refused {
            None => {
                context.service.created(full_object);
                Ok(id)
            }
            Some(error) => {
                refused = Some(id);
                Err(error)
            }
        }
    });
    let id = own.as_ref().ok().or(refused.as_ref()).cloned();
    created.send_replace(Some(own));
    let lost = match lost.load(Ordering::Relaxed) {
        0 => Vec::new(),
        lost => left_by(context, id.as_deref(), lost, began.elapsed()).await,
    };
    Leftovers { lost, refused }
}

/// The uploads that `lost` answers have left within the last `time`, as far as that can be told.
async fn left_by(context: &Context, own: Option<&str>, lost: usize, time: Duration) -> Vec<String> {
    match lost_since(context, own, time).await {
        Ok(found) if found.len() <= lost => found,
        Ok(found) => {
            // Some of them are somebody's, and nothing tells which.
            warn!(uploads = ?found, "lost answers may have left uploads among these");
            Vec::new()
        }
        Err(error) => {
            debug!(%error, "whether lost answers left uploads can't be looked up");
            Vec::new()
        }
    }
}

/// The uploads of this object that were begun within the last `time`, or within as long before
/// the upload `own`.
async fn lost_since(context: &Context, own: Option<&str>, time: Duration) -> Result<Vec<String>> {
    let api = &context.api;
    // Without an upload of its own the writer has failed, and its error is not to wait.
    let retries = match own {
        Some(_) => context.retry.clone(),
        None => context.retry.only_once(),
    };
    let mut uploads = api.list_uploads(&retries).await?;
    uploads.retain(|upload| upload.key == api.location.key);
    let is_own = |upload: &Pending| own == Some(&*upload.upload_id);
    let begun = uploads.iter().find(|upload| is_own(upload));
    let until = begun.and_then(|upload| upload.initiated);
    let until = until.unwrap_or_else(SystemTime::now) + SLACK;
    let since = until.checked_sub(time + SLACK * 2);
    uploads.retain(|upload| {
        let within = upload.initiated >= since && upload.initiated <= Some(until);
        within && !is_own(upload) && !context.running.has(&upload.upload_id)
    });
    Ok(uploads.into_iter().map(|upload| upload.upload_id).collect())
}

/// Removes what is left: of uploads that answers may have left, those that have no parts, since
/// somebody else's would have some by now.
///
/// # Errors
///
/// If the one that was refused can't be aborted; the text names it.
pub(crate) async fn remove(context: &Context, leftovers: Leftovers) -> Result<()> {
    let removed = match &leftovers.refused {
        Some(id) => abort(context, id).await,
        None => Ok(()),
    };
    for id in leftovers.lost {
        if let Err(error) = remove_empty(context, &id).await {
            warn!(upload_id = id, %error, "a lost answer may have left an upload without parts");
        }
    }
    if let Some(id) = &leftovers.refused {
        context.running.remove(id);
    }
    removed
}

/// Aborts an upload until nothing is left, and tells who watches.
pub(crate) async fn abort(context: &Context, upload_id: &str) -> Result<()> {
    let step = context.watch.step(Step::Abort);
    step.next().begin();
    let aborted = context.api.abort_whole(&context.retry, upload_id).await;
    match &aborted {
        Ok(()) => step.done(0, false),
        Err(error) => step.failed(error),
    }
    aborted
}

async fn remove_empty(context: &Context, id: &str) -> Result<(), Error> {
    let api = &context.api;
    if context.running.has(id) {
        return Ok(());
    }
    match context.retry.run(|_| api.list_parts(id)).await {
        Ok(found) if found.parts.is_empty() => {
            api.abort_whole(&context.retry, id).await?;
            debug!(upload_id = id, "a lost answer had left this upload");
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
