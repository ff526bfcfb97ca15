//! Memory, and turns of other tasks.

use super::*;

/// An inner writer with a real intake, whose storage is as fast as can be.
struct Discarding {
    intake: Intake,
    sink: Discard,
}

#[derive(Default)]
struct Discard {
    stored: u64,
}

impl PartSink for Discard {
    fn accept(&mut self, part: LeavingPart) {
        self.stored += part.part().len();
    }

    fn failure(&self) -> Option<Error> {
        None
    }

    fn failed(&self) -> impl Future<Output = Error> + Send {
        std::future::pending()
    }

    fn fail(&mut self, _error: &Error) {}
}

impl Discarding {
    fn open(budget: &MemoryBudget, options: &WriterOptions) -> Result<Box<dyn ObjectWriter>> {
        let plan = PartPlan::new(options, PartLimits::NONE, budget.capacity())?;
        let intake = Intake::new(plan, budget, 0);
        let sink = Discard::default();
        Ok(Box::new(Self { intake, sink }))
    }
}

#[async_trait]
impl ObjectWriter for Discarding {
    async fn write_chunk(&mut self, chunk: &[u8]) -> Result<()> {
        self.intake.write_chunk(&mut self.sink, chunk).await
    }

    async fn write_owned(&mut self, segment: Segment) -> Result<()> {
        self.intake.write_owned(&mut self.sink, segment).await
    }

    async fn reserve(&mut self, at_least: usize) -> Result<Box<dyn Page>> {
        self.intake.reserve(&mut self.sink, at_least).await
    }

    fn bytes_written(&self) -> u64 {
        self.intake.bytes_written()
    }

    async fn finish(mut self: Box<Self>) -> Result<ObjectMetadata> {
        self.intake.finish(&mut self.sink)?;
        Ok(ObjectMetadata::new("nowhere:", self.sink.stored))
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

fn discarding(name: &str, budget: &MemoryBudget) -> Box<dyn ObjectWriter> {
    let options = WriterOptions::default().with_part_size(256 << 10);
    let inner = budget.clone();
    open_writer(name, options, budget, move |options| {
        Discarding::open(&inner, &options)
    })
    .unwrap()
}

#[tokio::test]
async fn sixty_four_mebibytes_go_through_one() {
    for (codec, name) in CODECS {
        // gzip without optimisation takes its time.
        let size = if codec == Codec::Zstd {
            64 << 20
        } else {
            8 << 20
        };
        for data in [text(size / 8), random(size / 8, 17)] {
            let budget = MemoryBudget::new(1 << 20).unwrap();
            let mut writer = discarding(name, &budget);
            for round in 0..8 {
                if round % 2 == 0 {
                    writer.write_chunk(&data).await.unwrap();
                    continue;
                }
                for bytes in data.chunks(100_000) {
                    let mut page = writer.reserve(bytes.len()).await.unwrap();
                    page.spare_mut()[..bytes.len()].copy_from_slice(bytes);
                    writer.write_owned(page.split(bytes.len())).await.unwrap();
                }
            }
            assert_eq!(writer.bytes_written(), size as u64);
            let receipt = writer.finish().await.unwrap();
            assert!(receipt.size > 0);
            assert!(budget.peak() <= budget.capacity(), "{codec:?}: {budget:?}");
            assert_eq!(budget.used(), 0);
        }
    }
}

#[tokio::test]
async fn one_task_can_feed_more_writers_than_the_budget_has_pages() {
    let budget = MemoryBudget::new(1 << 20).unwrap();
    let mut writers: Vec<_> = (0..12).map(|_| discarding("a.zst", &budget)).collect();
    let data = random(600_000, 19);
    for bytes in data.chunks(100_000) {
        for writer in &mut writers {
            writer.write_chunk(bytes).await.unwrap();
        }
    }
    for writer in writers {
        assert!(writer.finish().await.unwrap().size > 600_000);
    }
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn other_tasks_have_their_turn_while_one_compresses() {
    let log = Log::default();
    let mut writer = log.writer("a.zst", WriterOptions::default());
    let turns = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&turns);
    let other = tokio::spawn(async move {
        loop {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    writer.write_chunk(&text(4 << 20)).await.unwrap();
    other.abort();
    let turns = turns.load(std::sync::atomic::Ordering::Relaxed);
    assert!(turns >= 30, "{turns} turns in 32 slices");
}
