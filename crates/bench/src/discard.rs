//! A writer whose parts go nowhere: what adapters and the intake cost by themselves.

use async_trait::async_trait;
use writer_core::{
    Error, ObjectMetadata, ObjectWriter, Page, PartLimits, PartPlan, Result, Segment, WriterOptions,
};
use writer_tokio::{Intake, LeavingPart, MemoryBudget, PartSink};

/// An [`ObjectWriter`] that cuts parts as a backend does, and forgets them.
#[derive(Debug)]
pub struct DiscardWriter {
    intake: Intake,
    sink: Discard,
}

impl DiscardWriter {
    /// A writer with default options, whose pages are of `budget`.
    ///
    /// # Errors
    ///
    /// If `budget` has no room for a part.
    pub fn new(budget: &MemoryBudget) -> Result<Self> {
        let options = WriterOptions::default();
        let plan = PartPlan::new(&options, PartLimits::S3, budget.capacity())?;
        Ok(Self {
            intake: Intake::new(plan, budget, 0),
            sink: Discard,
        })
    }
}

#[derive(Debug)]
struct Discard;

impl PartSink for Discard {
    fn accept(&mut self, part: LeavingPart) {
        drop(part);
    }

    fn failure(&self) -> Option<Error> {
        None
    }

    async fn failed(&self) -> Error {
        std::future::pending().await
    }

    fn fail(&mut self, _error: &Error) {}
}

#[async_trait]
impl ObjectWriter for DiscardWriter {
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
        Ok(ObjectMetadata::new(
            "discard://",
            self.intake.bytes_written(),
        ))
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_counted_and_its_memory_comes_back() {
        let budget = MemoryBudget::new(32 << 20).unwrap();
        let mut writer = Box::new(DiscardWriter::new(&budget).unwrap());
        for _ in 0..100 {
            writer.write_chunk(&[1; 1 << 20]).await.unwrap();
        }
        assert_eq!(writer.finish().await.unwrap().size, 100 << 20);
        assert_eq!(budget.used(), 0);
    }
}
