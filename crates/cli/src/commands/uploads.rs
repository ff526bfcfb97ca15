//! `uploads`: those that were begun and not ended.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use anyhow::bail;
use backend_s3::{PendingUpload, S3ObjectStore};
use serde::Serialize;
use writer_core::{Error, ErrorKind, Result};

use super::Context;
use crate::args::{UploadsAbortArgs, UploadsArgs, UploadsCommand, UploadsListArgs};
use crate::printer::{one_line, rfc3339};
use crate::tally::Tally;
use crate::{exit, json};

pub(super) async fn run(context: &Context, args: UploadsArgs) -> anyhow::Result<()> {
    match args.command {
        UploadsCommand::List(args) => list(context, &args).await,
        UploadsCommand::Abort(args) => abort(context, &args).await,
    }
}

async fn list(context: &Context, args: &UploadsListArgs) -> anyhow::Result<()> {
    let store = context.stores.s3(&args.prefix).await?;
    for upload in store.uploads(&args.prefix).await? {
        let Some(state) = State::of(&store, &upload).await? else {
            continue;
        };
        let is_listed = args.older_than.is_none_or(|age| state.is_idle_for(age));
        if is_listed
            && context
                .printer
                .text(match context.printer.is_json() {
                    true => json::line(&Listed::new(&upload, &state)),
                    false => line(&upload, &state),
                })
                .await?
                .is_break()
        {
            return Ok(());
        }
    }
    Ok(())
}

async fn abort(context: &Context, args: &UploadsAbortArgs) -> anyhow::Result<()> {
    let store = context.stores.s3(&args.prefix).await?;
    let (mut aborted, mut failures) = (0u64, Tally::new(context.quiet));
    for upload in store.uploads(&args.prefix).await? {
        let is_meant = match (&args.upload_id, args.older_than) {
            (Some(id), _) => *id == upload.upload_id,
            (None, Some(age)) => State::of(&store, &upload)
                .await?
                .is_some_and(|state| state.is_idle_for(age)),
            (None, None) => false,
        };
        if is_meant {
            aborted += 1;
            if !args.dry_run
                && let Err(error) = store.abort_upload(&upload).await
            {
                failures.add(&error.into());
                continue;
            }
            let line = match (context.printer.is_json(), args.dry_run) {
                (true, dry_run) => json::line(&Aborted {
                    uri: &upload.uri,
                    upload_id: &upload.upload_id,
                    aborted: !dry_run,
                }),
                (false, dry_run) => {
                    let verb = if dry_run { "Would abort" } else { "Aborted" };
                    let uri = one_line(&upload.uri);
                    format!("{verb} {} {uri}\n", upload.upload_id)
                }
            };
            if !context.quiet {
                // The uploads matter, not who reads of them.
                let _nobody_reads = context.printer.text(line).await?;
            }
        }
    }
    match &args.upload_id {
        Some(id) if aborted == 0 => {
            let text = format!("there is no upload {id}");
            bail!(Error::new(ErrorKind::NotFound, text).with_uri(&args.prefix));
        }
        None if aborted == 0 && !context.quiet => exit::notice("there is none"),
        _ => {}
    }
    let failed = failures.count();
    failures.into_result(format!("{failed} of {aborted} uploads are left"))
}

/// An upload, as JSON.
#[derive(Serialize)]
struct Listed<'a> {
    uri: &'a str,
    upload_id: &'a str,
    /// In bytes.
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_stored: Option<String>,
}

impl<'a> Listed<'a> {
    fn new(upload: &'a PendingUpload, state: &State) -> Self {
        Self {
            uri: &upload.uri,
            upload_id: &upload.upload_id,
            size: state.bytes,
            last_stored: state.last.map(rfc3339),
        }
    }
}

/// An upload that is gone, or would be.
#[derive(Serialize)]
struct Aborted<'a> {
    uri: &'a str,
    upload_id: &'a str,
    aborted: bool,
}

/// What an upload has stored.
struct State {
    bytes: u64,
    last: Option<SystemTime>,
}

impl State {
    /// `None` if it has ended since it was listed.
    async fn of(store: &S3ObjectStore, upload: &PendingUpload) -> Result<Option<Self>> {
        let parts = match store.upload_parts(upload).await {
            Ok(parts) => parts,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let stored = parts.iter().filter_map(|part| part.last_modified);
        Ok(Some(Self {
            bytes: parts.iter().map(|part| part.size).sum(),
            last: stored.chain(upload.initiated).max(),
        }))
    }

    fn is_idle_for(&self, age: Duration) -> bool {
        // What has no time, or one to come, is not known to be old.
        let idle = self.last.and_then(|last| last.elapsed().ok());
        idle.is_some_and(|idle| idle >= age)
    }
}

fn line(upload: &PendingUpload, state: &State) -> String {
    let last = state.last.map_or("-".into(), rfc3339);
    let (id, uri) = (&upload.upload_id, one_line(&upload.uri));
    let mut line = String::new();
    // Writing to a string can't fail.
    let _ = writeln!(line, "{:>14} {last:>20} {id} {uri}", state.bytes);
    line
}
