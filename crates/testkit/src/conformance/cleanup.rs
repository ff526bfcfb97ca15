//! A write that does not come to its end leaves the old object whole, and nothing behind.

use std::time::Duration;

use writer_core::{ByteRange, ErrorKind, ObjectWriter, Segment};

use super::context::{Checked, Context, Drops, During, ensure, fail, same, skip};

/// When a call is dropped: at each of its first awaits, and later.
const DROPS: [Drops; 8] = [
    Drops::AtPoll(1),
    Drops::AtPoll(2),
    Drops::AtPoll(3),
    Drops::AtPoll(4),
    Drops::AtPoll(6),
    Drops::AtPoll(9),
    Drops::After(Duration::from_millis(1)),
    Drops::After(Duration::from_millis(10)),
];

/// How many bytes were written when it ended: none, some, a part, several.
fn stages(context: &Context<'_>) -> [usize; 4] {
    let part = context.part_size();
    [0, 10, part + 1, 3 * part + 7]
}

/// A writer that has taken some bytes, and what stood in its place before.
struct Case {
    name: String,
    uri: String,
    old: Option<Vec<u8>>,
    new: Vec<u8>,
    writer: Box<dyn ObjectWriter>,
}

impl Case {
    async fn all(context: &Context<'_>) -> Checked<Vec<Self>> {
        let mut cases = Vec::new();
        for written in stages(context) {
            for has_old in [false, true] {
                let name = format!(
                    "{written} bytes written, {}",
                    ["no old object", "an old object"][usize::from(has_old)]
                );
                let uri = context.uri(format_args!("{written}-{has_old}"));
                let old = has_old.then(|| context.bytes(500).to_vec());
                if let Some(old) = &old {
                    context.make(&uri, old).await?;
                }
                let new = context.bytes(written).to_vec();
                let mut feeder = context.feeder(&uri, context.options()).await?;
                if written > 0 {
                    feeder.chunk(&new).await?;
                }
                let writer = feeder.into_inner();
                cases.push(Self {
                    name,
                    uri,
                    old,
                    new,
                    writer,
                });
            }
        }
        Ok(cases)
    }
}

pub(crate) async fn cancel_leaves_nothing(context: &Context<'_>) -> Checked {
    let cases = Case::all(context).await?;
    for Case {
        name,
        uri,
        old,
        writer,
        ..
    } in cases
    {
        writer.cancel().await.during("cancel")?;
        let left = context.expect_old(&uri, old.as_deref()).await;
        left.map_err(|stop| stop.within(name))?;
    }
    // No `close` in between: it is gone when `cancel` returns.
    context.expect_no_leftovers("after cancel").await
}

pub(crate) async fn drop_leaves_nothing(context: &Context<'_>) -> Checked {
    let mut dropped = Vec::new();
    for Case {
        name,
        uri,
        old,
        writer,
        ..
    } in Case::all(context).await?
    {
        drop(writer);
        dropped.push((name, uri, old));
    }
    context.close().await?;
    context.expect_no_leftovers("after drop and close").await?;
    for (name, uri, old) in dropped {
        let left = context.expect_old(&uri, old.as_deref()).await;
        left.map_err(|stop| stop.within(name))?;
    }
    Ok(())
}

pub(crate) async fn dropped_cancel_leaves_nothing(context: &Context<'_>) -> Checked {
    for drops in DROPS {
        let mut cancelled = Vec::new();
        for Case {
            name,
            uri,
            old,
            writer,
            ..
        } in Case::all(context).await?
        {
            if let Some(done) = drops.run(writer.cancel().as_mut()).await {
                done.during("cancel")?;
            }
            cancelled.push((name, uri, old));
        }
        context.close().await?;
        context
            .expect_no_leftovers("after a dropped cancel and close")
            .await?;
        for (name, uri, old) in cancelled {
            let left = context.expect_old(&uri, old.as_deref()).await;
            left.map_err(|stop| stop.within(name))?;
        }
    }
    Ok(())
}

