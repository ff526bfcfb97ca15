//! What a dropped call has done, and what follows an error.

use writer_core::{Error, ErrorKind, ObjectWriter, Segment, WriterOptions};

use super::context::{Checked, Context, Drops, During, ensure, expect_kind, poll_once, skip};

/// The most that is written in the hope that a write waits, in bytes.
const MOST: u64 = 64 << 20;

/// Sizes at which a write may have to wait, the last of them surely if the budget is known.
fn waiting_sizes(context: &Context<'_>) -> Vec<usize> {
    let part = context.part_size();
    let most = context.subject().memory_budget.map_or_else(
        || usize::try_from(MOST).unwrap_or(usize::MAX).max(8 * part),
        |budget| usize::try_from(budget).unwrap_or(usize::MAX / 4) * 2 + 3 * part,
    );
    let mut sizes: Vec<_> = [4, 32, 256].iter().map(|parts| parts * part + 3).collect();
    sizes.retain(|size| *size < most);
    sizes.push(most);
    sizes
}

/// Much data from little randomness: the period is no divisor of any part size.
fn long(context: &Context<'_>, len: usize) -> Vec<u8> {
    let seed = context.bytes(1_000_003);
    let mut data = seed.repeat(len.div_ceil(seed.len()));
    data.truncate(len);
    data
}

fn one_in_flight(context: &Context<'_>) -> WriterOptions {
    context.options().with_max_concurrency(1)
}

/// A `write_owned` (or a `reserve`) is dropped at its first await, as in a `select!`: the segment
/// counts, once, and the writer goes on.
pub(crate) async fn dropped_owned_write_counts(context: &Context<'_>) -> Checked {
    let mut waited = false;
    for size in waiting_sizes(context) {
        let uri = context.uri(size);
        let data = long(context, size);
        let opened = context
            .store()
            .create_writer(&uri, Some(one_in_flight(context)));
        let mut writer = opened.await.during("create_writer")?;
        let mut rest = Segment::from(data.clone());
        let mut fed = 0;
        let piece = (size as u64 / 2).max(1);
        while !rest.is_empty() {
            drop(poll_once(writer.reserve(100).as_mut()).await);
            let segment = rest.split_to(piece);
            fed += segment.len();
            match poll_once(writer.write_owned(segment).as_mut()).await {
                Some(written) => written.during("write_owned")?,
                None => waited = true,
            }
            let counted = writer.bytes_written();
            ensure!(
                counted == fed,
                "bytes_written is {counted} after {fed} bytes, the last of them dropped"
            );
        }
        writer
            .write_chunk(b"end")
            .await
            .during("write_chunk after a dropped write_owned")?;
        let receipt = writer.finish().await.during("finish")?;
        let data = [&data[..], b"end"].concat();
        context.expect_receipt(&receipt, &uri, &data).await?;
        context.store().delete(&uri).await.during("delete")?;
        if waited {
            return Ok(());
        }
    }
    skip!("no write_owned ever waited; contents and counts are right");
}

/// A `write_chunk` that is dropped after it took some bytes ends the object.
pub(crate) async fn dropped_chunk_write_interrupts(context: &Context<'_>) -> Checked {
    let uri = context.uri("object");
    let old = context.bytes(100);
    context.make(&uri, &old).await?;
    // A writer may wait for something else first, so later awaits get their turn as well.
    let sizes = waiting_sizes(context);
    let polls = [1, 2, 4, 8].map(Drops::AtPoll);
    for (size, drops) in sizes
        .iter()
        .flat_map(|size| polls.map(|drops| (*size, drops)))
    {
        let data = long(context, size);
        let opened = context
            .store()
            .create_writer(&uri, Some(one_in_flight(context)));
        let mut writer = opened.await.during("create_writer")?;
        let dropped = drops.run(writer.write_chunk(&data).as_mut()).await;
        if let Some(written) = dropped {
            written.during("write_chunk")?;
            writer.cancel().await.during("cancel")?;
            continue;
        }
        if writer.bytes_written() == 0 {
            // It says that it took nothing; then the same call again loses and doubles nothing.
            expect_nothing_taken(context, writer, &uri, &data).await?;
            context.make(&uri, &old).await?;
            continue;
        }
        expect_failed(writer, ErrorKind::Interrupted, "a dropped write_chunk").await?;
        context.expect_old(&uri, Some(&old)).await?;
        return context
            .expect_no_leftovers("after an interrupted write")
            .await;
    }
    skip!("no write_chunk ever waited after it took some bytes");
}

/// A writer that counts no byte after a dropped write has taken none, or says that it was
/// interrupted.
async fn expect_nothing_taken(
    context: &Context<'_>,
    mut writer: Box<dyn ObjectWriter>,
    uri: &str,
    data: &[u8],
) -> Checked {
    match writer.write_chunk(data).await {
        Err(error) if error.kind() == ErrorKind::Interrupted => {
            expect_failed(writer, ErrorKind::Interrupted, "a dropped write_chunk").await
        }
        written => {
            written.during("write_chunk again")?;
            let receipt = writer.finish().await.during("finish")?;
            context.expect_receipt(&receipt, uri, data).await
        }
    }
}

/// After the first error every call gives the same one.
pub(crate) async fn errors_latch(context: &Context<'_>) -> Checked {
    let part = context.part_size();
    let old = context.bytes(100);
    for expected in [3, 2 * part + 3] {
        let uri = context.uri(expected);
        context.make(&uri, &old).await?;
        let options = context.options().with_expected_size(expected as u64);
        let mut feeder = context.feeder(&uri, options).await?;
        feeder.chunk(&context.bytes(expected - 1)).await?;
        let mut writer = feeder.into_inner();
        let too_much = writer.write_chunk(b"xy").await;
        expect_kind(
            too_much,
            ErrorKind::InvalidInput,
            "a write of one byte too many",
        )?;
        // The last byte would fit, but not any more.
        expect_failed(writer, ErrorKind::InvalidInput, "a failed write").await?;
        context.expect_old(&uri, Some(&old)).await?;
        context.expect_no_leftovers("after a failed write").await?;
    }
    Ok(())
}

/// Every call of this writer fails, with this kind.
async fn expect_failed(mut writer: Box<dyn ObjectWriter>, kind: ErrorKind, after: &str) -> Checked {
    fn expect<T>(result: Result<T, Error>, kind: ErrorKind, call: &str, after: &str) -> Checked {
        expect_kind(result, kind, format_args!("{call} after {after}"))
    }
    for _ in 0..2 {
        expect(writer.write_chunk(b"x").await, kind, "write_chunk", after)?;
        expect(
            writer.write_owned("x".into()).await,
            kind,
            "write_owned",
            after,
        )?;
        expect(writer.reserve(1).await, kind, "reserve", after)?;
    }
    expect(writer.finish().await, kind, "finish", after)
}
