//! Every way of writing gives the same object.

use std::io::{Seek, SeekFrom};
use std::sync::Arc;

use writer_core::{ErrorKind, Segment};

use super::context::{Checked, Context, During, ensure, expect_kind, fail};
use super::feed::Way;

/// Sizes at which a part ends, begins, or is all there is.
fn sizes(part: usize) -> [usize; 6] {
    [0, 1, part - 1, part, part + 1, 3 * part + 7]
}

/// Writes an object of each size in this way, with the size said beforehand and without.
async fn every_size(context: &Context<'_>, way: Way) -> Checked {
    every_one_of(context, way, &sizes(context.part_size())).await
}

async fn every_one_of(context: &Context<'_>, way: Way, sizes: &[usize]) -> Checked {
    for &size in sizes {
        for said in [false, true] {
            let case = format!(
                "{size} bytes, size {}",
                if said { "said" } else { "not said" }
            );
            let done = one(context, way, size, said).await;
            done.map_err(|stop| stop.within(case))?;
        }
    }
    Ok(())
}

async fn one(context: &Context<'_>, way: Way, size: usize, said: bool) -> Checked {
    let uri = context.uri(format_args!("{size}-{said}"));
    let data = context.bytes(size);
    let mut options = context.options();
    options.expected_size = said.then_some(size as u64);
    let mut feeder = context.feeder(&uri, options).await?;
    way.feed(context, &mut feeder, &data).await?;
    let receipt = feeder.finish().await?;
    context.expect_receipt(&receipt, &uri, &data).await
}

pub(crate) async fn chunk_whole(context: &Context<'_>) -> Checked {
    every_size(context, Way::ChunkWhole).await
}

pub(crate) async fn chunk_random(context: &Context<'_>) -> Checked {
    for _ in 0..4 {
        every_size(context, Way::ChunkRandom).await?;
    }
    Ok(())
}

/// One call per byte, as far as that stays quick.
pub(crate) async fn chunk_bytewise(context: &Context<'_>) -> Checked {
    let part = context.part_size();
    if part <= 64 * 1024 {
        return every_one_of(context, Way::ChunkBytewise, &[0, 1, part, part + 1]).await;
    }
    every_one_of(context, Way::ChunkBytewise, &[0, 1, 10_000]).await
}

/// A chunk of many parts: all of it is stored, not one part a call.
pub(crate) async fn chunk_huge(context: &Context<'_>) -> Checked {
    let size = 8 * context.part_size() + 3;
    every_one_of(context, Way::ChunkWhole, &[size]).await
}

pub(crate) async fn owned_whole(context: &Context<'_>) -> Checked {
    every_size(context, Way::OwnedWhole).await
}

pub(crate) async fn owned_part_by_part(context: &Context<'_>) -> Checked {
    every_size(context, Way::OwnedPartByPart).await
}

pub(crate) async fn owned_unaligned(context: &Context<'_>) -> Checked {
    every_size(context, Way::OwnedUnaligned).await
}

pub(crate) async fn owned_tiny(context: &Context<'_>) -> Checked {
    every_size(context, Way::OwnedTiny).await
}

pub(crate) async fn owned_huge(context: &Context<'_>) -> Checked {
    let size = 8 * context.part_size() + 3;
    every_one_of(context, Way::OwnedWhole, &[size]).await
}

/// Vectors, boxes, shared slices, an owner of the suite's own, and bytes that live for ever.
pub(crate) async fn owners_of_any_kind(context: &Context<'_>) -> Checked {
    every_size(context, Way::OwnersOfAnyKind).await?;

    static FOR_EVER: [u8; 5_003] = {
        let mut bytes = [0; 5_003];
        let mut at = 0;
        while at < bytes.len() {
            bytes[at] = (at * at / 7 % 251) as u8;
            at += 1;
        }
        bytes
    };
    let uri = context.uri("static");
    let times = context.part_size() / FOR_EVER.len() + 2;
    let mut feeder = context.feeder(&uri, context.options()).await?;
    for _ in 0..times {
        feeder.owned(&FOR_EVER[..]).await?;
    }
    let receipt = feeder.finish().await?;
    let data = FOR_EVER.repeat(times);
    context.expect_receipt(&receipt, &uri, &data).await
}

