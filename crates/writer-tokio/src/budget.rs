//! One memory budget for all writers of a store.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use writer_core::{Error, ErrorKind, Page, Part, Result, number_from_env};

use crate::page::{BudgetPage, allocate};
use crate::pool::{Feeder, Held, Pool, Request};

/// Size in bytes of a page: the unit in which memory is admitted, filled and reused.
pub const PAGE_SIZE: usize = 256 * 1024;

/// How long a writer waits, with nothing at all moving in the store, before it is taken for stuck.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// The memory that all writers of one store share.
///
/// Pages of [`PAGE_SIZE`] bytes are allocated when they are first needed, kept when they come
/// back, and admitted before they are filled: a producer that is faster than its storage waits.
/// Segments that a producer owns are charged by their length, after the fact.
///
/// # Fairness
///
/// While memory is short, the writer whose part is fullest comes first, and as much as one part
/// is kept back for it alone: so one part after another is completed and sent, rather than every
/// writer being stuck with half a part.
///
/// The budget is exceeded only where waiting would never end: when nothing is in flight and the
/// task that waits is the one that would have to feed the others too (one task writing to a
/// thousand objects in turn), or when nothing in the store has moved for a second. The writer
/// then gets memory in steps of 16 KiB, so such a program holds, over the budget, what the open
/// parts of its writers hold.
#[derive(Clone)]
pub struct MemoryBudget(Arc<Pool>);

impl MemoryBudget {
    /// Size in bytes of a budget unless it is said: 128 MiB.
    pub const DEFAULT: u64 = 128 << 20;

    /// The smallest budget, in bytes: 1 MiB.
    pub const MIN: u64 = 1 << 20;

    /// The environment variable for the size of a store's budget, in bytes.
    pub const VAR: &'static str = "S3DLIO_PUT_MEMORY";

    /// A budget of `capacity` bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if that is less than [`MIN`](Self::MIN).
    pub fn new(capacity: u64) -> Result<Self> {
        if capacity < Self::MIN {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "a memory budget of {capacity} bytes is too small: expected at least {}",
                    Self::MIN
                ),
            ));
        }
        Ok(Self(Pool::new(capacity)))
    }

    /// A budget of the size that the environment variable [`VAR`](Self::VAR) says, or of
    /// [`DEFAULT`](Self::DEFAULT).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`], naming the variable, if it is no number or out of bounds.
    pub fn from_env() -> Result<Self> {
        let capacity = number_from_env(Self::VAR, Self::MIN, u64::MAX)?;
        Self::new(capacity.unwrap_or(Self::DEFAULT))
    }

    /// Size in bytes.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.0.capacity
    }

    /// Bytes that are admitted now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.lock().used
    }

    /// The most bytes that were admitted at once so far.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.0.lock().peak
    }

    #[cfg(feature = "compression")]
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.0
    }

    /// An account for one writer.
    #[must_use]
    pub fn open_account(&self) -> Account {
        let mut state = self.0.lock();
        state.accounts += 1;
        Account {
            id: state.accounts,
            credit: 0,
            linked: 0,
            busy: Arc::default(),
            held: Arc::default(),
            pool: Arc::clone(&self.0),
        }
    }
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("MemoryBudget")
            .field("capacity", &self.0.capacity)
            .field("used", &state.used)
            .field("peak", &state.peak)
            .field("waiting", &state.waiters.len())
            .finish()
    }
}

/// The part that a writer is filling, as far as the budget's choices depend on it.
#[derive(Clone, Copy, Debug)]
pub struct OpenPart {
    /// Bytes in it so far.
    pub len: u64,
    /// Bytes that it will have.
    pub target: u64,
}

/// One writer's account with a [`MemoryBudget`].
pub struct Account {
    id: u64,
    /// Bytes admitted for this writer that no page has used yet.
    credit: u64,
    /// Bytes charged for segments of the open part.
    linked: u64,
    /// True while a write to this writer is under way.
    busy: Arc<AtomicBool>,
    held: Arc<Held>,
    pool: Arc<Pool>,
}

