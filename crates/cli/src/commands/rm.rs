//! `rm`: objects that are to go.

use std::sync::Arc;

use tokio::task::JoinSet;
use writer_core::{Error, ErrorKind, ObjectStore, Result, file_path, split_scheme};

use super::Context;
use crate::args::RmArgs;
use crate::exit;
use crate::folder::glob_set;
use crate::json::{self, Removed};
use crate::names::{has_wildcard, is_s3};
use crate::printer::one_line;
use crate::tally::{Tally, grouped};

/// Most objects that are removed at once.
const AT_ONCE: usize = 16;

pub(super) async fn run(context: &Context, args: RmArgs) -> anyhow::Result<()> {
    if args.recursive {
        return below(context, args).await;
    }
    for uri in &args.uris {
        let store = context.stores.get(uri).await?;
        refuse_prefix(&*store, uri).await?;
        if !context.quiet && has_wildcard(uri) && !is_there(&*store, uri).await.unwrap_or(true) {
            exit::warn(&format!(
                "{}: there is no such object, and names are taken as they are: `rm -r PREFIX \
                 --include GLOB` removes what matches",
                one_line(uri)
            ));
        }
        if !args.dry_run {
            store.delete(uri).await?;
            tracing::info!(%uri, "removed");
        } else if !is_there(&*store, uri).await? {
            continue;
        }
        tell(context, uri, args.dry_run).await?;
    }
    Ok(())
}

/// Removes all objects below each URI. What fails is told, and the others go.
async fn below(context: &Context, args: RmArgs) -> anyhow::Result<()> {
    let include = match args.include.is_empty() {
        true => None,
        false => Some(glob_set(&args.include)?),
    };
    let exclude = glob_set(&args.exclude)?;
    let (mut found, mut removed, mut failures) = (0u64, 0u64, Tally::new(context.quiet));
    let mut removals = JoinSet::new();
    args.uris
        .iter()
        .try_for_each(|uri| refuse_everything(uri))?;
    for uri in &args.uris {
        let prefix = prefix_of(uri);
        let store = context.stores.get(uri).await?;
        let mut objects = store.list(&prefix).await?;
        let found_before = found;
        loop {
            let batch = match objects.next_batch().await {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                // Removals that have begun are ended, and told.
                Err(error) => {
                    failures.add(&error.into());
                    break;
                }
            };
            for object in batch {
                let path = object.uri.get(prefix.len()..).unwrap_or_default();
                let is_included = include.as_ref().is_none_or(|globs| globs.is_match(path));
                if !is_included || exclude.is_match(path) {
                    continue;
                }
                found += 1;
                if args.dry_run {
                    tell(context, &object.uri, true).await?;
                    continue;
                }
                if removals.len() >= AT_ONCE {
                    removed += finish_one(context, &mut removals, &mut failures).await?;
                }
                let (store, uri) = (Arc::clone(&store), object.uri);
                removals.spawn(async move {
                    let removed = store.delete(&uri).await;
                    removed.map(|()| uri)
                });
            }
        }
        if found == found_before && has_wildcard(uri) {
            failures.warn(&format!(
                "{}: nothing is below it, and names are taken as they are: `rm -r PREFIX \
                 --include GLOB` removes what matches",
                one_line(uri)
            ));
        }
    }
    while !removals.is_empty() {
        removed += finish_one(context, &mut removals, &mut failures).await?;
    }
    let failed = failures.count();
    if !context.quiet && !args.dry_run {
        let objects = match removed {
            1 => "1 object".to_owned(),
            count => format!("{} objects", grouped(count)),
        };
        exit::notice(&format!("{objects} removed"));
    }
    let left = found - removed;
    failures.into_result(match failed {
        0 => String::new(),
        _ if left == 0 || args.dry_run => "not all objects could be listed".to_owned(),
        _ => format!("{left} of {found} objects are left"),
    })
}

/// How many were removed: one, or none.
async fn finish_one(
    context: &Context,
    removals: &mut JoinSet<Result<String>>,
    failures: &mut Tally,
) -> anyhow::Result<u64> {
    match removals.join_next().await {
        Some(removed) => match removed? {
            Ok(uri) => tell(context, &uri, false).await.map(|()| 1),
            Err(error) => {
                failures.add(&error.into());
                Ok(0)
            }
        },
        None => Ok(0),
    }
}

/// Says what is removed, where somebody reads that: text says only what would be.
async fn tell(context: &Context, uri: &str, dry_run: bool) -> anyhow::Result<()> {
    let line = match context.printer.is_json() {
        true => json::line(&Removed {
            uri,
            removed: !dry_run,
        }),
        false if dry_run => format!("Would remove {}\n", one_line(uri)),
        false => return Ok(()),
    };
    if dry_run || !context.quiet {
        // The objects matter, not who reads of them.
        let _nobody_reads = context.printer.text(line).await?;
    }
    Ok(())
}

/// Refuses what names no place, but all there are: as a rule, a variable of the shell that is empty.
fn refuse_everything(uri: &str) -> Result<()> {
    let rest = || split_scheme(uri).map_or(uri, |(_scheme, rest)| rest);
    let path = file_path(uri).unwrap_or_else(rest);
    if !path.split('/').all(|name| matches!(name, "" | "." | "..")) {
        return Ok(());
    }
    let text = "names no bucket, prefix or folder: -r removes all that is below, so it must";
    Err(Error::new(ErrorKind::InvalidInput, text).with_uri(format!("{uri:?}")))
}

/// What all objects below `uri` begin with.
fn prefix_of(uri: &str) -> String {
    match uri.ends_with('/') {
        true => uri.to_owned(),
        false => format!("{uri}/"),
    }
}

async fn is_there(store: &dyn ObjectStore, uri: &str) -> Result<bool> {
    match store.stat(uri).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Refuses what is no object on S3, though objects are below it: to remove it would do nothing, and
/// say that all went well.
async fn refuse_prefix(store: &dyn ObjectStore, uri: &str) -> Result<()> {
    if !uri.ends_with('/') || !is_s3(uri) {
        return Ok(());
    }
    let first = match store.list(uri).await {
        Ok(mut objects) => objects.next_batch().await?,
        // Whoever may not list may remove.
        Err(error) if error.kind() == ErrorKind::AccessDenied => None,
        Err(error) => return Err(error),
    };
    let objects = first.unwrap_or_default();
    if objects.is_empty() || objects.iter().any(|object| object.uri == uri) {
        return Ok(());
    }
    let text = "is no object, and there are objects below it";
    Err(Error::new(ErrorKind::InvalidInput, text).with_uri(uri))
}
