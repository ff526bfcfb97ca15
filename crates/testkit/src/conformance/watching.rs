//! What observers are told, and what receipts count.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use writer_core::{Event, EventKind, Observer, Step};

use super::context::{Checked, Context, During, ensure, fail};

/// What an observer heard of one writer.
#[derive(Clone, Debug, Default)]
struct Heard {
    writer: u64,
    events: u64,
    opened: u64,
    size: Option<u64>,
    /// Bytes of parts that are done.
    done: u64,
    parts: Vec<u32>,
    written: u64,
    ended: Option<End>,
    wrong: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Finished(u64),
    GivenUp,
}

#[derive(Debug)]
struct Ear {
    uri: String,
    heard: Mutex<Heard>,
}

impl Ear {
    fn of(uri: &str) -> Arc<Self> {
        Arc::new(Self {
            uri: uri.to_owned(),
            heard: Mutex::default(),
        })
    }

    fn heard(&self) -> Heard {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.clone()
    }
}

impl Observer for Ear {
    fn on_event(&self, event: &Event<'_>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(end) = heard.ended {
            heard.wrong = Some(format!("{:?} came after {end:?}", event.kind));
        }
        if heard.events > 0 && heard.writer != event.writer {
            heard.wrong = Some(format!("{event:?} is of another writer"));
        }
        if event.uri != self.uri {
            heard.wrong = Some(format!("{event:?} is of another object"));
        }
        heard.writer = event.writer;
        heard.events += 1;
        match event.kind {
            EventKind::Opened { size } => {
                heard.opened += heard.events;
                heard.size = size;
            }
            EventKind::Done {
                step: Step::Part(number),
                bytes,
                ..
            } => {
                heard.done += bytes;
                heard.parts.push(number);
            }
            EventKind::Written { bytes } if bytes < heard.written => {
                heard.wrong = Some(format!("{bytes} bytes, after {}", heard.written));
            }
            EventKind::Written { bytes } => heard.written = bytes,
            EventKind::Finished { bytes } => heard.ended = Some(End::Finished(bytes)),
            EventKind::GivenUp { .. } => heard.ended = Some(End::GivenUp),
            _ => {}
        }
    }
}

/// The first event is that the writer was opened, the last that the object is there; in between,
/// every byte is counted once, in parts or as written.
pub(crate) async fn observer_is_told(context: &Context<'_>) -> Checked {
    for size in [0, 10, 3 * context.part_size() + 7] {
        for said in [false, true] {
            let uri = context.uri(format_args!("{size}-{said}"));
            let ear = Ear::of(&uri);
            let mut options = context.options().with_observer(ear.clone());
            options.expected_size = said.then_some(size as u64);
            let mut feeder = context.feeder(&uri, options).await?;
            feeder.chunk(&context.bytes(size)).await?;
            feeder.finish().await?;
            let mut heard = ear.heard();
            let size = size as u64;
            if let Some(wrong) = heard.wrong {
                fail!("{uri}: {wrong}");
            }
            ensure!(
                heard.opened == 1 && heard.size == said.then_some(size),
                "{uri}: the first event is not that it was opened: {heard:?}"
            );
            ensure!(
                heard.ended == Some(End::Finished(size)),
                "{uri}: the last event is {:?}",
                heard.ended
            );
            ensure!(
                heard.done.max(heard.written) == size,
                "{uri}: {} bytes of parts and {} written, of {size}",
                heard.done,
                heard.written
            );
            heard.parts.sort_unstable();
            let parts = heard.parts.len();
            heard.parts.dedup();
            ensure!(heard.parts.len() == parts, "{uri}: a part was done twice");
        }
    }
    Ok(())
}

/// A writer that is cancelled or dropped says so at its end.
pub(crate) async fn observer_is_told_of_the_end(context: &Context<'_>) -> Checked {
    let data = context.bytes(2 * context.part_size() + 1);
    for (size, cancels) in [(0, true), (0, false), (1, true), (1, false)] {
        let uri = context.uri(format_args!("{size}-{cancels}"));
        let ear = Ear::of(&uri);
        let options = context.options().with_observer(ear.clone());
        let made = context.store().create_writer(&uri, Some(options)).await;
        let mut writer = made.during("create_writer")?;
        let written = writer.write_chunk(&data[..size * data.len()]).await;
        written.during("write_chunk")?;
        match cancels {
            true => writer.cancel().await.during("cancel")?,
            false => drop(writer),
        }
        context.close().await?;
        let heard = ear.heard();
        ensure!(
            heard.ended == Some(End::GivenUp) && heard.wrong.is_none(),
            "{uri}: {heard:?}"
        );
    }
    Ok(())
}

/// A receipt says how long the write took, and how much memory.
pub(crate) async fn receipt_counts(context: &Context<'_>) -> Checked {
    for size in [10, 2 * context.part_size() + 1] {
        let uri = context.uri(size);
        let data = context.bytes(size);
        let start = Instant::now();
        let receipt = context.make(&uri, &data).await?;
        let took = start.elapsed();
        let Some(elapsed) = receipt.elapsed else {
            fail!("the receipt of {uri} does not say how long it took");
        };
        ensure!(
            elapsed > Duration::ZERO && elapsed <= took,
            "the receipt of {uri} says {elapsed:?}, but it took {took:?}"
        );
        ensure!(
            receipt.peak_buffered.is_some_and(|held| held > 0),
            "the receipt of {uri} says that {:?} bytes were held",
            receipt.peak_buffered
        );
        ensure!(
            receipt.retries.is_some() == receipt.bytes_resent.is_some(),
            "the receipt of {uri} knows of {:?} retries, and of {:?} bytes sent again",
            receipt.retries,
            receipt.bytes_resent
        );
    }
    Ok(())
}
