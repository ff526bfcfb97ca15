//! An object appears with `finish`, all at once, though its parts leave before.

use std::time::Duration;

use super::context::{Checked, Context, During, ensure, fail, skip};
use super::listing::expect_list;

/// What stands where a writer writes, before it finishes.
fn before(context: &Context<'_>) -> [Option<Vec<u8>>; 2] {
    [None, Some(context.bytes(1_000).to_vec())]
}

/// While parts are stored, readers see the old object or none; with `finish` they see the new.
pub(crate) async fn visible_only_after_finish(context: &Context<'_>) -> Checked {
    for old in before(context) {
        if old.is_some() && !context.profile().fresh_checksums {
            continue;
        }
        let uri = context.uri(if old.is_some() { "old" } else { "none" });
        if let Some(old) = &old {
            context.make(&uri, old).await?;
        }
        let listed = old.iter().map(|old| (uri.clone(), old.len() as u64));
        let listed = listed.collect();
        let data = context.bytes(3 * context.part_size() + 7);
        let mut feeder = context.feeder(&uri, context.options()).await?;
        for piece in data.chunks(context.part_size() / 2 + 1) {
            context.expect_old(&uri, old.as_deref()).await?;
            feeder.chunk(piece).await?;
        }
        // Time for what is in flight to arrive.
        tokio::time::sleep(Duration::from_millis(50)).await;
        context.expect_old(&uri, old.as_deref()).await?;
        expect_list(context, &uri, &listed).await?;
        let receipt = feeder.finish().await?;
        context.expect_receipt(&receipt, &uri, &data).await?;
        let listed = [(uri.clone(), data.len() as u64)].into();
        expect_list(context, &uri, &listed).await?;
    }
    Ok(())
}

/// Nothing of a larger, smaller or empty object shines through the one that replaced it.
pub(crate) async fn replaced_whole(context: &Context<'_>) -> Checked {
    if !context.profile().fresh_checksums {
        skip!("the service says old checksums of objects that were replaced");
    }
    let uri = context.uri("object");
    let part = context.part_size();
    for size in [3 * part + 7, 10, 2 * part, 0, part, 0, 1] {
        let data = context.bytes(size);
        let receipt = context.make(&uri, &data).await?;
        context.expect_receipt(&receipt, &uri, &data).await?;
    }
    Ok(())
}

/// Full parts need no further call to be on their way.
pub(crate) async fn full_parts_leave_while_idle(context: &Context<'_>) -> Checked {
    let Some(arrived) = &context.subject().arrived else {
        skip!("the subject has no look at what has arrived");
    };
    let part = context.part_size();
    let limit = (context.subject().patience / 4).min(Duration::from_secs(10));
    for owned in [false, true] {
        let uri = context.uri(owned);
        let data = context.bytes(2 * part + part / 2);
        let mut feeder = context.feeder(&uri, context.options()).await?;
        if owned {
            feeder.owned(data.clone()).await?;
        } else {
            feeder.chunk(&data).await?;
        }
        let started = tokio::time::Instant::now();
        loop {
            let there = arrived(&uri).await;
            if there >= 2 * part as u64 {
                break;
            }
            if started.elapsed() > limit {
                fail!("{there} bytes of two full parts ({part} bytes each) after {limit:?}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let receipt = feeder.finish().await?;
        context.expect_receipt(&receipt, &uri, &data).await?;
    }
    Ok(())
}

/// Two writers of one object: both succeed, and the object is one of the two.
pub(crate) async fn writers_of_one_object(context: &Context<'_>) -> Checked {
    let part = context.part_size();
    for (round, sizes) in [[10, 20], [2 * part + 5, 3 * part + 1], [part, part]]
        .iter()
        .enumerate()
    {
        let uri = context.uri(round);
        let data = sizes.map(|size| context.bytes(size));
        let mut one = context.feeder(&uri, context.options()).await?;
        let mut other = context.feeder(&uri, context.options()).await?;
        for at in (0..sizes[0].max(sizes[1])).step_by(part / 3 + 1) {
            for (writer, data) in [(&mut one, &data[0]), (&mut other, &data[1])] {
                let end = (at + part / 3 + 1).min(data.len());
                writer.chunk(&data[at.min(end)..end]).await?;
            }
        }
        let (one, other) = tokio::join!(one.finish(), other.finish());
        let mut outcomes = vec![(one, &data[0]), (other, &data[1])];
        if !context.profile().concurrent_uploads {
            // The one that the service dropped may fail, but not both.
            let failed = outcomes.iter().position(|(outcome, _)| outcome.is_err());
            failed.map(|loser| outcomes.swap_remove(loser));
        }
        for (receipt, data) in outcomes {
            let receipt = receipt?;
            let crc = super::context::crc(data);
            ensure!(
                receipt.size == data.len() as u64 && receipt.checksum.is_none_or(|c| c == crc),
                "the receipt of one writer speaks of the other's object: {receipt:?}"
            );
        }
        let found = context.read(&uri, writer_core::ByteRange::Full).await?;
        ensure!(
            data.iter().any(|data| found[..] == data[..]),
            "the object of {} bytes is neither of the two of {sizes:?}",
            found.len()
        );
        context
            .expect_no_leftovers("after two writers of one object")
            .await?;
    }
    Ok(())
}

/// Receipt, `stat` and the reader say the same of an object.
pub(crate) async fn receipt_matches_stat(context: &Context<'_>) -> Checked {
    let part = context.part_size();
    for size in [0, 10, 2 * part + 1] {
        let uri = context.uri(size);
        let data = context.bytes(size);
        let receipt = context.make(&uri, &data).await?;
        context.expect_receipt(&receipt, &uri, &data).await?;
        ensure!(
            receipt.condition.is_none(),
            "a receipt without a condition says how it was kept: {:?}",
            receipt.condition
        );
        ensure!(
            receipt.parts != Some(0),
            "the receipt counts no part at all"
        );
        let stat = context.store().stat(&uri).await.during("stat")?;
        let got = context
            .store()
            .get(&uri, writer_core::ByteRange::Full)
            .await;
        let got = got.during("get")?.metadata().clone();
        ensure!(
            got.size == stat.size && got.e_tag == stat.e_tag,
            "stat says {stat:?}, the reader {got:?}"
        );
        for e_tag in [&receipt.e_tag, &stat.e_tag].into_iter().flatten() {
            let bare = !e_tag.is_empty() && !e_tag.contains('"');
            ensure!(bare, "the ETag {e_tag:?} is empty or quoted");
        }
    }
    Ok(())
}