/// Wherever `finish` is dropped, the object is the old or the new one.
pub(crate) async fn dropped_finish_is_all_or_nothing(context: &Context<'_>) -> Checked {
    if !context.profile().fresh_checksums {
        skip!("the service does not keep an object and its checksum together");
    }
    for drops in DROPS {
        let mut dropped = Vec::new();
        for Case {
            name,
            uri,
            old,
            new,
            writer,
        } in Case::all(context).await?
        {
            let finished = drops.run(writer.finish().as_mut()).await;
            let done = finished.transpose().during("finish")?.is_some();
            dropped.push((name, uri, old, new, done));
        }
        context.close().await?;
        let when = format!("after a finish dropped {drops:?}");
        context.expect_no_leftovers(&when).await?;
        for (name, uri, old, new, done) in dropped {
            let found = match context.store().stat(&uri).await {
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                stat => {
                    stat.during("stat")?;
                    Some(context.read(&uri, ByteRange::Full).await?)
                }
            };
            match found {
                Some(found) if found == new => {}
                found if done => fail!(
                    "{name}: finish succeeded, but {:?} bytes are there",
                    found.map(|f| f.len())
                ),
                found if found == old => {}
                Some(found) => {
                    let torn = same("neither the old nor the new object", &found, &new);
                    torn.map_err(|stop| stop.within(format_args!("{when}: {name}")))?;
                }
                None => fail!("{when}: {name}: the old object is gone"),
            }
            context.store().delete(&uri).await.during("delete")?;
        }
    }
    Ok(())
}

/// A `finish` that fails has removed what was stored when it returns.
pub(crate) async fn failed_finish_leaves_nothing(context: &Context<'_>) -> Checked {
    for old in [None, Some(context.bytes(500))] {
        let uri = context.uri(if old.is_some() { "old" } else { "none" });
        if let Some(old) = &old {
            context.make(&uri, old).await?;
        }
        for written in stages(context) {
            let options = context.options().with_expected_size(written as u64 + 1);
            let mut feeder = context.feeder(&uri, options).await?;
            feeder.chunk(&context.bytes(written)).await?;
            let finished = feeder.into_inner().finish().await;
            ensure!(
                finished.is_err(),
                "finish one byte short of {} succeeded",
                written + 1
            );
            context.expect_old(&uri, old.as_deref()).await?;
            context.expect_no_leftovers("after a failed finish").await?;
        }
    }
    Ok(())
}

/// A file that ends before the range that was said fails the write, by `finish` at the latest.
pub(crate) async fn short_file_leaves_nothing(context: &Context<'_>) -> Checked {
    for size in stages(context) {
        let uri = context.uri(size);
        let file = context.file(&context.bytes(size))?;
        let mut writer = context.writer(&uri).await?;
        let range = Segment::file(file, 0..size as u64 + 1);
        let failed = match writer.write_owned(range).await {
            Err(error) => {
                let finished = writer.finish().await;
                ensure!(finished.is_err(), "finish succeeded after {error:?}");
                error
            }
            Ok(()) => match writer.finish().await {
                Err(error) => error,
                Ok(receipt) => fail!("a range past the end of a file was stored: {receipt:?}"),
            },
        };
        ensure!(
            matches!(
                failed.kind(),
                ErrorKind::SourceChanged | ErrorKind::InvalidInput
            ),
            "a range past the end of a file failed with {failed:?}; \
             expected kind SourceChanged or InvalidInput"
        );
        context.expect_missing(&uri).await?;
        context
            .expect_no_leftovers("after a file that was too short")
            .await?;
    }
    Ok(())
}

pub(crate) async fn dropped_create_leaves_nothing(context: &Context<'_>) -> Checked {
    let uri = context.uri("object");
    for drops in DROPS {
        let mut made = context.store().create_writer(&uri, Some(context.options()));
        if let Some(made) = drops.run(made.as_mut()).await {
            drop(made.during("create_writer")?);
        }
        drop(made);
        context.close().await?;
        context.expect_missing(&uri).await?;
        context
            .expect_no_leftovers("after a dropped create_writer")
            .await?;
    }
    Ok(())
}

/// `close` is about writers that were dropped, not about those that are still open.
pub(crate) async fn close_spares_open_writers(context: &Context<'_>) -> Checked {
    let part = context.part_size();
    for size in [10, 2 * part + 5] {
        let uri = context.uri(size);
        let data = context.bytes(size);
        let mut feeder = context.feeder(&uri, context.options()).await?;
        feeder.chunk(&data[..size / 2]).await?;
        context.close().await?;
        feeder.chunk(&data[size / 2..]).await?;
        context.close().await?;
        let receipt = feeder.finish().await?;
        context.expect_receipt(&receipt, &uri, &data).await?;
    }
    Ok(())
}
