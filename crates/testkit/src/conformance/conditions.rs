//! Create-only writes, and what is kept with an object.

use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use writer_core::{
    Condition, Error, ErrorKind, IfExists, ObjectMetadata, ObjectStore, WriterOptions,
};

use super::context::{Checked, Context, During, ensure, expect_kind, fail, skip};

/// Writes an object in one go; the error of whichever call fails.
async fn write(
    store: &Arc<dyn ObjectStore>,
    uri: &str,
    options: WriterOptions,
    data: &[u8],
) -> Result<ObjectMetadata, Error> {
    let mut writer = store.create_writer(uri, Some(options)).await?;
    writer.write_chunk(data).await?;
    writer.finish().await
}

/// Those of `sizes` at which the service keeps create-only writes apart.
fn enforced<const N: usize>(
    context: &Context<'_>,
    sizes: [usize; N],
) -> Checked<impl Iterator<Item = usize>> {
    let profile = context.profile();
    if !profile.create_only {
        skip!("the service does not enforce create-only writes");
    }
    let part = context.part_size();
    let whole = move |size: &usize| profile.create_only_parts || *size <= part;
    Ok(sizes.into_iter().filter(whole))
}

pub(crate) async fn create_only_refuses(context: &Context<'_>) -> Checked {
    for size in enforced(context, [0, 10, 2 * context.part_size() + 5])? {
        let uri = context.uri(size);
        let (first, second) = (context.bytes(size), context.bytes(size + 1));
        let options = context.options().with_if_exists(IfExists::Fail);
        let created = write(context.store(), &uri, options.clone(), &first).await;
        let receipt = created.during("creating an object")?;
        context.expect_receipt(&receipt, &uri, &first).await?;
        ensure!(
            receipt.condition == Some(Condition::Enforced),
            "the receipt says {:?} of an enforced condition",
            receipt.condition
        );
        let again = write(context.store(), &uri, options.clone(), &second).await;
        expect_kind(
            again,
            ErrorKind::AlreadyExists,
            "creating an object that is there",
        )?;
        context.expect_object(&uri, &first).await?;
        context
            .expect_no_leftovers("after a create that was refused")
            .await?;

        context.store().delete(&uri).await.during("delete")?;
        let created = write(context.store(), &uri, options, &second).await;
        created.during("creating an object that was deleted")?;
        context.expect_object(&uri, &second).await?;
    }
    Ok(())
}

/// Of writers that all see no object, one creates it.
pub(crate) async fn create_only_race(context: &Context<'_>) -> Checked {
    const WRITERS: usize = 8;
    if !context.profile().create_only_atomic {
        skip!("the service does not keep apart writers that publish at the same moment");
    }
    let part = context.part_size();
    for size in enforced(context, [10, 10, part + 5, 10, part + 5])? {
        let uri = context.uri(format_args!("{size}-{}", context.below(usize::MAX)));
        let ready = Arc::new(Barrier::new(WRITERS));
        let mut tasks = JoinSet::new();
        for _ in 0..WRITERS {
            let (store, ready) = (Arc::clone(context.store()), Arc::clone(&ready));
            let (uri, data) = (uri.clone(), context.bytes(size));
            let options = context.options().with_if_exists(IfExists::Fail);
            tasks.spawn(async move {
                let opened = async {
                    let mut writer = store.create_writer(&uri, Some(options)).await?;
                    writer.write_chunk(&data).await?;
                    Ok::<_, Error>(writer)
                };
                let opened = opened.await;
                ready.wait().await;
                (opened?.finish().await).map(|_receipt| data)
            });
        }
        let mut winner = None;
        while let Some(ended) = tasks.join_next().await {
            match ended.during("a task")? {
                Ok(_) if winner.is_some() => fail!("two writers created the same object"),
                Ok(data) => winner = Some(data),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => fail!("one of {WRITERS} creates failed with {error:?}"),
            }
        }
        let Some(winner) = winner else {
            fail!("none of {WRITERS} creates succeeded");
        };
        context.expect_object(&uri, &winner).await?;
        context
            .expect_no_leftovers("after the race of creates")
            .await?;
    }
    Ok(())
}

pub(crate) async fn content_type_is_kept(context: &Context<'_>) -> Checked {
    if !context.profile().content_type {
        skip!("the service keeps no media type");
    }
    for size in [10, 2 * context.part_size() + 5] {
        let uri = context.uri(size);
        let data = context.bytes(size);
        let options = context
            .options()
            .with_content_type("text/csv; charset=utf-8");
        let written = write(context.store(), &uri, options, &data).await;
        written.during("writing with a media type")?;
        let found = context.expect_object(&uri, &data).await?.content_type;
        ensure!(
            found.as_deref() == Some("text/csv; charset=utf-8"),
            "the media type of {size} bytes is {found:?}"
        );
    }
    Ok(())
}

pub(crate) async fn user_metadata_is_kept(context: &Context<'_>) -> Checked {
    if !context.profile().user_metadata {
        skip!("the service keeps no user metadata");
    }
    for size in [10, 2 * context.part_size() + 5] {
        let uri = context.uri(size);
        let data = context.bytes(size);
        let options = context
            .options()
            .with_metadata("origin", "line 7, shift b")
            .with_metadata("run-id", "0042");
        let expected = options.metadata.clone();
        let written = write(context.store(), &uri, options, &data).await;
        written.during("writing with metadata")?;
        let found = context.expect_object(&uri, &data).await?.metadata;
        ensure!(
            found == expected,
            "the metadata of {size} bytes are {found:?} instead of {expected:?}"
        );
    }
    Ok(())
}
