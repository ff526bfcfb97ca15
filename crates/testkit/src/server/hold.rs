//! Gates that keep answers back, so that a test can look at what is in flight.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::operation::Target;
use super::shared::lock;

/// Keeps the answers to some requests back until it is released or dropped.
#[derive(Debug)]
#[must_use = "dropping it releases the answers"]
pub struct Hold {
    gate: Arc<Gate>,
}

impl Hold {
    /// How many answers are held right now.
    pub fn held(&self) -> usize {
        self.gate.state.borrow().held
    }

    /// Waits until at least so many answers are held. Cancellation safe.
    pub async fn wait_for(&self, count: usize) {
        let mut state = self.gate.state.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = state.wait_for(|state| state.held >= count).await;
    }

    /// Lets the answers go, those held and those to come.
    pub fn release(self) {}
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.gate.state.send_modify(|state| state.released = true);
    }
}

/// The gates of one server.
#[derive(Debug, Default)]
pub(super) struct Holds(Mutex<Vec<Arc<Gate>>>);

#[derive(Debug)]
struct Gate {
    operation: &'static str,
    part: Option<i32>,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    held: usize,
    released: bool,
}

impl Holds {
    pub(super) fn add(&self, operation: &'static str, part: Option<i32>) -> Hold {
        let gate = Arc::new(Gate {
            operation,
            part,
            state: watch::Sender::default(),
        });
        let mut gates = lock(&self.0);
        gates.retain(|gate| !gate.state.borrow().released);
        gates.push(Arc::clone(&gate));
        Hold { gate }
    }

    /// Waits while a gate is in the way of the answer to this request.
    pub(super) async fn pass(&self, target: &Target) {
        let in_the_way: Vec<_> = lock(&self.0)
            .iter()
            .filter(|gate| gate.operation == target.operation)
            .filter(|gate| {
                gate.part
                    .is_none_or(|part| Some(part) == target.part_number)
            })
            .cloned()
            .collect();
        for gate in in_the_way {
            let _held = Held::at(&gate);
            let _ = gate
                .state
                .subscribe()
                .wait_for(|state| state.released)
                .await;
        }
    }
}

/// Counts one answer as held, also if its client goes away meanwhile.
struct Held<'a>(&'a Gate);

impl<'a> Held<'a> {
    fn at(gate: &'a Gate) -> Self {
        gate.state.send_modify(|state| state.held += 1);
        Self(gate)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.held -= 1);
    }
}
