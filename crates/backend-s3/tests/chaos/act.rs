//! What a client does in a run: it writes, and perhaps gives up.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use backend_s3::S3ObjectStore;
use fastrand::Rng;
use tokio::time::{Sleep, sleep};
use writer_core::{ObjectMetadata, ObjectStore as _, ObjectWriter, Result};

use crate::kind::Operation;
use crate::setup::{Setup, URI};

/// How a write ended, as its client sees it.
#[allow(clippy::large_enum_variant, reason = "there is one of them at a time")]
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a run has one")]
pub(crate) enum Done {
    Finished(Result<ObjectMetadata>),
    Cancelled(Result<()>),
    /// The client did not wait for the end.
    Dropped,
}

/// Writes the object, all of it.
pub(crate) async fn write(
    setup: &Setup,
    store: &S3ObjectStore,
    mut rng: Rng,
) -> Result<ObjectMetadata> {
    let mut writer = open(setup, store).await?;
    let Err(error) = feed(&mut *writer, setup, &mut rng, setup.pieces.len()).await else {
        return writer.finish().await;
    };
    // A writer that failed may be finished, which says the same, or just be dropped.
    if rng.bool() {
        let again = writer.finish().await.unwrap_err();
        assert_eq!(again.kind(), error.kind(), "{error}, then {again}");
    }
    Err(error)
}

pub(crate) async fn open(setup: &Setup, store: &S3ObjectStore) -> Result<Box<dyn ObjectWriter>> {
    store.create_writer(URI, Some(setup.options.clone())).await
}

/// Writes the first pieces.
pub(crate) async fn feed(
    writer: &mut dyn ObjectWriter,
    setup: &Setup,
    rng: &mut Rng,
    pieces: usize,
) -> Result<()> {
    for piece in &setup.pieces[..pieces] {
        match setup.owned(piece, rng.bool()) {
            Some(segment) => writer.write_owned(segment).await?,
            None => writer.write_chunk(&setup.new[piece.clone()]).await?,
        }
        if rng.u8(..4) == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// Writes, and is dropped at some await point.
pub(crate) async fn write_dropped(setup: &mut Setup, store: &S3ObjectStore) -> Done {
    let mut rng = setup.rng.fork();
    let latency = Duration::from_micros(rng.u64(2_000..6_000));
    setup.server.set_latency(latency);
    // One request is soon answered.
    let most = match setup.operation {
        Operation::Put => 4,
        _ => 16,
    };
    let polls = rng.u32(1..=most);
    let every = Duration::from_micros(rng.u64(50..1_000));
    let writing = write(setup, store, rng);
    match Dropping::new(writing, polls, every).await {
        Some(finished) => Done::Finished(finished),
        None => Done::Dropped,
    }
}

/// Writes some of it and cancels; that may be dropped, too.
pub(crate) async fn write_cancelled(setup: &mut Setup, store: &S3ObjectStore) -> Done {
    let mut rng = setup.rng.fork();
    setup
        .server
        .set_latency(Duration::from_micros(rng.u64(..3_000)));
    let mut writer = open(setup, store).await.unwrap();
    let pieces = rng.usize(0..=setup.pieces.len());
    feed(&mut *writer, setup, &mut rng, pieces).await.unwrap();
    sleep(Duration::from_micros(rng.u64(..8_000))).await;
    if rng.u8(..4) > 0 {
        return Done::Cancelled(writer.cancel().await);
    }
    let (polls, every) = (rng.u32(1..6), Duration::from_micros(rng.u64(50..1_000)));
    match Dropping::new(writer.cancel(), polls, every).await {
        Some(cancelled) => Done::Cancelled(cancelled),
        None => Done::Dropped,
    }
}

/// Polls a future so many times, at least once in a while, and drops it then.
struct Dropping<F> {
    future: Option<Pin<Box<F>>>,
    left: u32,
    every: Duration,
    tick: Pin<Box<Sleep>>,
}

impl<F: Future> Dropping<F> {
    fn new(future: F, polls: u32, every: Duration) -> Self {
        Self {
            future: Some(Box::pin(future)),
            left: polls,
            every,
            tick: Box::pin(sleep(every)),
        }
    }
}

impl<F: Future> Future for Dropping<F> {
    /// `None` if it was dropped.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(future) = &mut this.future else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        this.left -= 1;
        if this.left == 0 {
            this.future = None;
            return Poll::Ready(None);
        }
        while this.tick.as_mut().poll(cx).is_ready() {
            this.tick = Box::pin(sleep(this.every));
        }
        Poll::Pending
    }
}
