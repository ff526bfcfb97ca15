//! How many bodies one store sends at once: a ceiling, and what the service bears.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The lanes of one store.
///
/// The limit begins at the ceiling. An answer that asks to slow down halves it, once for all the
/// requests that were on their way together; every body that is stored adds a share of one lane,
/// so that a round of them adds one ("additive increase, multiplicative decrease", as TCP does).
#[derive(Clone, Debug)]
pub(crate) struct Lanes(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    ceiling: f64,
    adapts: bool,
    limit: f64,
    taken: usize,
    /// Counts how often the limit was lowered.
    round: u64,
    waiting: VecDeque<oneshot::Sender<Lane>>,
}

impl Lanes {
    /// Up to `ceiling` lanes; the number falls and rises if `adapts`.
    pub(crate) fn new(ceiling: usize, adapts: bool) -> Self {
        let ceiling = ceiling.max(1) as f64;
        Self(Arc::new(Mutex::new(State {
            ceiling,
            adapts,
            limit: ceiling,
            taken: 0,
            round: 0,
            waiting: VecDeque::new(),
        })))
    }

    /// A lane, as soon as one is free.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub(crate) async fn enter(&self) -> Lane {
        let turn = {
            let mut state = self.lock();
            if state.has_room() && state.waiting.is_empty() {
                return self.take(&mut state);
            }
            let (sender, turn) = oneshot::channel();
            state.waiting.push_back(sender);
            turn
        };
        match turn.await {
            Ok(lane) => lane,
            // Senders are used before they are dropped; were it otherwise, one more is no harm.
            Err(_dropped) => self.take(&mut self.lock()),
        }
    }

    fn take(&self, state: &mut State) -> Lane {
        state.taken += 1;
        Lane {
            lanes: self.clone(),
            round: state.round,
        }
    }

    /// Lets those in whose turn it is. A lane that nobody takes comes back by being dropped,
    /// which needs the lock: so it is dropped after that.
    fn admit(&self, mut state: MutexGuard<'_, State>) {
        let mut unwanted = Vec::new();
        while state.has_room()
            && let Some(waiting) = state.waiting.pop_front()
        {
            // Those that were given up would come back one within the other.
            if waiting.is_closed() {
                continue;
            }
            let lane = self.take(&mut state);
            unwanted.extend(waiting.send(lane).err());
        }
        drop(state);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self) -> bool {
        (self.taken as f64) < self.limit.floor()
    }
}

/// The right to send one body.
#[derive(Debug)]
pub(crate) struct Lane {
    lanes: Lanes,
    round: u64,
}

impl Lane {
    /// The body is stored.
    pub(crate) fn went_well(&self) {
        let mut state = self.lanes.lock();
        state.limit = (state.limit + 1.0 / state.limit).min(state.ceiling);
    }

    /// The service asked to slow down.
    pub(crate) fn was_too_much(&self) {
        let mut state = self.lanes.lock();
        // What was on its way when the limit was lowered says nothing of the lower one.
        if state.adapts && self.round == state.round {
            state.limit = (state.limit / 2.0).max(1.0);
            state.round += 1;
            tracing::debug!(limit = state.limit, "the service asks to slow down");
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut state = self.lanes.lock();
        state.taken -= 1;
        self.lanes.admit(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(lanes: &Lanes) -> f64 {
        lanes.lock().limit
    }

    #[tokio::test]
    async fn no_more_than_the_ceiling_and_in_turn() {
        let lanes = Lanes::new(2, true);
        let (first, second) = (lanes.enter().await, lanes.enter().await);
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..3)
            .map(|number| {
                let (lanes, order) = (lanes.clone(), Arc::clone(&order));
                tokio::spawn(async move {
                    let _lane = lanes.enter().await;
                    order.lock().unwrap().push(number);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(order.lock().unwrap().is_empty());
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
        drop(second);
        assert_eq!(lanes.lock().taken, 0);
    }

    #[tokio::test]
    async fn who_gives_up_waiting_takes_no_lane_along() {
        let lanes = Lanes::new(1, true);
        let lane = lanes.enter().await;
        let (a, b) = (lanes.clone(), lanes.clone());
        let gone = tokio::spawn(async move { drop(a.enter().await) });
        let patient = tokio::spawn(async move { drop(b.enter().await) });
        tokio::task::yield_now().await;
        gone.abort();
        tokio::task::yield_now().await;
        drop(lane);
        patient.await.unwrap();
        assert_eq!(lanes.lock().taken, 0);
    }

    #[tokio::test]
    async fn a_burst_of_refusals_halves_once_and_success_recovers() {
        let lanes = Lanes::new(64, true);
        let mut together = Vec::new();
        for _ in 0..64 {
            together.push(lanes.enter().await);
        }
        together.iter().for_each(Lane::was_too_much);
        assert_eq!(limit(&lanes), 32.0);
        drop(together);
        let next = lanes.enter().await;
        next.was_too_much();
        assert_eq!(limit(&lanes), 16.0);
        (0..17).for_each(|_| next.went_well());
        assert!((17.0..17.1).contains(&limit(&lanes)), "{}", limit(&lanes));
        (0..10_000).for_each(|_| next.went_well());
        assert_eq!(limit(&lanes), 64.0);
    }

    #[tokio::test]
    async fn one_lane_always_remains() {
        let lanes = Lanes::new(1, true);
        for _ in 0..3 {
            lanes.enter().await.was_too_much();
        }
        drop(lanes.enter().await);
        assert_eq!(limit(&lanes), 1.0);
    }
}
