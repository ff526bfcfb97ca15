//! `ls`: the objects whose URI begins with a prefix.

use super::Context;
use crate::args::LsArgs;

pub(super) async fn run(context: &Context, args: LsArgs) -> anyhow::Result<()> {
    let store = context.stores.get(&args.prefix).await?;
    let mut objects = store.list(&args.prefix).await?;
    while let Some(batch) = objects.next_batch().await? {
        if context.printer.listed(&batch).await?.is_break() {
            return Ok(());
        }
    }
    Ok(())
}
