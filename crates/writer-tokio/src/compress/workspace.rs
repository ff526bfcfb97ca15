//! Codecs that take more memory than comes beside the budget, one after another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use writer_core::{Error, ErrorKind, Result};

use crate::budget::MemoryBudget;
use crate::pool::{Feeder, Pool};

/// What a codec may take beside the budget, in bytes: that of Zstandard's default level, and
/// what is faster; gzip.
const BESIDE: u64 = 4 << 20;

/// How long a codec waits, with nothing at all moving in the store, before it gets its memory
/// beyond its share: whoever holds the rest may wait for this very writer.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// Codecs end seldom, and whoever waits for one waits for seconds.
const LOOK_EVERY: Duration = Duration::from_millis(20);

static NEXT: AtomicU64 = AtomicU64::new(0);

/// What a codec is going to need.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    budget: MemoryBudget,
    bytes: u64,
}

impl Wanted {
    /// A request for `bytes`; `None` if they come beside the budget.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`] for more than half of the budget: the rest is for parts.
    pub(super) fn new(budget: &MemoryBudget, bytes: u64, what: &str) -> Result<Option<Self>> {
        if bytes <= BESIDE {
            return Ok(None);
        }
        let capacity = budget.capacity();
        if bytes > capacity / 2 {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!(
                    "{what} takes {bytes} bytes, and may take half of the memory budget of \
                     {capacity}: choose a lower level, fewer threads, or a budget of at least {}",
                    bytes.saturating_mul(2)
                ),
            ));
        }
        let budget = budget.clone();
        Ok(Some(Self { budget, bytes }))
    }

    /// Waits for the memory: codecs together get half of the budget, as far as it is free. One
    /// gets more only where waiting might never end: if the task that asks feeds another of them,
    /// too, or nothing in the store has moved for a second, with nothing in flight.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub(super) async fn get(&self) -> Workspace {
        let pool = self.budget.pool();
        let feeder = Feeder::current();
        let (mut moves, mut since) = (None, Instant::now());
        loop {
            {
                let mut state = pool.lock();
                let spaces = &state.workspaces;
                let taken: u64 = spaces.iter().map(|space| space.bytes).sum();
                let fits = taken + self.bytes <= pool.capacity / 2
                    && state.used + self.bytes <= pool.capacity;
                let is_own = spaces.iter().any(|space| space.feeder == feeder);
                let is_stuck = moves == Some(state.moves)
                    && state.in_flight == 0
                    && since.elapsed() >= STUCK_AFTER;
                if fits || is_own || is_stuck {
                    let id = NEXT.fetch_add(1, Ordering::Relaxed);
                    let bytes = self.bytes;
                    state.workspaces.push(Space { id, bytes, feeder });
                    // So the next that is stuck waits for a second, too.
                    state.moves += 1;
                    state.charge(bytes);
                    state.trim(pool.capacity);
                    let pool = Arc::clone(pool);
                    return Workspace { id, bytes, pool };
                }
                if moves != Some(state.moves) {
                    (moves, since) = (Some(state.moves), Instant::now());
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// One codec's memory, as the pool knows of it.
pub(crate) struct Space {
    id: u64,
    bytes: u64,
    feeder: Feeder,
}

/// Memory that is charged until this is dropped.
pub(super) struct Workspace {
    id: u64,
    bytes: u64,
    pool: Arc<Pool>,
}

impl Workspace {
    /// Its codec has done something: who waits for it is not stuck.
    pub(super) fn worked(&self) {
        self.pool.lock().moves += 1;
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.workspaces.retain(|space| space.id != self.id);
        state.used -= self.bytes;
        self.pool.pump(state);
    }
}
