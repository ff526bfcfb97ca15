//! The way in, shared by every backend: from a producer's writes to parts that leave.

use std::fmt;
use std::future::Future;

use writer_core::{Error, ErrorKind, Page, Part, PartPlan, PartSplitter, Result, Segment};

use crate::budget::{Account, InFlight, MemoryBudget, OpenPart};

/// Where the parts of one object go: a backend's writer.
pub trait PartSink: Send {
    /// The first byte was written and the object's size is known: what can be prepared, may be.
    fn begin(&mut self) {}

    /// Takes a part to be stored. Never waits: memory, which the part's guard accounts for, is
    /// what limits how many there are.
    fn accept(&mut self, part: LeavingPart);

    /// Why the object can't be stored any more, if that is so.
    fn failure(&self) -> Option<Error>;

    /// Resolves when [`failure`](Self::failure) becomes `Some`, and not before.
    fn failed(&self) -> impl Future<Output = Error> + Send;

    /// A write failed before its bytes became a part: nothing may be published.
    fn fail(&mut self, error: &Error);
}

/// A part with its share of the memory budget, which is free again when this is dropped.
#[derive(Debug)]
pub struct LeavingPart {
    // Dropped in this order: the pages are back before the part is no longer in flight.
    part: Part,
    in_flight: InFlight,
}

impl LeavingPart {
    /// The part.
    #[must_use]
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// Says that the part is on its way: nothing but the storage keeps its memory from coming
    /// back. A sink calls it at once, but for a part that it holds until the producer's next call.
    pub fn begin(&mut self) {
        self.in_flight.begin();
    }
}

/// Splits one producer's writes into parts within the memory budget, and hands them to a
/// [`PartSink`].
///
/// It keeps what [`ObjectWriter`](writer_core::ObjectWriter) promises about its calls: the first
/// error latches, `write_owned` takes its segment before it waits, and a `write_chunk` that was
/// dropped half way is noticed.
pub struct Intake {
    splitter: PartSplitter,
    account: Account,
    failed: Option<Error>,
    /// A `write_chunk` took some of its bytes and has not returned.
    torn: bool,
    begun: bool,
}

impl Intake {
    /// An intake for one object; `set_aside` bytes of the budget are kept for it, as far as they
    /// are free.
    #[must_use]
    pub fn new(plan: PartPlan, budget: &MemoryBudget, set_aside: u64) -> Self {
        let mut account = budget.open_account();
        account.set_aside(set_aside);
        Self {
            splitter: PartSplitter::new(plan),
            account,
            failed: None,
            torn: false,
            begun: false,
        }
    }

    /// The plan that the parts follow.
    #[must_use]
    pub fn plan(&self) -> &PartPlan {
        self.splitter.plan()
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.splitter.bytes_written()
    }

    /// Bytes that were copied so far; see [`PartSplitter::bytes_copied`].
    #[must_use]
    pub fn bytes_copied(&self) -> u64 {
        self.splitter.bytes_copied()
    }

    /// The most bytes of memory that the object's writer held at once so far; see
    /// [`Account::peak`].
    #[must_use]
    pub fn peak_held(&self) -> u64 {
        self.account.peak()
    }

    /// Bytes that a `write_chunk` can copy without asking for memory.
    #[must_use]
    pub fn spare_len(&self) -> u64 {
        self.splitter.spare_len() as u64
    }

    /// Admits `bytes` for the writes that follow, which then need not wait; false, and nothing is
    /// admitted, if there is no room for them now.
    #[must_use]
    pub fn set_aside(&mut self, bytes: u64) -> bool {
        self.account.has_set_aside(bytes)
    }

    /// [`ObjectWriter::write_chunk`](writer_core::ObjectWriter::write_chunk).
    ///
    /// # Errors
    ///
    /// The first error of this object, whatever it was.
    ///
    /// # Cancellation
    ///
    /// As the trait's: not safe, but noticed.
    pub async fn write_chunk<S: PartSink>(&mut self, sink: &mut S, chunk: &[u8]) -> Result<()> {
        self.enter(sink)?;
        let _call = self.account.call();
        let mut rest = chunk;
        while !rest.is_empty() {
            let taken = match self.splitter.write(rest) {
                Ok(taken) => taken,
                Err(error) => return Err(self.latch(sink, error)),
            };
            rest = &rest[taken..];
            self.begin(sink);
            self.drain(sink);
            if !rest.is_empty() {
                self.torn = rest.len() < chunk.len();
                let page = match self.page(sink, 0).await {
                    Ok(page) => page,
                    Err(error) => return Err(self.latch(sink, error)),
                };
                self.splitter.supply(page);
            }
        }
        self.torn = false;
        Ok(())
    }

