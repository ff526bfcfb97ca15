//! What may be asked of a writer, and what is refused when it is made.

use writer_core::{ErrorKind, PartSizing, Segment, split_scheme};

use super::context::{Checked, Context, During, expect_kind};

/// `None` as options is the environment, or the defaults; either way it writes.
pub(crate) async fn environment_is_the_default(context: &Context<'_>) -> Checked {
    let uri = context.uri("object");
    let data = context.bytes(100_000);
    let opened = context.store().create_writer(&uri, None).await;
    let mut writer = opened.during("create_writer without options")?;
    writer.write_chunk(&data).await.during("write_chunk")?;
    let receipt = writer.finish().await.during("finish")?;
    context.expect_receipt(&receipt, &uri, &data).await
}

pub(crate) async fn invalid_options_are_refused(context: &Context<'_>) -> Checked {
    let uri = context.uri("object");
    for (wrong, options) in [
        ("part_size 0", context.options().with_part_size(0)),
        (
            "part_size over 5 GiB",
            context.options().with_part_size((5 << 30) + 1),
        ),
        (
            "max_concurrency 0",
            context.options().with_max_concurrency(0),
        ),
        (
            "max_concurrency 1,025",
            context.options().with_max_concurrency(1_025),
        ),
        (
            "buffer_capacity over 5 GiB",
            context.options().with_buffer_capacity((5 << 30) + 1),
        ),
    ] {
        let made = context.store().create_writer(&uri, Some(options)).await;
        let call = format!("create_writer with {wrong}");
        expect_kind(made, ErrorKind::InvalidInput, call)?;
    }
    context.expect_missing(&uri).await
}

/// A URI that names no object of this store: another scheme, no key.
pub(crate) async fn foreign_uris_are_refused(context: &Context<'_>) -> Checked {
    let prefix = &context.subject().prefix;
    let mut uris = vec![String::new(), "conformance-nowhere://bucket/key".to_owned()];
    if let Some((scheme, rest)) = split_scheme(prefix) {
        let authority = rest.split('/').next().unwrap_or_default();
        uris.push(format!("{scheme}://"));
        uris.push(format!("{scheme}://{authority}/"));
    }
    for uri in uris {
        let made = context
            .store()
            .create_writer(&uri, Some(context.options()))
            .await;
        expect_kind(
            made,
            ErrorKind::InvalidInput,
            format!("create_writer of {uri:?}"),
        )?;
        let put = context.store().put(&uri, Segment::from("x")).await;
        expect_kind(put, ErrorKind::InvalidInput, format!("put of {uri:?}"))?;
    }
    Ok(())
}

/// With compression off a name that ends like a compressed one is only a name.
pub(crate) async fn compression_off_is_literal(context: &Context<'_>) -> Checked {
    for name in ["x.gz", "x.zst"] {
        for size in [0, 1_000, 2 * context.part_size() + 5] {
            let uri = context.uri(format_args!("{size}-{name}"));
            let data = vec![b'a'; size];
            let options = context.options().with_compression(false);
            let mut feeder = context.feeder(&uri, options).await?;
            feeder.chunk(&data).await?;
            let receipt = feeder.finish().await?;
            context.expect_receipt(&receipt, &uri, &data).await?;
        }
    }
    Ok(())
}

/// One part in flight, equal parts, memory up front, no checks: the object is the same.
pub(crate) async fn options_do_not_change_content(context: &Context<'_>) -> Checked {
    let data = context.bytes(5 * context.part_size() + 9);
    for (name, options) in [
        ("one-in-flight", context.options().with_max_concurrency(1)),
        ("two-in-flight", context.options().with_max_concurrency(2)),
        (
            "uniform",
            context.options().with_part_sizing(PartSizing::Uniform),
        ),
        (
            "fixed",
            context.options().with_part_sizing(PartSizing::Fixed),
        ),
        (
            "buffered",
            context
                .options()
                .with_buffer_capacity(context.subject().part_size),
        ),
        (
            "one-part",
            context
                .options()
                .with_part_size(16 * context.subject().part_size),
        ),
    ] {
        let uri = context.uri(name);
        let mut feeder = context.feeder(&uri, options).await?;
        for piece in data.chunks(context.part_size() / 3 + 1) {
            feeder.chunk(piece).await?;
        }
        let receipt = feeder.finish().await?;
        let done = context.expect_receipt(&receipt, &uri, &data).await;
        done.map_err(|stop| stop.within(name))?;
    }
    // Without checksums the receipt may have none, but the bytes are the same.
    let uri = context.uri("unchecked");
    let mut feeder = context
        .feeder(&uri, context.options().with_checksums(false))
        .await?;
    feeder.owned(data.clone()).await?;
    feeder.finish().await?;
    context.expect_object(&uri, &data).await.map(drop)
}
