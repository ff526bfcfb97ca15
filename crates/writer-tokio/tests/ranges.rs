//! Reading by several requests: whole, in order, within memory, and of one object only.

#![allow(clippy::unwrap_used, reason = "the helpers are tests too")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use testkit::MemoryStore;
use writer_core::{
    ByteRange, Error, ErrorKind, ObjectLister, ObjectMetadata, ObjectReader, ObjectStore,
    ObjectWriter, Result, Segment, WriterOptions,
};
use writer_tokio::{ReadOptions, read_in_parts};

const URI: &str = "memory://object";
const PART: u64 = 100_000;

type Hook = Box<dyn Fn(usize) -> Option<Trouble> + Send + Sync>;

/// What becomes of a request.
#[derive(Clone, Copy)]
enum Trouble {
    Refused,
    /// It gives a first chunk, and then fails.
    BreaksOff,
    /// The object is another one by then.
    Replaced,
    Denied,
}

/// A store with trouble, by the number of the request from 1.
#[derive(Clone)]
struct Troubled {
    inner: MemoryStore,
    hook: Arc<Hook>,
    gets: Arc<AtomicUsize>,
    asked: Arc<Mutex<u64>>,
}

impl Troubled {
    async fn new(
        data: &[u8],
        hook: impl Fn(usize) -> Option<Trouble> + Send + Sync + 'static,
    ) -> Self {
        let inner = MemoryStore::new();
        inner.put(URI, data.to_vec().into()).await.unwrap();
        Self {
            inner,
            hook: Arc::new(Box::new(hook)),
            gets: Arc::default(),
            asked: Arc::default(),
        }
    }

    async fn read(&self, range: ByteRange) -> Result<Vec<u8>> {
        let options = ReadOptions::default()
            .with_part_size(PART)
            .with_max_concurrency(3);
        let store = Arc::new(self.clone());
        read(read_in_parts(store, URI, range, options).await?).await
    }
}

async fn read(mut reader: Box<dyn ObjectReader>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(Segment::Memory(chunk)) = reader.next_chunk().await? {
        assert!(!chunk.as_ref().is_empty());
        bytes.extend(chunk.as_ref());
    }
    Ok(bytes)
}

fn passing() -> Error {
    Error::new(ErrorKind::Unavailable, "try again").with_retryable(true)
}

struct Breaking(Box<dyn ObjectReader>, bool);

#[async_trait]
impl ObjectReader for Breaking {
    fn metadata(&self) -> &ObjectMetadata {
        self.0.metadata()
    }

    async fn next_chunk(&mut self) -> Result<Option<Segment>> {
        if std::mem::replace(&mut self.1, true) {
            return Err(passing());
        }
        self.0.next_chunk().await
    }
}

#[async_trait]
impl ObjectStore for Troubled {
    async fn get(&self, uri: &str, range: ByteRange) -> Result<Box<dyn ObjectReader>> {
        let number = self.gets.fetch_add(1, Ordering::Relaxed) + 1;
        if let ByteRange::Bounded { start, end } = range {
            *self.asked.lock().unwrap() += end - start;
        }
        match (self.hook)(number) {
            Some(Trouble::Refused) => return Err(passing()),
            Some(Trouble::Denied) => return Err(Error::new(ErrorKind::AccessDenied, "no")),
            Some(Trouble::BreaksOff) => {
                let inner = self.inner.get(uri, range).await?;
                return Ok(Box::new(Breaking(inner, false)));
            }
            Some(Trouble::Replaced) => {
                self.inner.put(uri, vec![7; 150_000].into()).await?;
            }
            None => {}
        }
        self.inner.get(uri, range).await
    }

    async fn stat(&self, uri: &str) -> Result<ObjectMetadata> {
        self.inner.stat(uri).await
    }

    async fn create_writer(
        &self,
        uri: &str,
        options: Option<WriterOptions>,
    ) -> Result<Box<dyn ObjectWriter>> {
        self.inner.create_writer(uri, options).await
    }

    async fn put(&self, uri: &str, data: Segment) -> Result<ObjectMetadata> {
        self.inner.put(uri, data).await
    }

    async fn list(&self, prefix: &str) -> Result<Box<dyn ObjectLister>> {
        self.inner.list(prefix).await
    }

