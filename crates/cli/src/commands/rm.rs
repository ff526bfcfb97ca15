//! `rm`: objects that are to go.

use super::Context;
use crate::args::RmArgs;

pub(super) async fn run(context: &Context, args: RmArgs) -> anyhow::Result<()> {
    for uri in &args.uris {
        let store = context.stores.get(uri).await?;
        store.delete(uri).await?;
        tracing::info!(%uri, "removed");
    }
    Ok(())
}
