//! `cat`: an object's bytes, on standard output.

use std::io::{self, IsTerminal as _};

use super::Context;
use crate::args::CatArgs;
use crate::watch::watched;

pub(super) async fn run(context: &Context, args: CatArgs) -> anyhow::Result<()> {
    let store = context.stores.get(&args.uri).await?;
    let range = args.range.unwrap_or_default();
    let reader = store.get(&args.uri, range).await?;
    let size = range.resolve(reader.metadata().size);
    let size = size.map_or(0, |(_start, len)| len);
    // Where the bytes appear, nothing else is to.
    let quiet = context.quiet || io::stdout().is_terminal();
    let mut reader = watched(reader, size, args.progress, quiet)?;
    let mut chunk = reader.next_chunk().await?;
    while let Some(bytes) = chunk {
        // The next bytes are fetched while these are printed.
        let (printed, next) = tokio::join!(context.printer.bytes(bytes), reader.next_chunk());
        if printed?.is_break() {
            return Ok(());
        }
        chunk = next?;
    }
    Ok(())
}
