//! The suite that every backend runs: the contract of the core's traits, as checks.
//!
//! A backend says how its store is reached, as a [`Subject`], and either runs everything at once
//! with [`run`] or lets [`conformance_tests!`](crate::conformance_tests) make one test of each
//! check. The suite goes through the traits alone; a subject may lend it a look behind them
//! ([`Subject::leftovers`], [`Subject::arrived`]), and what needs one is left out
//! otherwise.
//!
//! Contents are random bytes, so that two parts never look alike, and are compared byte for byte.
//! A failure names its seed; [`Subject::with_seed`] repeats it.
//!
//! ```
//! use std::sync::Arc;
//! use testkit::{MemoryStore, conformance::{self, Subject}};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let store = Arc::new(MemoryStore::new());
//! let subject = Subject::new(store.clone(), "memory://suite/", 4 * 1024).with_leftovers({
//!     let store = store.clone();
//!     move || { let store = store.clone(); async move { store.staged() } }
//! });
//! let outcome = conformance::run_check("ranges", &subject).await;
//! assert_eq!(outcome, conformance::Outcome::Passed);
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```

mod attributes;
mod cancellation;
mod cleanup;
mod conditions;
mod context;
mod feed;
mod listing;
mod many;
mod names;
mod options;
mod publishing;
mod reading;
mod subject;
mod watching;
mod writing;

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use writer_core::BoxFuture;

use context::{Checked, Context, Stop};
pub use subject::{Arrived, Leftovers, Profile, Subject};

/// The one list of checks: [`checks`] and `conformance_tests!` are both made from it.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_list {
    ($callback:path, $($argument:tt)*) => {
        $callback! { ($($argument)*)
            writing {
                chunk_whole chunk_random chunk_bytewise chunk_huge
                owned_whole owned_part_by_part owned_unaligned owned_tiny owned_huge owners_of_any_kind
                reserved_pages reserve_keeps_its_word
                file_whole file_ranges_out_of_order file_cursor_is_nobodys file_with_holes
                mixed_sources empty_writes_change_nothing
                more_than_expected_is_refused less_than_expected_is_refused
            }
            reading { put_buffered missing_is_not_found ranges ranges_past_the_end delete_removes }
            listing { list_finds_every_level list_prefix_is_literal list_of_nothing list_of_many_pages }
            names { names_are_literal }
            publishing {
                visible_only_after_finish replaced_whole full_parts_leave_while_idle
                writers_of_one_object receipt_matches_stat
            }
            cleanup {
                cancel_leaves_nothing drop_leaves_nothing dropped_cancel_leaves_nothing
                dropped_finish_is_all_or_nothing failed_finish_leaves_nothing
                short_file_leaves_nothing dropped_create_leaves_nothing close_spares_open_writers
            }
            cancellation { dropped_owned_write_counts dropped_chunk_write_interrupts errors_latch }
            conditions {
                create_only_refuses create_only_race
                replace_if_unchanged replace_if_changed_is_refused
                replace_if_missing_is_refused replace_if_unchanged_race
                expected_checksum_is_kept
            }
            attributes {
                content_type_is_kept content_encoding_is_kept user_metadata_is_kept
                headers_are_kept tags_are_kept_or_refused storage_class_is_kept_or_refused
            }
            options {
                environment_is_the_default invalid_options_are_refused foreign_uris_are_refused
                compression_off_is_literal options_do_not_change_content
            }
            watching { observer_is_told observer_is_told_of_the_end receipt_counts }
            many { many_tasks one_task_many_writers writers_move_between_tasks }
        }
    };
}

macro_rules! define_checks {
    (() $($module:ident { $($name:ident)* })*) => {
        static CHECKS: &[Check] = &[$($(
            Check { name: stringify!($name), run: |context| Box::pin($module::$name(context)) },
        )*)*];
    };
}

crate::__conformance_list!(define_checks,);

/// Makes one `#[tokio::test(flavor = "multi_thread")]` of every check of the suite.
///
/// Takes the path of an `async fn() -> Subject`, which is called for each test: the tests run on
/// runtimes of their own, at the same time. The crate needs tokio with `macros` and
/// `rt-multi-thread` among its dev-dependencies.
///
/// ```no_run
/// # use std::sync::Arc;
/// use testkit::{MemoryStore, conformance::Subject};
///
/// async fn memory() -> Subject {
///     Subject::new(Arc::new(MemoryStore::new()), "memory://suite/", 64 * 1024)
/// }
///
/// testkit::conformance_tests!(memory);
/// ```
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr) => {
        $crate::__conformance_list! { $crate::__conformance_tests, $make }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    (($make:expr) $($module:ident { $($name:ident)* })*) => {
        $($(
            #[::tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $crate::conformance::run_check(stringify!($name), &$make().await).await;
            }
        )*)*
    };
}

