//! `stat`: what is known of an object.

use super::Context;
use crate::args::StatArgs;

pub(super) async fn run(context: &Context, args: StatArgs) -> anyhow::Result<()> {
    let store = context.stores.get(&args.uri).await?;
    let object = store.stat(&args.uri).await?;
    let _nobody_reads = context.printer.stat(&object).await?;
    Ok(())
}
