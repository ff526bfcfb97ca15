//! What was written is read back, whole or in ranges, until it is deleted.

use writer_core::{ByteRange, ErrorKind, Segment};

use super::context::{Checked, Context, During, ensure, expect_kind, same};

pub(crate) async fn put_buffered(context: &Context<'_>) -> Checked {
    let part = context.part_size();
    for size in [0, 1, part + 1, 3 * part + 7] {
        let uri = context.uri(size);
        for _ in 0..2 {
            // The second replaces the first.
            let data = context.bytes(size);
            let put = context.store().put(&uri, Segment::from(data.clone())).await;
            let receipt = put.during("put")?;
            context.expect_receipt(&receipt, &uri, &data).await?;
        }
    }
    let uri = context.uri("file");
    let data = context.bytes(part + 5);
    let range = Segment::file(context.file(&data)?, 0..data.len() as u64);
    let receipt = context.store().put(&uri, range).await.during("put")?;
    context.expect_receipt(&receipt, &uri, &data).await
}

pub(crate) async fn missing_is_not_found(context: &Context<'_>) -> Checked {
    context.expect_missing(&context.uri("never")).await?;
    let beside = context.uri("there");
    context.make(&beside, b"x").await?;
    for name in ["ther", "there2", "deeper/never"] {
        context.expect_missing(&context.uri(name)).await?;
    }
    Ok(())
}

pub(crate) async fn ranges(context: &Context<'_>) -> Checked {
    let uri = context.uri("object");
    let size = 2 * context.part_size() + 100;
    let data = context.bytes(size);
    context.make(&uri, &data).await?;
    let end = size as u64;
    let bounded = |start, end| ByteRange::Bounded { start, end };
    let middle = context.below(size - 1) as u64;
    for range in [
        ByteRange::Full,
        bounded(0, 1),
        bounded(0, end),
        bounded(3, 10),
        bounded(middle, middle + 1),
        bounded(end - 1, end),
        bounded(5, end + 1_000),
        bounded(end - 1, u64::MAX),
        ByteRange::From(0),
        ByteRange::From(middle),
        ByteRange::From(end - 1),
        ByteRange::Last(1),
        ByteRange::Last(middle + 1),
        ByteRange::Last(end),
        ByteRange::Last(end + 1),
        ByteRange::Last(u64::MAX),
    ] {
        let Some((start, len)) = range.resolve(end) else {
            continue;
        };
        let is_long = matches!(range, ByteRange::Last(last) if last > end);
        if is_long && !context.profile().long_suffixes {
            continue;
        }
        let (start, len) = (start as usize, len as usize);
        let found = context.read(&uri, range).await?;
        same(&format!("{range:?}"), &found, &data[start..start + len])?;
        let reader = context.store().get(&uri, range).await.during("get")?;
        let whole = reader.metadata().size;
        ensure!(
            whole == end,
            "the reader of {range:?} says that the object has {whole} bytes"
        );
        let named = &reader.metadata().uri;
        ensure!(*named == uri, "the reader of {uri} names {named}");
    }
    Ok(())
}

/// A range that holds no byte of the object is an error, not an empty answer.
pub(crate) async fn ranges_past_the_end(context: &Context<'_>) -> Checked {
    for size in [0, 100] {
        let uri = context.uri(size);
        context.make(&uri, &context.bytes(size)).await?;
        let end = size as u64;
        let bounded = |start, end| ByteRange::Bounded { start, end };
        for range in [
            bounded(end, end + 1),
            bounded(end + 7, end + 9),
            bounded(5, 2),
            bounded(0, 0),
            ByteRange::From(end),
            ByteRange::From(end + 1),
            ByteRange::From(u64::MAX),
            ByteRange::Last(0),
        ] {
            let got = context.store().get(&uri, range).await.map(drop);
            let call = format!("get of {range:?} of {size} bytes");
            expect_kind(got, ErrorKind::InvalidInput, call)?;
        }
    }
    Ok(())
}

pub(crate) async fn delete_removes(context: &Context<'_>) -> Checked {
    let (uri, other) = (context.uri("object"), context.uri("object2"));
    let data = context.bytes(100);
    context.make(&uri, &data).await?;
    context.make(&other, &data).await?;
    context.store().delete(&uri).await.during("delete")?;
    context.expect_missing(&uri).await?;
    let again = context.store().delete(&uri).await;
    again.during("delete of an object that is gone")?;
    let never = context.store().delete(&context.uri("no/such/level")).await;
    never.during("delete of an object that never was")?;
    context.expect_object(&other, &data).await?;
    context.make(&uri, &data).await?;
    context.expect_object(&uri, &data).await.map(drop)
}
