//! The memory budget under many writers: it holds, and nobody waits for ever.

#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;
use writer_core::{Error, ErrorKind, PartLimits, PartPlan, PartSplitter, Result, WriterOptions};
use writer_tokio::{Intake, LeavingPart, MemoryBudget, PAGE_SIZE, PartSink};

const MIB: u64 = 1 << 20;

/// Stores a part by keeping it for a moment.
#[derive(Clone, Default)]
struct SlowStorage {
    stored: Arc<AtomicU64>,
    failure: Option<Error>,
}

impl PartSink for SlowStorage {
    fn accept(&mut self, mut part: LeavingPart) {
        part.begin();
        let stored = Arc::clone(&self.stored);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            stored.fetch_add(part.part().len(), Ordering::Relaxed);
        });
    }

    fn failure(&self) -> Option<Error> {
        self.failure.clone()
    }

    async fn failed(&self) -> Error {
        std::future::pending().await
    }

    fn fail(&mut self, error: &Error) {
        self.failure = Some(error.clone());
    }
}

struct Writer {
    intake: Intake,
    storage: SlowStorage,
}

impl Writer {
    fn new(budget: &MemoryBudget, part_size: u64) -> Self {
        let options = WriterOptions::default().with_part_size(part_size);
        let plan = PartPlan::new(&options, PartLimits::NONE, budget.capacity()).unwrap();
        Self {
            intake: Intake::new(plan, budget, 0),
            storage: SlowStorage::default(),
        }
    }

    async fn write(&mut self, chunk: &[u8]) -> Result<()> {
        self.intake.write_chunk(&mut self.storage, chunk).await
    }

    async fn write_owned(&mut self, chunk: Vec<u8>) -> Result<()> {
        self.intake
            .write_owned(&mut self.storage, chunk.into())
            .await
    }

    fn finish(mut self) -> SlowStorage {
        self.intake.finish(&mut self.storage).unwrap();
        self.storage
    }
}

async fn within<T>(seconds: u64, work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(seconds), work)
        .await
        .expect("dead-locked")
}

