//! `cat`: an object's bytes, on standard output.

use super::Context;
use crate::args::CatArgs;

pub(super) async fn run(context: &Context, args: CatArgs) -> anyhow::Result<()> {
    let store = context.stores.get(&args.uri).await?;
    let range = args.range.unwrap_or_default();
    let mut reader = store.get(&args.uri, range).await?;
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
