//! Who gets memory next: the state behind a budget, and the policy.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use memmap2::MmapMut;
use tokio::sync::oneshot;
use tokio::task;

use crate::budget::{OpenPart, PAGE_SIZE};

/// Size in bytes of the page that a writer gets where the budget is used up and nothing in it
/// can come free without that writer's own progress.
const SMALL_PAGE: usize = 16 * 1024;

/// What budget, accounts, pages and parts in flight share.
pub(crate) struct Pool {
    pub(crate) capacity: u64,
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    /// Bytes admitted: pages that are out, credit, and charged segments.
    pub(crate) used: u64,
    pub(crate) peak: u64,
    /// Pages that came back, the warmest last.
    pub(crate) free: Vec<MmapMut>,
    /// Parts in flight that hold memory, which comes back without any producer's doing.
    pub(crate) in_flight: usize,
    /// What the open part of each writer needs, and the most that any does: this much is kept
    /// back for one of them.
    pub(crate) needs: HashMap<u64, u64>,
    pub(crate) kept_back: u64,
    /// Who may use what is kept back; more than one only after someone was stuck.
    pub(crate) holders: Vec<Holder>,
    pub(crate) waiters: Vec<Waiter>,
    pub(crate) accounts: u64,
    pub(crate) tickets: u64,
    /// Counts releases, and what codecs do.
    pub(crate) moves: u64,
    /// Memory of codecs, which is charged as a whole.
    #[cfg(feature = "compression")]
    pub(crate) workspaces: Vec<crate::compress::Space>,
}

pub(crate) struct Holder {
    pub(crate) account: u64,
    pub(crate) feeder: Feeder,
    pub(crate) busy: Arc<AtomicBool>,
}

pub(crate) struct Waiter {
    ticket: u64,
    request: Request,
    granted: Arc<AtomicU64>,
    answer: oneshot::Sender<()>,
}

#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) account: u64,
    pub(crate) feeder: Feeder,
    pub(crate) busy: Arc<AtomicBool>,
    /// 0 asks for nothing but that the budget is no longer exceeded.
    pub(crate) bytes: u64,
    pub(crate) open: OpenPart,
}

/// What one writer holds of the budget: pages that are out, and charged segments.
#[derive(Debug, Default)]
pub(crate) struct Held {
    now: AtomicU64,
    peak: AtomicU64,
}

impl Held {
    pub(crate) fn add(&self, bytes: u64) {
        let now = self.now.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(now, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, bytes: u64) {
        self.now.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

/// Who calls: a writer can't make progress while the task that feeds it waits for another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feeder {
    Task(task::Id),
    Thread(ThreadId),
}

impl Feeder {
    pub(crate) fn current() -> Self {
        task::try_id().map_or_else(|| Self::Thread(thread::current().id()), Self::Task)
    }
}

/// A place in the queue; a future that is dropped leaves it, and gives back what it was granted.
pub(crate) struct Waiting<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) ticket: u64,
    pub(crate) granted: Arc<AtomicU64>,
    pub(crate) answer: oneshot::Receiver<()>,
}

impl Waiting<'_> {
    pub(crate) fn take(&self) -> u64 {
        self.granted.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.waiters.retain(|waiter| waiter.ticket != self.ticket);
        state.used -= self.take();
        self.pool.pump(state);
    }
}

impl Pool {
    pub(crate) fn new(capacity: u64) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            state: Mutex::default(),
        })
    }

    /// Takes back the memory of a page.
    pub(crate) fn release_page(&self, memory: MmapMut) {
        let mut state = self.lock();
        // Pages in unit tests come from nowhere and were never charged.
        state.used = state.used.saturating_sub(memory.len() as u64);
        let kept = (state.free.len() as u64 + 1) * PAGE_SIZE as u64;
        if memory.len() == PAGE_SIZE && state.used + kept <= self.capacity {
            state.free.push(memory);
        }
        self.pump(state);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Grants `request` now (`None`), or queues it.
    pub(crate) fn ask(&self, request: Request) -> Option<Waiting<'_>> {
        let mut state = self.lock();
        state.note_part(&request, self.capacity);
        if state.waiters.is_empty() && state.may_have(&request, self.capacity) {
            state.grant(&request, self.capacity);
            return None;
        }
        let (sender, answer) = oneshot::channel();
        let granted = Arc::new(AtomicU64::new(0));
        state.tickets += 1;
        let ticket = state.tickets;
        state.waiters.push(Waiter {
            ticket,
            request,
            granted: Arc::clone(&granted),
            answer: sender,
        });
        self.pump(state);
        Some(Waiting {
            pool: self,
            ticket,
            granted,
            answer,
        })
    }

    /// Serves whoever can be served after a change.
    pub(crate) fn pump(&self, mut state: MutexGuard<'_, State>) {
        state.moves += 1;
        let served = state.serve(self.capacity);
        // An answer wakes a task, and an executor may run it at once: not under the lock.
        drop(state);
        for answer in served {
            let _nobody_waits = answer.send(());
        }
    }

    /// Takes the privilege from a writer that does nothing with it, if nothing has moved since
    /// `moves` and nothing is in flight; someone who waits gets it.
    pub(crate) fn rescue(&self, moves: u64) {
        let mut state = self.lock();
        if state.moves == moves && state.in_flight == 0 {
            state.holders.clear();
            self.pump(state);
        }
    }
}