async fn all_comes_back(budget: &MemoryBudget) {
    within(10, async {
        while budget.used() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_task_feeds_a_thousand_writers_in_turn() {
    let budget = MemoryBudget::new(16 * MIB).unwrap();
    let mut writers: Vec<_> = (0..1_000).map(|_| Writer::new(&budget, 8 * MIB)).collect();
    let chunk = vec![7; 30_000];
    within(60, async {
        for _ in 0..3 {
            for writer in &mut writers {
                writer.write(&chunk).await.unwrap();
            }
        }
    })
    .await;
    // What the open parts hold, in small pages, and not a page of 256 KiB for each.
    let most = 16 * MIB + 1_000 * 6 * 16_384;
    assert!(budget.peak() < most, "{}", budget.peak());
    for writer in writers {
        writer.finish();
    }
    all_comes_back(&budget).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_task_feeds_writers_through_many_parts_in_turn() {
    let budget = MemoryBudget::new(16 * MIB).unwrap();
    let mut writers: Vec<_> = (0..8).map(|_| Writer::new(&budget, 5 * MIB)).collect();
    let chunk = vec![7; 1_000_000];
    within(60, async {
        for _ in 0..24 {
            for writer in &mut writers {
                writer.write(&chunk).await.unwrap();
            }
        }
    })
    .await;
    for writer in writers {
        writer.finish();
    }
    all_comes_back(&budget).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_writers_stay_within_one_budget() {
    for (capacity, part) in [(16, 8), (16, 5), (64, 8), (128, 8)] {
        let budget = MemoryBudget::new(capacity * MIB).unwrap();
        let writers = (0..64).map(|seed| {
            let mut writer = Writer::new(&budget, part * MIB);
            tokio::spawn(async move {
                let chunk = vec![seed; 300_000];
                for _ in 0..40 {
                    writer.write(&chunk).await.unwrap();
                    tokio::task::yield_now().await;
                }
                assert_eq!(writer.intake.bytes_written(), 40 * 300_000);
                writer.finish();
            })
        });
        let writers: Vec<_> = writers.collect();
        within(60, async {
            for writer in writers {
                writer.await.unwrap();
            }
        })
        .await;
        let peak = budget.peak();
        assert!(peak <= budget.capacity(), "{peak} of {capacity} MiB");
        all_comes_back(&budget).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_joined_in_one_task_stay_within_the_budget() {
    let budget = MemoryBudget::new(32 * MIB).unwrap();
    let write = |mut writer: Writer| async move {
        writer.write(&vec![1; 20 << 20]).await.unwrap();
        writer.finish();
    };
    let mut writes: Vec<_> = (0..16)
        .map(|_| Box::pin(write(Writer::new(&budget, 8 * MIB))))
        .collect();
    let joined = poll_fn(|cx| {
        writes.retain_mut(|write| write.as_mut().poll(cx).is_pending());
        if writes.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    within(60, joined).await;
    assert!(budget.peak() <= budget.capacity(), "{}", budget.peak());
    all_comes_back(&budget).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn owned_segments_are_charged_until_they_are_stored() {
    let budget = MemoryBudget::new(16 * MIB).unwrap();
    let mut writer = Writer::new(&budget, 5 * MIB);
    for _ in 0..100 {
        let write = writer.write_owned(vec![1; 1 << 20]);
        within(10, write).await.unwrap();
        // The segment that was just taken is what may be over.
        assert!(budget.used() <= 17 * MIB);
    }
    assert_eq!(writer.intake.bytes_copied(), 0);
    let storage = writer.finish();
    all_comes_back(&budget).await;
    assert_eq!(storage.stored.load(Ordering::Relaxed), 100 * MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_larger_than_the_budget_passes() {
    let budget = MemoryBudget::new(16 * MIB).unwrap();
    let mut writer = Writer::new(&budget, 5 * MIB);
    let write = writer.write_owned(vec![1; 100 << 20]);
    within(10, write).await.unwrap();
    within(10, writer.write(b"and more")).await.unwrap();
    writer.finish();
    all_comes_back(&budget).await;
}

#[tokio::test]
async fn a_part_that_does_not_fit_says_how_much_it_needs() {
    let budget = MemoryBudget::new(16 * MIB).unwrap();
    let mut writer = Writer::new(&budget, 20 * MIB);
    let error = writer.write(b"x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    let text = error.to_string();
    assert!(
        text.contains("20971520") && text.contains("16777216"),
        "{text}"
    );
    assert_eq!(writer.write(b"x").await.unwrap_err().to_string(), text);
}

/// A part in flight, so that waiting is worth while.
fn in_flight(budget: &MemoryBudget) -> writer_tokio::InFlight {
    let plan = PartPlan::new(&WriterOptions::default(), PartLimits::NONE, MIB).unwrap();
    let mut splitter = PartSplitter::new(plan);
    splitter.push("x".into()).unwrap();
    splitter.finish().unwrap();
    let part = splitter.next_part().unwrap();
    let mut in_flight = budget.open_account().part_leaves(&part);
    in_flight.begin();
    in_flight
}

#[tokio::test]
async fn an_interrupted_chunk_is_noticed() {
    let budget = MemoryBudget::new(MIB).unwrap();
    let _in_flight = in_flight(&budget);
    let mut hog = budget.open_account();
    hog.set_aside(MIB - PAGE_SIZE as u64);
    let mut writer = Writer::new(&budget, 2 * PAGE_SIZE as u64);
    let chunk = vec![1; PAGE_SIZE + 1];
    let write = timeout(Duration::from_millis(20), writer.write(&chunk)).await;
    assert!(write.is_err(), "there is memory for one page only");
    let error = writer.write(b"x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    let error = writer.intake.finish(&mut writer.storage).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
}

#[tokio::test]
async fn an_owned_segment_is_taken_before_the_wait() {
    let budget = MemoryBudget::new(MIB).unwrap();
    let in_flight = in_flight(&budget);
    let mut hog = budget.open_account();
    hog.set_aside(MIB);
    let mut writer = Writer::new(&budget, MIB);
    let write = writer.write_owned(vec![1; 400_000]);
    assert!(timeout(Duration::from_millis(20), write).await.is_err());
    assert_eq!(writer.intake.bytes_written(), 400_000);
    drop((in_flight, hog));
    writer.write(b"goes on").await.unwrap();
    writer.finish();
    all_comes_back(&budget).await;
}

#[tokio::test]
async fn a_dropped_wait_gives_its_place_back() {
    let budget = MemoryBudget::new(MIB).unwrap();
    let in_flight = in_flight(&budget);
    let mut hog = budget.open_account();
    hog.set_aside(MIB);
    let mut writers: Vec<_> = (0..4).map(|_| Writer::new(&budget, MIB)).collect();
    for writer in &mut writers {
        let write = timeout(Duration::from_millis(2), writer.write(&[1; 100]));
        assert!(write.await.is_err());
    }
    drop(hog);
    within(1, writers[3].write(&[1; 100])).await.unwrap();
    drop(writers);
    drop(in_flight);
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn a_waiter_is_served_when_nothing_else_moves() {
    let budget = MemoryBudget::new(MIB).unwrap();
    let mut idle = Writer::new(&budget, MIB);
    // Another task's writer holds the privilege, and does nothing with it.
    let idle = tokio::spawn(async move {
        idle.write(&vec![1; 700_000]).await.unwrap();
        idle
    });
    let idle = idle.await.unwrap();
    let mut writer = Writer::new(&budget, MIB);
    within(10, writer.write(&vec![1; 700_000])).await.unwrap();
    drop((idle, writer));
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn memory_that_is_set_aside_is_not_given_to_others() {
    let budget = MemoryBudget::new(MIB).unwrap();
    let mut first = budget.open_account();
    first.set_aside(MIB / 2);
    let mut second = budget.open_account();
    assert!(!second.has_set_aside(MIB / 4 * 3));
    assert!(second.has_set_aside(MIB / 2));
    drop(first);
    assert!(second.has_set_aside(MIB));
    drop(second);
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_budget_that_is_too_small_is_refused() {
    let error = MemoryBudget::new(1_000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("1000"), "{error}");
}

#[tokio::test]
async fn each_writer_knows_the_most_that_it_held() {
    let budget = MemoryBudget::new(16 * MIB).unwrap();
    let mut one = Writer::new(&budget, MIB);
    let mut other = Writer::new(&budget, MIB);
    for _ in 0..8 {
        let owned = vec![1; 2 * PAGE_SIZE].into();
        one.intake
            .write_owned(&mut one.storage, owned)
            .await
            .unwrap();
        within(5, all_but(&budget, MIB)).await;
    }
    other
        .intake
        .write_chunk(&mut other.storage, b"x")
        .await
        .unwrap();
    // A full part leaves with the byte after it.
    let most = MIB + 2 * PAGE_SIZE as u64;
    assert_eq!(one.intake.peak_held(), most, "one part, and what follows");
    assert_eq!(other.intake.peak_held(), PAGE_SIZE as u64);
}

/// Waits until no more than `bytes` are used.
async fn all_but(budget: &MemoryBudget, bytes: u64) {
    while budget.used() > bytes {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