impl Account {
    /// The most bytes that this writer held at once so far: pages that it was lent, as a whole, and
    /// segments that were charged. Not what is only set aside.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.held.peak()
    }

    /// Admits up to `bytes` for this writer alone, as far as they are free now; no page is
    /// allocated by it.
    pub fn set_aside(&mut self, bytes: u64) {
        let mut state = self.pool.lock();
        let free = self.pool.capacity.saturating_sub(state.used);
        let credit = bytes.next_multiple_of(PAGE_SIZE as u64).min(free);
        state.charge(credit);
        self.credit += credit;
    }

    /// Says that a write to this writer is under way until the guard is dropped: its task will
    /// come back for more, or complete the part.
    pub fn call(&self) -> Call {
        self.busy.store(true, Ordering::Relaxed);
        Call(Arc::clone(&self.busy))
    }

    /// A page of [`PAGE_SIZE`] bytes, or of `at_least`, if that is more; waits for memory.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`] if the budget as a whole is smaller than `at_least`, or than
    /// the open part.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub async fn page(&mut self, at_least: usize, open: OpenPart) -> Result<Box<dyn Page>> {
        let size = at_least.max(PAGE_SIZE);
        if at_least as u64 > self.pool.capacity {
            let capacity = self.pool.capacity;
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("the memory budget of {capacity} bytes can't lend {at_least} in one piece"),
            ));
        }
        self.check_size(open.target.max(size as u64))?;
        if let Some(page) = self.page_on_credit(size) {
            return Ok(page);
        }
        let granted = self.admit(size as u64, open).await;
        // A small page may be less than what was asked for; a caller that needs it in one piece
        // is charged for the rest.
        let granted = usize::try_from(granted).unwrap_or(size);
        if granted < at_least {
            self.pool.lock().charge((at_least - granted) as u64);
        }
        Ok(self.make_page(granted.max(at_least)))
    }

    /// A page of [`PAGE_SIZE`] bytes, if one is free now.
    #[must_use]
    pub fn try_page(&mut self, open: OpenPart) -> Option<Box<dyn Page>> {
        if let Some(page) = self.page_on_credit(PAGE_SIZE) {
            return Some(page);
        }
        let request = self.request(PAGE_SIZE as u64, open);
        let mut state = self.pool.lock();
        if !state.waiters.is_empty() || !state.may_have(&request, self.pool.capacity) {
            return None;
        }
        state.grant(&request, self.pool.capacity);
        drop(state);
        Some(self.make_page(PAGE_SIZE))
    }

    /// As [`set_aside`](Self::set_aside), but all of `bytes`, or nothing and false. What is set
    /// aside already counts.
    #[must_use]
    pub fn has_set_aside(&mut self, bytes: u64) -> bool {
        let bytes = bytes.next_multiple_of(PAGE_SIZE as u64);
        let missing = bytes.saturating_sub(self.credit);
        let mut state = self.pool.lock();
        if state.used.saturating_add(missing) > self.pool.capacity {
            return false;
        }
        state.charge(missing);
        self.credit += missing;
        true
    }

    /// Charges `bytes` of memory that the open part links, even beyond the budget: it is there
    /// already. The caller [`settle`](Self::settle)s next.
    pub fn charge(&mut self, bytes: u64) {
        self.linked += bytes;
        self.held.add(bytes);
        let set_aside = bytes.min(self.credit);
        self.credit -= set_aside;
        let mut state = self.pool.lock();
        state.charge(bytes - set_aside);
        state.trim(self.pool.capacity);
    }

    /// Waits until the budget is no longer exceeded.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub async fn settle(&mut self, open: OpenPart) {
        if self.pool.lock().used > self.pool.capacity {
            let _nothing = self.admit(0, open).await;
        }
    }

    /// Says that `part` is cut. What was [charged](Self::charge) for it is released when the
    /// returned guard is dropped. The caller [begins](InFlight::begin) it, unless it is held, and
    /// then [yields](Self::yield_privilege).
    pub fn part_leaves(&mut self, part: &Part) -> InFlight {
        let charge = part.charge().min(self.linked);
        self.linked -= charge;
        InFlight {
            charge,
            held: Arc::clone(&self.held),
            holds_memory: part.holds_memory(),
            begun: false,
            pool: Arc::clone(&self.pool),
        }
    }

    /// Gives up what was kept back for this writer's part, for the next one. After the part that
    /// has left counts as in flight: before, others would seem to wait in vain.
    pub fn yield_privilege(&self) {
        let mut state = self.pool.lock();
        state.holders.retain(|holder| holder.account != self.id);
        self.pool.pump(state);
    }

    /// Checks that a part of `size` bytes fits the budget.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`] if it does not.
    pub fn check_size(&self, size: u64) -> Result<()> {
        let capacity = self.pool.capacity;
        if size <= capacity {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::LimitExceeded,
            format!(
                "a part of {size} bytes does not fit the memory budget of {capacity} bytes: \
                 raise the budget to at least that, lower the part size, or write file ranges, \
                 which need no memory"
            ),
        ))
    }

    fn page_on_credit(&mut self, size: usize) -> Option<Box<dyn Page>> {
        self.credit = self.credit.checked_sub(size as u64)?;
        Some(self.make_page(size))
    }

    /// A page of `size` bytes, which are charged already.
    fn make_page(&self, size: usize) -> Box<dyn Page> {
        let pooled = (size == PAGE_SIZE)
            .then(|| self.pool.lock().free.pop())
            .flatten();
        let memory = pooled.unwrap_or_else(|| allocate(size));
        self.held.add(memory.len() as u64);
        let held = Arc::clone(&self.held);
        Box::new(BudgetPage::new(memory, held, Arc::clone(&self.pool)))
    }

    fn request(&self, bytes: u64, open: OpenPart) -> Request {
        Request {
            account: self.id,
            feeder: Feeder::current(),
            busy: Arc::clone(&self.busy),
            bytes,
            open,
        }
    }

    /// Waits until `bytes` may be charged, and charges them, or the less that is returned.
    async fn admit(&self, bytes: u64, open: OpenPart) -> u64 {
        let Some(mut waiting) = self.pool.ask(self.request(bytes, open)) else {
            return bytes;
        };
        loop {
            let moves = self.pool.lock().moves;
            match timeout(STUCK_AFTER, &mut waiting.answer).await {
                // The sender is dropped unused only with the pool, which `self` holds.
                Ok(_answered) => return waiting.take(),
                Err(_elapsed) => self.pool.rescue(moves),
            }
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.forget_part(self.id);
        state.used -= self.credit + self.linked;
        state.holders.retain(|holder| holder.account != self.id);
        self.pool.pump(state);
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("id", &self.id)
            .field("credit", &self.credit)
            .finish_non_exhaustive()
    }
}

/// A write that is under way; see [`Account::call`].
#[derive(Debug)]
#[must_use = "the write counts as under way until this is dropped"]
pub struct Call(Arc<AtomicBool>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A part that was cut, from the budget's point of view.
#[must_use = "the part's memory is released when this is dropped"]
pub struct InFlight {
    charge: u64,
    held: Arc<Held>,
    holds_memory: bool,
    begun: bool,
    pool: Arc<Pool>,
}

impl InFlight {
    /// Says that the part is on its way to the storage: its memory comes back without any
    /// producer's doing, so it is worth while to wait for it.
    pub fn begin(&mut self) {
        if self.holds_memory && !self.begun {
            self.begun = true;
            self.pool.lock().in_flight += 1;
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.held.sub(self.charge);
        let mut state = self.pool.lock();
        state.in_flight -= usize::from(self.begun);
        state.used -= self.charge;
        self.pool.pump(state);
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("charge", &self.charge)
            .finish_non_exhaustive()
    }
}