pub(crate) async fn reserved_pages(context: &Context<'_>) -> Checked {
    every_size(context, Way::Pages).await
}

/// A page is as large as was asked for, gives out what was filled, and goes on with the rest;
/// one that nobody could lend is refused.
pub(crate) async fn reserve_keeps_its_word(context: &Context<'_>) -> Checked {
    let uri = context.uri("pages");
    let data = context.bytes(1_000);
    let mut writer = context.writer(&uri).await?;
    for at_least in [1, 1_000, 4_096, 16 * 1024] {
        let mut page = writer.reserve(at_least).await.during("reserve")?;
        let spare = page.spare_len();
        ensure!(spare >= at_least, "reserve({at_least}) lent {spare} bytes");
        let given = page.spare_mut().len();
        ensure!(
            given == spare,
            "spare_mut gives {given} bytes, spare_len says {spare}"
        );
        page.spare_mut()[0] = 7;
        let cut = page.split(1);
        ensure!(cut.len() == 1, "split(1) gave {} bytes", cut.len());
        match &cut {
            Segment::Memory(bytes) if bytes.as_ref() == [7] => {}
            other => fail!("split gave {other:?} instead of what was filled"),
        }
        let left = page.spare_len();
        ensure!(
            left == spare - 1,
            "{left} bytes are left of {spare} after split(1)"
        );
        let nothing = page.split(0);
        ensure!(nothing.is_empty(), "split(0) gave {} bytes", nothing.len());
    }
    // What is cut from a page stays as it is while the rest of the page is filled.
    let mut page = writer.reserve(1_000).await.during("reserve")?;
    page.spare_mut()[..400].copy_from_slice(&data[..400]);
    let head = page.split(400);
    let room = page.spare_len().min(600);
    page.spare_mut()[..room].copy_from_slice(&data[400..400 + room]);
    let tail = page.split(room);
    drop(page);
    writer.write_owned(head).await.during("write_owned")?;
    writer.write_owned(tail).await.during("write_owned")?;
    let receipt = writer.finish().await.during("finish")?;
    context
        .expect_receipt(&receipt, &uri, &data[..400 + room])
        .await?;

    let mut writer = context.writer(&uri).await?;
    let lent = writer.reserve(usize::MAX).await;
    expect_kind(lent, ErrorKind::LimitExceeded, "reserve(usize::MAX)")?;
    writer.cancel().await.during("cancel")
}

pub(crate) async fn file_whole(context: &Context<'_>) -> Checked {
    every_size(context, Way::FileWhole).await
}

pub(crate) async fn file_ranges_out_of_order(context: &Context<'_>) -> Checked {
    every_size(context, Way::FileRangesOutOfOrder).await
}

/// A file is read by position: where its cursor stands means nothing, and it is not moved.
pub(crate) async fn file_cursor_is_nobodys(context: &Context<'_>) -> Checked {
    let uri = context.uri("file");
    let data = context.bytes(2 * context.part_size() + 11);
    let file = context.file(&data)?;
    let mut handle = &*file;
    handle.seek(SeekFrom::Start(5)).during("seek")?;
    let mut feeder = context.feeder(&uri, context.options()).await?;
    let range = 0..data.len() as u64;
    feeder
        .owned(Segment::file(Arc::clone(&file), range))
        .await?;
    let receipt = feeder.finish().await?;
    context.expect_receipt(&receipt, &uri, &data).await?;
    let cursor = handle.stream_position().during("tell")?;
    ensure!(
        cursor == 5,
        "the file's cursor was moved from 5 to {cursor}"
    );
    Ok(())
}