    /// [`ObjectWriter::write_owned`](writer_core::ObjectWriter::write_owned).
    ///
    /// # Errors
    ///
    /// The first error of this object, whatever it was.
    ///
    /// # Cancellation
    ///
    /// Safe: the segment is taken before the first await.
    pub async fn write_owned<S: PartSink>(&mut self, sink: &mut S, segment: Segment) -> Result<()> {
        self.enter(sink)?;
        let _call = self.account.call();
        let (len, charge) = (segment.len(), segment.charge());
        if charge > 0
            && let Err(error) = self.account.check_size(self.open_part().target)
        {
            return Err(self.latch(sink, error));
        }
        if PartSplitter::would_copy(&segment)
            && len > self.splitter.spare_len() as u64
            && let Some(page) = self.account.try_page(self.open_part())
        {
            self.splitter.supply(page);
        }
        let copied = self.splitter.bytes_copied();
        if let Err(error) = self.splitter.push(segment) {
            return Err(self.latch(sink, error));
        }
        let linked = charge - charge.min(self.splitter.bytes_copied() - copied);
        if len > 0 {
            self.begin(sink);
        }
        if linked > 0 {
            self.account.charge(linked);
        }
        self.drain(sink);
        if linked > 0 {
            let open = self.open_part();
            tokio::select! {
                biased;
                () = self.account.settle(open) => {}
                error = sink.failed() => return Err(self.latch(sink, error)),
            }
        }
        Ok(())
    }

    /// [`ObjectWriter::reserve`](writer_core::ObjectWriter::reserve).
    ///
    /// # Errors
    ///
    /// The first error of this object, or
    /// [`LimitExceeded`](writer_core::ErrorKind::LimitExceeded), which does not latch.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub async fn reserve<S: PartSink>(
        &mut self,
        sink: &mut S,
        at_least: usize,
    ) -> Result<Box<dyn Page>> {
        self.enter(sink)?;
        let _call = self.account.call();
        self.page(sink, at_least).await
    }

    /// Hands over what is left, as the last part.
    ///
    /// # Errors
    ///
    /// The first error of this object, whatever it was.
    pub fn finish<S: PartSink>(&mut self, sink: &mut S) -> Result<()> {
        self.enter(sink)?;
        if let Err(error) = self.splitter.finish() {
            return Err(self.latch(sink, error));
        }
        self.drain(sink);
        Ok(())
    }

    fn enter<S: PartSink>(&mut self, sink: &mut S) -> Result<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if let Some(error) = sink.failure() {
            return Err(self.latch(sink, error));
        }
        if self.torn {
            let error = Error::new(
                ErrorKind::Interrupted,
                "an earlier write_chunk was dropped before it had taken all of its bytes",
            );
            return Err(self.latch(sink, error));
        }
        Ok(())
    }

    fn latch<S: PartSink>(&mut self, sink: &mut S, error: Error) -> Error {
        sink.fail(&error);
        self.failed = Some(error.clone());
        error
    }

    fn begin<S: PartSink>(&mut self, sink: &mut S) {
        if !self.begun && self.plan().total().is_some() {
            self.begun = true;
            sink.begin();
        }
    }

    fn drain<S: PartSink>(&mut self, sink: &mut S) {
        while let Some(part) = self.splitter.next_part() {
            let in_flight = self.account.part_leaves(&part);
            sink.accept(LeavingPart { part, in_flight });
            self.account.yield_privilege();
        }
    }

    async fn page<S: PartSink>(&mut self, sink: &S, at_least: usize) -> Result<Box<dyn Page>> {
        let open = self.open_part();
        tokio::select! {
            biased;
            page = self.account.page(at_least, open) => page,
            error = sink.failed() => Err(error),
        }
    }

    fn open_part(&self) -> OpenPart {
        let len = self.splitter.open_len();
        let target = self.splitter.open_target();
        // A last part may be known to stay smaller.
        let rest = self.plan().total().map_or(u64::MAX, |total| {
            total.saturating_sub(self.bytes_written() - len)
        });
        OpenPart {
            len,
            target: target.min(rest),
        }
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("splitter", &self.splitter)
            .field("account", &self.account)
            .field("failed", &self.failed)
            .field("torn", &self.torn)
            .finish_non_exhaustive()
    }
}