    async fn delete(&self, uri: &str) -> Result<()> {
        self.inner.delete(uri).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

fn data(len: u64) -> Vec<u8> {
    (0..len).map(|n| (n * n % 251) as u8).collect()
}

#[tokio::test]
async fn every_size_and_range_comes_in_order() {
    for len in [0, 1, PART - 1, PART, PART + 1, 7 * PART + 3] {
        let data = data(len);
        let store = Troubled::new(&data, |_| None).await;
        assert!(store.read(ByteRange::Full).await.unwrap() == data);
        let parts = len.div_ceil(PART);
        assert_eq!(store.gets.load(Ordering::Relaxed) as u64, parts);
    }
    let all = data(7 * PART);
    let store = Troubled::new(&all, |_| None).await;
    let bounded = ByteRange::Bounded {
        start: 5,
        end: 3 * PART,
    };
    let read = store.read(bounded).await.unwrap();
    assert!(read == all[5..3 * PART as usize]);
    let read = store.read(ByteRange::Last(PART + 1)).await.unwrap();
    assert!(read == all[6 * PART as usize - 1..]);
    let beyond = store.read(ByteRange::From(7 * PART)).await.unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn what_breaks_off_goes_on_where_it_stopped() {
    let data = data(5 * PART + 9);
    let store = Troubled::new(&data, |_| Some(Trouble::BreaksOff)).await;
    assert!(store.read(ByteRange::Full).await.unwrap() == data);
    // What the store itself has given up is not tried again.
    for (trouble, kind) in [
        (Trouble::Refused, ErrorKind::Unavailable),
        (Trouble::Denied, ErrorKind::AccessDenied),
    ] {
        let hook = move |number| (number == 2).then_some(trouble);
        let store = Troubled::new(&data, hook).await;
        let error = store.read(ByteRange::Full).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(error.uri(), Some(URI));
    }
}

/// By an object that has the bytes which are asked for next, and by one that has not.
#[tokio::test]
async fn an_object_that_is_replaced_meanwhile_is_noticed() {
    for number in [1, 2, 4] {
        let hook = move |n| (n == number).then_some(Trouble::Replaced);
        let store = Troubled::new(&data(8 * PART), hook).await;
        let error = store.read(ByteRange::Full).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SourceChanged, "{error}");
        assert!(error.message().contains("replaced"), "{error}");
    }
}

#[tokio::test]
async fn no_more_is_asked_for_than_there_is_room_for() {
    let data = data(50 * PART);
    for (concurrency, memory, parts) in [(3, 100 * PART, 3), (64, 5 * PART, 5), (64, 1, 1)] {
        let store = Troubled::new(&data, |_| None).await;
        let options = ReadOptions::default()
            .with_part_size(PART)
            .with_max_concurrency(concurrency)
            .with_memory(memory);
        let shared = Arc::new(store.clone());
        let mut reader = read_in_parts(shared, URI, ByteRange::Full, options)
            .await
            .unwrap();
        let mut taken = 0;
        for _ in 0..20 {
            // Time enough for any number of requests.
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            let held = *store.asked.lock().unwrap() - taken;
            assert!(held <= parts * PART, "{held} bytes");
            taken += reader.next_chunk().await.unwrap().unwrap().len();
        }
        assert!(store.gets.load(Ordering::Relaxed) as u64 >= parts);
    }
    for options in [
        ReadOptions::default().with_part_size(0),
        ReadOptions::default().with_max_concurrency(0),
    ] {
        let store = Arc::new(MemoryStore::new());
        let refused = read_in_parts(store, URI, ByteRange::Full, options).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[tokio::test]
async fn a_reader_that_is_dropped_ends_its_requests() {
    let store = Arc::new(Troubled::new(&data(8 * PART), |_| Some(Trouble::Refused)).await);
    let options = ReadOptions::default().with_part_size(PART);
    let reader = read_in_parts(store.clone(), URI, ByteRange::Full, options).await;
    tokio::task::yield_now().await;
    drop(reader);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(Arc::strong_count(&store), 1);
    assert_eq!(
        store.gets.load(Ordering::Relaxed),
        8,
        "none was tried again"
    );
}