/// One check of the suite.
#[derive(Clone, Copy)]
pub struct Check {
    name: &'static str,
    run: for<'a> fn(&'a Context<'a>) -> BoxFuture<'a, Checked>,
}

impl Check {
    /// Its name, which is also the name of its test.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the check and removes the objects that it made. A check that takes longer than the
    /// subject's patience has failed, and so has one in which the backend panics.
    pub async fn attempt(&self, subject: &Subject) -> Outcome {
        let context = Context::new(subject, self.name);
        let run = caught((self.run)(&context));
        let outcome = match tokio::time::timeout(subject.patience, run).await {
            Ok(Ok(Ok(()))) => self.look_behind(&context).await,
            Ok(Ok(Err(stop))) => Err(stop),
            Ok(Err(panic)) => Err(Stop::Fail(format!("panicked: {panic}"))),
            Err(_) => Err(Stop::Fail(format!(
                "not done after {:?}: a dead-lock, or a subject in need of more patience",
                subject.patience
            ))),
        };
        // What can't be removed stays: that deleting works is a check of its own.
        let _outcome = tokio::time::timeout(subject.patience, context.remove_objects()).await;
        match outcome {
            Ok(()) => Outcome::Passed,
            Err(Stop::Skip(reason)) => Outcome::Skipped(reason),
            Err(Stop::Fail(reason)) => {
                Outcome::Failed(format!("{reason} (seed {})", context.seed()))
            }
        }
    }

    /// Whatever a check did, its writers have ended, and so nothing of them is left.
    async fn look_behind(&self, context: &Context<'_>) -> Checked {
        context.close().await?;
        context.expect_no_leftovers("after the check").await
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The backend does what the check asks.
    Passed,
    /// The subject's profile, or its lack of a look behind the traits, leaves nothing to check.
    Skipped(String),
    /// The backend breaks the contract; the text says how.
    Failed(String),
}

/// How the checks ended, by name.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The checks that passed.
    pub passed: Vec<&'static str>,
    /// The checks that were skipped, and why.
    pub skipped: Vec<(&'static str, String)>,
    /// The checks that failed, and why.
    pub failed: Vec<(&'static str, String)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            skipped,
            failed,
        } = self;
        write!(
            f,
            "{} checks passed, {} skipped, {} failed",
            passed.len(),
            skipped.len(),
            failed.len()
        )?;
        for (name, reason) in skipped {
            write!(f, "\nskipped {name}: {reason}")?;
        }
        for (name, reason) in failed {
            write!(f, "\nfailed {name}: {reason}")?;
        }
        Ok(())
    }
}

/// Every check, in the order in which [`run`] takes them.
#[must_use]
pub fn checks() -> &'static [Check] {
    CHECKS
}

/// Runs every check, one after another, whatever their outcome.
pub async fn attempt(subject: &Subject) -> Report {
    let mut report = Report::default();
    for check in checks() {
        match check.attempt(subject).await {
            Outcome::Passed => report.passed.push(check.name),
            Outcome::Skipped(reason) => report.skipped.push((check.name, reason)),
            Outcome::Failed(reason) => report.failed.push((check.name, reason)),
        }
    }
    report
}

/// Runs every check, one after another.
///
/// # Panics
///
/// If a check failed, once all have run; the text names each that did, with the reason.
pub async fn run(subject: &Subject) -> Report {
    let report = attempt(subject).await;
    assert!(report.failed.is_empty(), "{report}");
    report
}

/// Runs the one check of this name. A skipped check says so on stderr.
///
/// # Panics
///
/// If it failed, or if there is none of this name.
#[allow(
    clippy::print_stderr,
    reason = "a test has no other way to say that it checked nothing"
)]
pub async fn run_check(name: &str, subject: &Subject) -> Outcome {
    let Some(check) = checks().iter().find(|check| check.name == name) else {
        panic!("the suite has no check {name:?}");
    };
    let outcome = check.attempt(subject).await;
    match &outcome {
        Outcome::Passed => {}
        Outcome::Skipped(reason) => eprintln!("conformance check {name} skipped: {reason}"),
        Outcome::Failed(reason) => panic!("conformance check {name} failed: {reason}"),
    }
    outcome
}

/// Awaits `future`, and turns a panic in it into its text.
async fn caught<T>(mut future: BoxFuture<'_, T>) -> Result<T, String> {
    poll_fn(move |task| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(task)));
        match polled {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("with no text")
                .to_owned())),
        }
    })
    .await
}
