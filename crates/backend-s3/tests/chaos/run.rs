//! One run: from a seed to a verdict.

use backend_s3::S3ObjectStore;
use writer_core::{ErrorKind, ObjectStore as _, Result};

use crate::act::{self, Done};
use crate::kind::{Kind, Operation};
use crate::plan::{Expect, Plan};
use crate::setup::Setup;
use crate::verdict::{Evidence, judge};
use crate::{runtime, source};

/// What became of a run without a violation.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) outcome: Outcome,
    pub(crate) injected: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Succeeded,
    Failed,
    Ambiguous,
    /// Dropped or cancelled.
    Left,
}

/// Runs `seed`; an error is a violation of what is promised.
pub(crate) async fn run(kind: Kind, operation: Operation, seed: u64) -> Result<Report, String> {
    let mut setup = Setup::draw(kind, operation, seed).await;
    let mut plan = Plan::arm(&mut setup);
    let (setup, store, done, by_client) = write(setup, &mut plan).await;
    let closed = store.close().await;
    let budget = store.budget().clone();
    setup.server.settled().await;
    let mut store = Some(store);
    if kind == Kind::RuntimeEnds
        && let Some(store) = store.take()
    {
        is_of_use(&setup, &store).await?;
        // With it go the connections that the old runtime left.
        drop(store);
        runtime::sweep(&setup.server).await;
    }
    let network = setup.network.as_ref().map_or(0, |n| n.injected());
    let expired = setup.rotating.as_ref().map_or(0, |r| r.expired());
    let evidence = Evidence {
        setup: &setup,
        plan: &plan,
        done: &done,
        closed: &closed,
        budget: &budget,
    };
    let outcome = judge(&evidence).await?;
    plan.disarm();
    if let Some(store) = store {
        is_of_use(&setup, &store).await?;
    }
    Ok(Report {
        outcome,
        injected: plan.injected() + network + expired + by_client,
    })
}

/// Writes as the kind of fault wants it; also gives how many faults were the client's.
async fn write(mut setup: Setup, plan: &mut Plan) -> (Setup, S3ObjectStore, Done, u64) {
    if setup.kind == Kind::RuntimeEnds {
        let (setup, store, done) = runtime::write(setup).await;
        let ended = !matches!(done, Done::Finished(Ok(_)));
        return (setup, store, done, u64::from(ended));
    }
    let store = setup.store().await;
    let done = match setup.kind {
        Kind::Dropped => act::write_dropped(&mut setup, &store).await,
        Kind::Cancelled => act::write_cancelled(&mut setup, &store).await,
        Kind::SourceChanges => {
            let changed = source::write(&mut setup, &store).await;
            let due = ErrorKind::SourceChanged;
            plan.expect = if changed.before_finish {
                Expect::Failure(due)
            } else {
                Expect::SuccessOr(due)
            };
            changed.done
        }
        _ => {
            let rng = setup.rng.fork();
            Done::Finished(act::write(&setup, &store, rng).await)
        }
    };
    let by_client = match (setup.kind, &done) {
        (Kind::SourceChanges, _) | (_, Done::Dropped | Done::Cancelled(_)) => 1,
        _ => 0,
    };
    (setup, store, done, by_client)
}

/// A store that has met a fault serves the next write.
async fn is_of_use(setup: &Setup, store: &S3ObjectStore) -> Result<(), String> {
    let put = store.put("s3://test/after", "after".into()).await;
    let stored = setup.server.object("after").map(|object| object.bytes());
    match (put, stored) {
        (Ok(_), Some(stored)) if stored == "after" => Ok(()),
        (put, stored) => Err(format!("the next write: {put:?}, stored {stored:?}")),
    }
}
