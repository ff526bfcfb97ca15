//! Writes with a condition or a checksum.

use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use writer_core::{
    Condition, Crc64Nvme, Error, ErrorKind, IfExists, ObjectMetadata, ObjectStore, WriterOptions,
};

use super::context::{Checked, Context, During, crc, ensure, expect_kind, fail, skip};

/// How many writers race for one object.
const RACERS: usize = 8;

/// Writes an object in one go; the error of whichever call fails.
pub(super) async fn write(
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
    Ok(kept(context, sizes))
}

/// Those of `sizes` at which the service keeps conditions.
fn kept<const N: usize>(context: &Context<'_>, sizes: [usize; N]) -> impl Iterator<Item = usize> {
    let (parts, part) = (context.profile().conditional_parts, context.part_size());
    sizes.into_iter().filter(move |size| parts || *size <= part)
}

/// Leaves checks of simultaneous writers out where the service does not keep them apart.
fn needs_atomic_conditions(context: &Context<'_>) -> Checked {
    if !context.profile().atomic_conditions {
        skip!("the service does not keep apart writers that publish at the same moment");
    }
    Ok(())
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
    needs_atomic_conditions(context)?;
    let part = context.part_size();
    for size in enforced(context, [10, 10, part + 5, 10, part + 5])? {
        let uri = context.uri(format_args!("{size}-{}", context.below(usize::MAX)));
        let options = context.options().with_if_exists(IfExists::Fail);
        let winner = race(context, &uri, size, options, ErrorKind::AlreadyExists).await?;
        context.expect_object(&uri, &winner).await?;
        context
            .expect_no_leftovers("after the race of creates")
            .await?;
    }
    Ok(())
}

/// Finishes many writers of one object at the same moment; what the one that succeeds has
/// written. The others must fail with `refusal`.
async fn race(
    context: &Context<'_>,
    uri: &str,
    size: usize,
    options: WriterOptions,
    refusal: ErrorKind,
) -> Checked<Arc<[u8]>> {
    let ready = Arc::new(Barrier::new(RACERS));
    let mut tasks = JoinSet::new();
    for _ in 0..RACERS {
        let (store, ready) = (Arc::clone(context.store()), Arc::clone(&ready));
        let (uri, data) = (uri.to_owned(), context.bytes(size));
        let options = options.clone();
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
            Ok(_) if winner.is_some() => fail!("two of {RACERS} writers succeeded"),
            Ok(data) => winner = Some(data),
            Err(error) if error.kind() == refusal => {}
            Err(error) => fail!("one of {RACERS} writers failed with {error:?}"),
        }
    }
    match winner {
        Some(winner) => Ok(winner),
        None => fail!("none of {RACERS} writers succeeded"),
    }
}

/// The ETag by which an object may be replaced.
async fn tag(context: &Context<'_>, uri: &str) -> Checked<String> {
    match context.store().stat(uri).await.during("stat")?.e_tag {
        Some(tag) => Ok(tag),
        None => fail!("{uri} has no ETag, by which it could be replaced"),
    }
}

/// Leaves checks of `if_match` out where the service has none.
fn needs_if_match(context: &Context<'_>) -> Checked {
    if !context.profile().if_match {
        skip!("the service does not look at If-Match");
    }
    Ok(())
}

/// Leaves checks that replace objects out where the service then says old checksums.
fn needs_fresh_checksums(context: &Context<'_>) -> Checked {
    if !context.profile().fresh_checksums {
        skip!("the service says old checksums of objects that were replaced");
    }
    Ok(())
}

/// An object is replaced by its ETag, again and again; with one part and with several.
pub(crate) async fn replace_if_unchanged(context: &Context<'_>) -> Checked {
    needs_if_match(context)?;
    needs_fresh_checksums(context)?;
    let part = context.part_size();
    for size in kept(context, [0, 10, 2 * part + 5]) {
        let uri = context.uri(size);
        let first = context.make(&uri, &context.bytes(10)).await?;
        let mut current = tag(context, &uri).await?;
        ensure!(
            first.e_tag.is_none_or(|tag| tag == current),
            "the receipt has another ETag than stat, {current}"
        );
        for round in 0..2 {
            let data = context.bytes(size + round);
            let options = context.options().with_if_match(&current);
            let written = write(context.store(), &uri, options, &data).await;
            let receipt = written.during("replacing an object that is unchanged")?;
            context.expect_receipt(&receipt, &uri, &data).await?;
            ensure!(
                receipt.condition.is_some(),
                "the receipt does not say how the condition was kept"
            );
            let next = tag(context, &uri).await?;
            ensure!(next != current, "another object has the same ETag {next}");
            current = next;
        }
    }
    Ok(())
}

