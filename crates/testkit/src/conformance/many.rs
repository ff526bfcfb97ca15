//! Many writers share one store, and none waits for another for ever.

use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use writer_core::{ByteRange, Error, ObjectMetadata};

use super::context::{Checked, Context, During, ensure};

/// 64 tasks, each with a writer of its own, all of them open before one goes on.
pub(crate) async fn many_tasks(context: &Context<'_>) -> Checked {
    const WRITERS: usize = 64;
    let part = context.part_size();
    let all_open = Arc::new(Barrier::new(WRITERS));
    let mut tasks = JoinSet::new();
    for number in 0..WRITERS {
        let uri = context.uri(number);
        let data = context.bytes(part + 1 + context.below(part));
        let (store, all_open) = (Arc::clone(context.store()), Arc::clone(&all_open));
        let options = context.options();
        let piece = part / 3 + number;
        tasks.spawn(async move {
            let opened = store.create_writer(&uri, Some(options)).await;
            all_open.wait().await;
            let mut writer = opened?;
            for chunk in data.chunks(piece) {
                writer.write_chunk(chunk).await?;
                tokio::task::yield_now().await;
            }
            let receipt = writer.finish().await?;
            Ok::<_, Error>((uri, data, receipt))
        });
    }
    while let Some(ended) = tasks.join_next().await {
        let (uri, data, receipt) = ended.during("a task")?.during("one of 64 writers")?;
        context.expect_receipt(&receipt, &uri, &data).await?;
    }
    Ok(())
}

/// One task feeds 200 writers in turn, so that whatever one of them waits for must come without
/// the help of the others.
pub(crate) async fn one_task_many_writers(context: &Context<'_>) -> Checked {
    const WRITERS: usize = 200;
    const ROUNDS: usize = 5;
    let piece = (context.part_size() / 4 + 1).min(20_001);
    let blob = context.bytes(ROUNDS * piece + WRITERS * 977);
    let contents = |number: usize| &blob[number * 977..number * 977 + ROUNDS * piece];

    let mut writers = Vec::new();
    for number in 0..WRITERS {
        let uri = context.uri(number);
        let feeder = context.feeder(&uri, context.options()).await?;
        writers.push((uri, feeder));
    }
    for round in 0..ROUNDS {
        for (number, (_, feeder)) in writers.iter_mut().enumerate() {
            let piece = &contents(number)[round * piece..(round + 1) * piece];
            if number % 2 == 0 {
                feeder.chunk(piece).await?;
            } else {
                feeder.owned(piece.to_vec()).await?;
            }
        }
    }
    for (number, (uri, feeder)) in writers.into_iter().enumerate() {
        let receipt = feeder.finish().await?;
        context
            .expect_receipt(&receipt, &uri, contents(number))
            .await?;
    }
    Ok(())
}

/// Every call in a task of its own: writers, readers and listers move between threads.
pub(crate) async fn writers_move_between_tasks(context: &Context<'_>) -> Checked {
    let uri = context.uri("object");
    let data = context.bytes(3 * context.part_size() + 7);
    let store = Arc::clone(context.store());

    let task = {
        let (store, uri, options) = (Arc::clone(&store), uri.clone(), context.options());
        tokio::spawn(async move { store.create_writer(&uri, Some(options)).await })
    };
    let mut writer = task.await.during("a task")?.during("create_writer")?;
    for start in (0..data.len()).step_by(context.part_size() / 2) {
        let end = (start + context.part_size() / 2).min(data.len());
        let data = Arc::clone(&data);
        let task = tokio::spawn(async move {
            let written = writer.write_chunk(&data[start..end]).await;
            (writer, written)
        });
        let written;
        (writer, written) = task.await.during("a task")?;
        written.during("write_chunk")?;
    }
    let receipt: ObjectMetadata = tokio::spawn(writer.finish())
        .await
        .during("a task")?
        .during("finish")?;
    context.expect_receipt(&receipt, &uri, &data).await?;

    let task = {
        let (store, uri) = (Arc::clone(&store), uri.clone());
        tokio::spawn(async move { store.get(&uri, ByteRange::Full).await })
    };
    let mut reader = task.await.during("a task")?.during("get")?;
    let mut read = 0;
    loop {
        let next;
        (reader, next) = tokio::spawn(async move {
            let next = reader.next_chunk().await;
            (reader, next)
        })
        .await
        .during("a task")?;
        match next.during("next_chunk")? {
            Some(chunk) => read += chunk.len(),
            None => break,
        }
    }
    ensure!(
        read == data.len() as u64,
        "{read} bytes read of {}",
        data.len()
    );

    let prefix = context.prefix();
    let task = tokio::spawn(async move { store.list(&prefix).await });
    let mut lister = task.await.during("a task")?.during("list")?;
    let task = tokio::spawn(async move { lister.next_batch().await });
    let batch = task.await.during("a task")?.during("next_batch")?;
    ensure!(
        batch.is_some_and(|batch| batch.len() == 1),
        "the object is not listed"
    );
    Ok(())
}