impl State {
    pub(crate) fn charge(&mut self, bytes: u64) {
        self.used += bytes;
        self.peak = self.peak.max(self.used);
    }

    /// Lets go of free pages that would not fit the budget together with what is used.
    pub(crate) fn trim(&mut self, capacity: u64) {
        let fits = capacity.saturating_sub(self.used) / PAGE_SIZE as u64;
        self.free
            .truncate(usize::try_from(fits).unwrap_or(usize::MAX));
    }

    /// Notes what the open part of the writer that asks needs.
    fn note_part(&mut self, request: &Request, capacity: u64) {
        // The first part of an object of unknown size leaves with the byte after it, which
        // needs a page more.
        let part = request.open.target.saturating_add(PAGE_SIZE as u64);
        let need = part.min(capacity);
        match self.needs.insert(request.account, need) {
            Some(before) if before > need => self.find_largest_need(before),
            _ => self.kept_back = self.kept_back.max(need),
        }
    }

    pub(crate) fn forget_part(&mut self, account: u64) {
        if let Some(before) = self.needs.remove(&account) {
            self.find_largest_need(before);
        }
    }

    /// Looks for the largest need, if it was the one that is gone.
    fn find_largest_need(&mut self, gone: u64) {
        if gone == self.kept_back {
            self.kept_back = self.needs.values().copied().max().unwrap_or(0);
        }
    }

    /// What all writers may use; the rest is for the one that holds the privilege.
    fn shared(&self, capacity: u64) -> u64 {
        capacity.saturating_sub(self.kept_back)
    }

    /// True if `request` can be granted within the budget.
    pub(crate) fn may_have(&self, request: &Request, capacity: u64) -> bool {
        let used = self.used.saturating_add(request.bytes);
        let nobody_else = self
            .holders
            .iter()
            .all(|holder| holder.account == request.account);
        used <= self.shared(capacity) || (used <= capacity && (nobody_else || request.bytes == 0))
    }

    /// True if no memory can come back before `request` is granted: nothing is in flight, and
    /// whoever has the privilege waits for the very task that asks.
    fn is_stuck(&self, request: &Request) -> bool {
        let cannot_move = |holder: &Holder| {
            holder.account == request.account
                || (holder.feeder == request.feeder && !holder.busy.load(Ordering::Relaxed))
        };
        self.in_flight == 0 && self.holders.iter().all(cannot_move)
    }

    pub(crate) fn grant(&mut self, request: &Request, capacity: u64) {
        self.charge(request.bytes);
        let holds = self.holds(request.account);
        if !holds && self.used > self.shared(capacity) {
            self.holders.push(Holder {
                account: request.account,
                feeder: request.feeder,
                busy: Arc::clone(&request.busy),
            });
        }
    }

    fn holds(&self, account: u64) -> bool {
        self.holders.iter().any(|holder| holder.account == account)
    }

    fn serve(&mut self, capacity: u64) -> Vec<oneshot::Sender<()>> {
        let mut served = Vec::new();
        while let Some((index, bytes)) = self.next_waiter(capacity) {
            let mut waiter = self.waiters.swap_remove(index);
            waiter.request.bytes = bytes;
            self.grant(&waiter.request, capacity);
            waiter.granted.store(bytes, Ordering::Relaxed);
            served.push(waiter.answer);
        }
        served
    }

    /// The waiter to serve next, and how many bytes it gets: whoever has the privilege, then
    /// whose part is fullest, then who came first.
    fn next_waiter(&self, capacity: u64) -> Option<(usize, u64)> {
        let rank = |waiter: &Waiter| {
            let request = &waiter.request;
            let holds = self.holds(request.account);
            (holds, request.open.len, Reverse(waiter.ticket))
        };
        let waiters = self.waiters.iter().enumerate();
        let (index, waiter) = waiters.max_by_key(|(_, waiter)| rank(waiter))?;
        let request = &waiter.request;
        if self.may_have(request, capacity) {
            return Some((index, request.bytes));
        }
        self.is_stuck(request)
            .then(|| (index, request.bytes.min(SMALL_PAGE as u64)))
    }
}