/// What another has written, before or after this writer was opened, stays.
pub(crate) async fn replace_if_changed_is_refused(context: &Context<'_>) -> Checked {
    needs_if_match(context)?;
    let part = context.part_size();
    for size in kept(context, [0, 10, 2 * part + 5]) {
        let uri = context.uri(size);
        context.make(&uri, &context.bytes(10)).await?;
        let old = tag(context, &uri).await?;
        let options = context.options().with_if_match(&old);
        let data = context.bytes(size);

        let mut late = context.feeder(&uri, options.clone()).await?;
        late.chunk(&data).await?;
        let changed = context.bytes(10);
        context.make(&uri, &changed).await?;
        let finished = late.into_inner().finish().await;
        expect_kind(
            finished,
            ErrorKind::PreconditionFailed,
            "replacing an object that changed meanwhile",
        )?;
        let again = write(context.store(), &uri, options, &data).await;
        expect_kind(
            again,
            ErrorKind::PreconditionFailed,
            "replacing an object that had changed",
        )?;
        context.expect_object(&uri, &changed).await?;
        context
            .expect_no_leftovers("after a replacement that was refused")
            .await?;
    }
    Ok(())
}

/// Where there is no object, or none any more, there is nothing to replace.
pub(crate) async fn replace_if_missing_is_refused(context: &Context<'_>) -> Checked {
    needs_if_match(context)?;
    for size in kept(context, [10, 2 * context.part_size() + 5]) {
        let data = context.bytes(size);
        let uri = context.uri(size);
        context.make(&uri, &data).await?;
        let options = context.options().with_if_match(tag(context, &uri).await?);
        context.store().delete(&uri).await.during("delete")?;
        let never = context.uri(format_args!("{size}-never"));
        for (uri, what) in [(uri, "deleted"), (never, "never there")] {
            let written = write(context.store(), &uri, options.clone(), &data).await;
            let call = format!("replacing an object that was {what}");
            expect_kind(written, ErrorKind::PreconditionFailed, call)?;
            context.expect_missing(&uri).await?;
        }
        context
            .expect_no_leftovers("after replacements of nothing")
            .await?;
    }
    Ok(())
}

/// Of writers that all have seen the same object, one replaces it.
pub(crate) async fn replace_if_unchanged_race(context: &Context<'_>) -> Checked {
    needs_if_match(context)?;
    needs_atomic_conditions(context)?;
    let part = context.part_size();
    for size in kept(context, [10, 10, part + 5, 10, part + 5]) {
        let uri = context.uri(format_args!("{size}-{}", context.below(usize::MAX)));
        context.make(&uri, &context.bytes(size)).await?;
        let options = context.options().with_if_match(tag(context, &uri).await?);
        let winner = race(context, &uri, size, options, ErrorKind::PreconditionFailed).await?;
        context.expect_object(&uri, &winner).await?;
        context
            .expect_no_leftovers("after the race of replacements")
            .await?;
    }
    Ok(())
}

/// An object is stored if it has the checksum that it was said to have.
pub(crate) async fn expected_checksum_is_kept(context: &Context<'_>) -> Checked {
    needs_fresh_checksums(context)?;
    let part = context.part_size();
    for size in kept(context, [0, 10, part, 2 * part + 5]) {
        let uri = context.uri(size);
        let (old, data) = (context.bytes(10), context.bytes(size));
        let right = context.options().with_expected_checksum(crc(&data));
        let wrong = Crc64Nvme(crc(&data).0 ^ 1);
        let wrong = context.options().with_expected_checksum(wrong);
        for old in [None, Some(&*old)] {
            if let Some(old) = old {
                context.make(&uri, old).await?;
            }
            let written = write(context.store(), &uri, wrong.clone(), &data).await;
            expect_kind(
                written,
                ErrorKind::ChecksumMismatch,
                "writing what has another checksum",
            )?;
            context.expect_old(&uri, old).await?;
            context
                .expect_no_leftovers("after a checksum that was refused")
                .await?;
            let written = write(context.store(), &uri, right.clone(), &data).await;
            let receipt = written.during("writing what has the expected checksum")?;
            context.expect_receipt(&receipt, &uri, &data).await?;
            context.store().delete(&uri).await.during("delete")?;
        }
    }
    let unchecked = context
        .options()
        .with_expected_checksum(Crc64Nvme(0))
        .with_checksums(false);
    let made = write(context.store(), &context.uri("x"), unchecked, b"").await;
    expect_kind(
        made,
        ErrorKind::InvalidInput,
        "expecting a checksum, and none to be made",
    )
}
