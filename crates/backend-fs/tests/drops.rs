//! A producer that goes away: its future is dropped at each of its awaits in turn.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::fs::{self, File};
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use backend_fs::FileSystemObjectStore;
use common::{MIB, Place, create_only, names, pattern};
use writer_core::{ObjectStore, Result, Segment, WriterOptions};

/// What the producer writes, in each of the ways that there are.
struct Data {
    chunks: Vec<u8>,
    copied: Vec<u8>,
    owned: Vec<u8>,
    page: Vec<u8>,
}

impl Data {
    fn new() -> Self {
        Self {
            chunks: pattern(8 * MIB),
            copied: pattern(300_000),
            owned: pattern(MIB),
            page: pattern(40_000),
        }
    }

    fn whole(&self) -> Vec<u8> {
        [&*self.chunks, &self.copied, &self.owned, &self.page].concat()
    }
}

async fn produce(
    store: &FileSystemObjectStore,
    path: &Path,
    source: &Arc<File>,
    options: WriterOptions,
    data: &Data,
) -> Result<()> {
    let mut writer = store.create_writer_at(path, Some(options)).await?;
    for chunk in data.chunks.chunks(300_000) {
        writer.write_chunk(chunk).await?;
    }
    let range = Segment::file(Arc::clone(source), 0..data.copied.len() as u64);
    writer.write_owned(range).await?;
    writer.write_owned(data.owned.clone().into()).await?;
    let len = data.page.len();
    let mut page = writer.reserve(len).await?;
    page.spare_mut()[..len].copy_from_slice(&data.page);
    writer.write_owned(page.split(len)).await?;
    writer.finish().await.map(drop)
}

/// Polls `future` until it is pending for the `last` time; its output, if it comes before.
async fn until<F: Future>(future: F, last: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polls >= last => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test]
async fn at_every_await_a_producer_that_is_dropped_leaves_the_old_object_or_the_new_one() {
    let data = Data::new();
    let new = data.whole();
    for mode in ["replace", "create", "match", "sized"] {
        let (mut dropped, mut kept) = (0, 0);
        for last in 1.. {
            let place = Place::new();
            // Less than is written, so that writes have to wait.
            let store = FileSystemObjectStore::with_memory(1 << 20).unwrap();
            let source = place.directory.path().join("source");
            fs::write(&source, &data.copied).unwrap();
            let source = Arc::new(File::open(source).unwrap());
            let path = place.path("object");
            let had_old = mode != "create";
            if had_old {
                fs::write(&path, "old").unwrap();
            }
            let options = match mode {
                "create" => create_only(),
                "sized" => WriterOptions::default().with_expected_size(new.len() as u64),
                "match" => {
                    let tag = store.stat_at(&path).await.unwrap().e_tag.unwrap();
                    WriterOptions::default().with_if_match(tag)
                }
                _ => WriterOptions::default(),
            };
            let produced = until(produce(&store, &path, &source, options, &data), last).await;
            store.close().await.unwrap();
            assert_eq!(store.budget().used(), 0);
            let now = fs::read(&path).ok();
            let is_new = now.as_ref() == Some(&new);
            let is_old = now.as_deref() == had_old.then_some(&b"old"[..]);
            assert!(is_new || is_old, "{mode}: torn after {last} polls");
            let mut left = names(place.directory.path());
            left.retain(|name| name != "object");
            assert_eq!(left, ["source"], "{mode}: after {last} polls");
            if let Some(produced) = produced {
                produced.unwrap();
                assert!(is_new);
                break;
            }
            dropped += 1;
            kept += usize::from(is_old);
        }
        println!("{mode}: dropped at {dropped} awaits, {kept} times the old object stayed");
        // To be opened, to have room, and to be finished.
        assert!(dropped >= 3 && kept >= 2, "{mode}: {dropped}, {kept}");
    }
}
