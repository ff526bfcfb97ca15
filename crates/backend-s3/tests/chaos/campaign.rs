//! Many runs against one kind of fault, and what became of them.

use std::env;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::kind::{Kind, Operation};
use crate::run::{Outcome, Report, run as run_one};

/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);

const USUAL_RUNS: u64 = 8;

/// As many runs must have met a fault at least once.
const ENOUGH: u64 = 8;

/// Violations that are told in full.
const TOLD: usize = 5;

/// Runs the campaign against `kind` for each of its operations.
pub(crate) fn run(kind: Kind) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let is_left_out = |variable: &str, name: &str| {
        env::var(variable).is_ok_and(|only| !only.is_empty() && only != name)
    };
    if is_left_out("CHAOS_FAULT", kind.name()) {
        return;
    }
    let mut violations = Vec::new();
    for operation in kind.operations() {
        if is_left_out("CHAOS_OPERATION", operation.name()) {
            continue;
        }
        let mut tally = runtime.block_on(campaign(kind, *operation));
        println!("{tally}");
        if tally.runs >= ENOUGH && tally.injected == 0 {
            let text = "no fault was injected in any run";
            violations.push(format!("{}, {}: {text}", kind.name(), operation.name()));
        }
        violations.append(&mut tally.violations);
    }
    assert!(
        violations.is_empty(),
        "{} violations:\n{}",
        violations.len(),
        violations[..violations.len().min(TOLD)].join("\n")
    );
}

async fn campaign(kind: Kind, operation: Operation) -> Tally {
    let first = number("CHAOS_SEED", 1);
    let runs = number("CHAOS_RUNS", USUAL_RUNS);
    let started = Instant::now();
    let places = Arc::new(Semaphore::new(kind.side_by_side()));
    let mut running = JoinSet::new();
    for seed in first..first + runs {
        let places = Arc::clone(&places);
        running.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            // In a task of its own, so that a panic is told with its seed.
            let one = tokio::spawn(run_one(kind, operation, seed));
            let abort = one.abort_handle();
            let report = match tokio::time::timeout(LIMIT, one).await {
                Ok(Ok(report)) => report,
                Ok(Err(panic)) => Err(format!("it panicked: {panic}")),
                Err(_elapsed) => {
                    abort.abort();
                    Err(format!("it hangs: no end after {} s", LIMIT.as_secs()))
                }
            };
            (seed, report)
        });
    }
    let mut tally = Tally::new(kind, operation);
    while let Some(done) = running.join_next().await {
        let (seed, report) = done.unwrap();
        tally.add(seed, report);
    }
    tally.took = started.elapsed();
    tally
}

fn number(variable: &str, usual: u64) -> u64 {
    match env::var(variable) {
        Ok(text) if !text.is_empty() => text.parse().expect(variable),
        _ => usual,
    }
}

/// One line of the table.
struct Tally {
    kind: Kind,
    operation: Operation,
    runs: u64,
    injected: u64,
    succeeded: u64,
    failed: u64,
    ambiguous: u64,
    left: u64,
    violations: Vec<String>,
    took: Duration,
}

impl Tally {
    fn new(kind: Kind, operation: Operation) -> Self {
        Self {
            kind,
            operation,
            runs: 0,
            injected: 0,
            succeeded: 0,
            failed: 0,
            ambiguous: 0,
            left: 0,
            violations: Vec::new(),
            took: Duration::ZERO,
        }
    }

    fn add(&mut self, seed: u64, report: Result<Report, String>) {
        self.runs += 1;
        let report = match report {
            Ok(report) => report,
            Err(violation) => {
                let (fault, operation) = (self.kind.name(), self.operation.name());
                self.violations.push(format!(
                    "{fault}, {operation}, seed {seed}: {violation}\n  again: CHAOS_FAULT={fault} \
                     CHAOS_OPERATION={operation} CHAOS_SEED={seed} CHAOS_RUNS=1 \
                     cargo test -p backend-s3 --test chaos {fault} -- --exact --nocapture"
                ));
                return;
            }
        };
        self.injected += report.injected;
        match report.outcome {
            Outcome::Succeeded => self.succeeded += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Ambiguous => self.ambiguous += 1,
            Outcome::Left => self.left += 1,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "| {:<20} | {:<6} | {:>6} | {:>8} | {:>6} | {:>6} | {:>9} | {:>6} | {:>10} | {:>7.1} |",
            self.kind.name(),
            self.operation.name(),
            self.runs,
            self.injected,
            self.succeeded,
            self.failed,
            self.ambiguous,
            self.left,
            self.violations.len(),
            self.took.as_secs_f64(),
        )
    }
}
