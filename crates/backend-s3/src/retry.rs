//! The one retry layer: the SDK's own is off.

mod bucket;

use std::sync::Arc;
use std::time::{Duration, Instant};

use writer_core::{Error, ErrorKind, Result};

use self::bucket::Bucket;

/// From this attempt on, a user who sees nothing happen would wonder.
const WORTH_A_WARNING: u32 = 4;

/// Attempts when access is denied for a passing reason, credentials that have expired: others are
/// there at once, or are not to be had.
const WITH_OTHER_CREDENTIALS: u32 = 3;

/// How a request that failed for a passing reason is tried again.
///
/// The wait before attempt *n* + 1 is random, up to `base × 2ⁿ` but no more than `cap` ("full
/// jitter", <https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/>).
/// All requests of a store together are tried again at most 100 times at once, and then 20 times
/// a second, so that a service in trouble is not kept there; each success allows one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Attempts in all, at least 1. Default 8.
    pub max_attempts: u32,
    /// Longest wait before the second attempt. Default 100 ms.
    pub base: Duration,
    /// Longest wait at all. Default 20 s.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 8,
            base: Duration::from_millis(100),
            cap: Duration::from_secs(20),
        }
    }
}

impl RetryPolicy {
    /// Sets [`max_attempts`](Self::max_attempts).
    #[must_use]
    pub fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Sets [`base`](Self::base) and [`cap`](Self::cap).
    #[must_use]
    pub fn with_backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.base = base;
        self.cap = cap;
        self
    }

    fn attempts_for(&self, error: &Error) -> u32 {
        match error.kind() {
            ErrorKind::AccessDenied => self.max_attempts.min(WITH_OTHER_CREDENTIALS),
            _ => self.max_attempts,
        }
    }

    /// The wait after `attempt` (from 1) failed; `random` is in 0..1.
    fn wait(&self, attempt: u32, random: f64) -> Duration {
        let factor = 1u32.checked_shl(attempt).unwrap_or(u32::MAX);
        self.base
            .saturating_mul(factor)
            .min(self.cap)
            .mul_f64(random)
    }
}

/// How the requests of one store are tried again.
#[derive(Clone, Debug)]
pub(crate) struct Retries {
    policy: RetryPolicy,
    bucket: Arc<Bucket>,
}

impl Retries {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            bucket: Arc::new(Bucket::new(Instant::now())),
        }
    }

    /// These, but nothing is tried again.
    pub(crate) fn only_once(&self) -> Self {
        Self {
            policy: self.policy.with_max_attempts(1),
            bucket: Arc::clone(&self.bucket),
        }
    }

    pub(crate) fn policy(&self) -> &RetryPolicy {
        &self.policy
    }

    /// Calls `request` with the attempt's number, from 1, until it succeeds, fails for good, or
    /// the attempts are used up.
    pub(crate) async fn run<T, F>(&self, request: impl FnMut(u32) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.run_watched(request, |_error| {}).await
    }

    /// As [`run`](Self::run), and calls `again` with the error of each attempt that is to be
    /// followed by another.
    pub(crate) async fn run_watched<T, F>(
        &self,
        mut request: impl FnMut(u32) -> F,
        again: impl Fn(&Error),
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut attempt = 1;
        loop {
            match request(attempt).await {
                Ok(value) => {
                    self.bucket.give(Instant::now());
                    return Ok(value);
                }
                Err(error)
                    if error.is_retryable() && attempt < self.policy.attempts_for(&error) =>
                {
                    let wait = self.policy.wait(attempt, fastrand::f64());
                    let turn = self.bucket.take(Instant::now());
                    let wait = wait.max(turn.wait());
                    // What passes by itself is not worth a line; what takes seconds is.
                    if attempt < WORTH_A_WARNING {
                        tracing::debug!(%error, attempt, ?wait, "trying again");
                    } else {
                        tracing::warn!(%error, attempt, "still failing, trying again");
                    }
                    again(&error);
                    tokio::time::sleep(wait).await;
                    turn.came();
                    attempt += 1;
                }
                Err(error) => return Err(attempted(error, attempt)),
            }
        }
    }
}

fn attempted(error: Error, attempts: u32) -> Error {
    if attempts > 1 {
        error.with_attempts(attempts)
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap() {
        let policy = RetryPolicy::default();
        let ms = |attempt| policy.wait(attempt, 1.0).as_millis();
        assert_eq!([ms(1), ms(2), ms(3)], [200, 400, 800]);
        assert_eq!(ms(31), 20_000);
        assert_eq!(ms(u32::MAX), 20_000);
        assert_eq!(policy.wait(5, 0.0), Duration::ZERO);
    }

    #[tokio::test]
    async fn passing_faults_are_tried_again_and_others_are_not() {
        let policy =
            RetryPolicy::default().with_backoff(Duration::from_micros(1), Duration::from_micros(1));
        let retries = Retries::new(policy);
        let fault = |retryable| {
            Err::<(), _>(Error::new(ErrorKind::Unavailable, "x").with_retryable(retryable))
        };
        let error = retries.run(|_| async { fault(true) }).await.unwrap_err();
        assert_eq!(error.attempts(), Some(8));
        let error = retries.run(|_| async { fault(false) }).await.unwrap_err();
        assert_eq!(error.attempts(), None);
        let expired = Error::new(ErrorKind::AccessDenied, "x").with_retryable(true);
        let error = retries
            .run(|_| async { Err::<(), _>(expired.clone()) })
            .await;
        assert_eq!(error.unwrap_err().attempts(), Some(3));
        let third = retries
            .run(|n| async move { if n < 3 { fault(true) } else { Ok(()) } })
            .await;
        assert!(third.is_ok());
    }
}