/// Holes of a file are zeros of the object.
pub(crate) async fn file_with_holes(context: &Context<'_>) -> Checked {
    let uri = context.uri("file");
    let part = context.part_size();
    let (head, tail) = (context.bytes(1_000), context.bytes(part / 2));
    let file = context.file(&head)?;
    file.set_len(3 * part as u64 + 5).during("set_len")?;
    let mut handle = &*file;
    handle.seek(SeekFrom::End(0)).during("seek")?;
    std::io::Write::write_all(&mut handle, &tail).during("write")?;
    let mut data = head.to_vec();
    data.resize(3 * part + 5, 0);
    data.extend_from_slice(&tail);
    let mut feeder = context.feeder(&uri, context.options()).await?;
    feeder
        .owned(Segment::file(file, 0..data.len() as u64))
        .await?;
    let receipt = feeder.finish().await?;
    context.expect_receipt(&receipt, &uri, &data).await
}

/// Chunks, file ranges, owned bytes and pages in one object.
pub(crate) async fn mixed_sources(context: &Context<'_>) -> Checked {
    for _ in 0..4 {
        every_size(context, Way::Mixed).await?;
    }
    Ok(())
}

pub(crate) async fn empty_writes_change_nothing(context: &Context<'_>) -> Checked {
    let part = context.part_size();
    for size in [0, 10, part, 2 * part] {
        let uri = context.uri(size);
        let data = context.bytes(size);
        let file = context.file(&data)?;
        let mut feeder = context.feeder(&uri, context.options()).await?;
        for piece in data.chunks((size / 3).max(1)).chain([&[][..]]) {
            feeder.chunk(&[]).await?;
            feeder.owned(Vec::new()).await?;
            feeder.owned(Segment::file(Arc::clone(&file), 3..3)).await?;
            feeder.chunk(piece).await?;
        }
        let receipt = feeder.finish().await?;
        let done = context.expect_receipt(&receipt, &uri, &data).await;
        done.map_err(|stop| stop.within(format_args!("{size} bytes")))?;
    }
    Ok(())
}

/// The write that crosses the size that was said fails, or `finish`, and nothing is stored.
pub(crate) async fn more_than_expected_is_refused(context: &Context<'_>) -> Checked {
    let part = context.part_size();
    for expected in [0, 10, part, 2 * part + 1] {
        for owned in [false, true] {
            let uri = context.uri(format_args!("{expected}-{owned}"));
            let data = context.bytes(expected + 1);
            let options = context.options().with_expected_size(expected as u64);
            let mut feeder = context.feeder(&uri, options).await?;
            feeder.chunk(&data[..expected]).await?;
            let mut writer = feeder.into_inner();
            let written = if owned {
                writer.write_owned(data[expected..].to_vec().into()).await
            } else {
                writer.write_chunk(&data[expected..]).await
            };
            let case = format!("one byte more than {expected}");
            expect_kind(written, ErrorKind::InvalidInput, &case)?;
            let finished = writer.finish().await;
            expect_kind(
                finished,
                ErrorKind::InvalidInput,
                format!("finish after {case}"),
            )?;
            context.expect_missing(&uri).await?;
            context.expect_no_leftovers(&case).await?;
        }
    }
    Ok(())
}

pub(crate) async fn less_than_expected_is_refused(context: &Context<'_>) -> Checked {
    let part = context.part_size();
    for expected in [1, part, 3 * part] {
        let uri = context.uri(expected);
        let data = context.bytes(expected - 1);
        let options = context.options().with_expected_size(expected as u64);
        let mut feeder = context.feeder(&uri, options).await?;
        feeder.chunk(&data).await?;
        let case = format!("finish one byte short of {expected}");
        let finished = feeder.into_inner().finish().await;
        expect_kind(finished, ErrorKind::InvalidInput, &case)?;
        context.expect_missing(&uri).await?;
        context.expect_no_leftovers(&case).await?;
    }
    Ok(())
}
