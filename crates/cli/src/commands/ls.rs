//! `ls`: the objects whose URI begins with a prefix.

use std::path::Path;

use writer_core::{Error, ErrorKind, Result, split_scheme};

use super::Context;
use crate::args::LsArgs;
use crate::exit;
use crate::names::has_wildcard;
use crate::printer::one_line;

pub(super) async fn run(context: &Context, args: LsArgs) -> anyhow::Result<()> {
    let store = context.stores.get(&args.prefix).await?;
    let mut objects = store.list(&args.prefix).await?;
    let mut is_empty = true;
    while let Some(batch) = objects.next_batch().await? {
        is_empty = false;
        if context.printer.listed(&batch).await?.is_break() {
            return Ok(());
        }
    }
    if is_empty {
        refuse_missing(&args.prefix)?;
        if has_wildcard(&args.prefix) && !context.quiet {
            exit::warn(&format!(
                "{}: nothing begins so, and names are taken as they are: `ls PREFIX` lists all \
                 that begin with it",
                one_line(&args.prefix)
            ));
        }
    }
    Ok(())
}

/// An empty list is no error, but that of a folder that is not there is: it may be mistyped.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] if it is not there.
fn refuse_missing(prefix: &str) -> Result<()> {
    let path = match split_scheme(prefix) {
        None => prefix,
        Some((scheme, path)) if scheme.eq_ignore_ascii_case("file") => path,
        Some(_) => return Ok(()),
    };
    let folder = path.rfind('/').map_or("", |at| &path[..=at]);
    if folder.is_empty() || Path::new(folder).is_dir() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::NotFound, "there is no such folder").with_uri(prefix))
}
