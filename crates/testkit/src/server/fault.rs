//! Faults on demand: which requests go wrong, and how.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;

use super::operation::{Target, known};
use super::shared::lock;

/// A rule: which requests go wrong, how often, and how. Once, unless
/// [`times`](Fault::times) or [`always`](Fault::always) says otherwise.
///
/// Of several rules that match a request, the one injected first applies, until
/// it is used up.
#[derive(Clone, Debug)]
#[must_use = "a fault does nothing until it is injected"]
pub struct Fault {
    operation: &'static str,
    key: Option<String>,
    part: Option<i32>,
    skip: u64,
    times: u64,
    plan: Plan,
}

/// What happens to a request that a rule matches.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) delay: Duration,
    /// The work begins so much later, whether the client still waits or not.
    pub(super) late_work: Duration,
    /// The reply is kept back for so long after the work was done.
    pub(super) late_reply: Duration,
    pub(super) effect: Effect,
}

#[derive(Clone, Debug, Default)]
pub(super) enum Effect {
    /// Served as if nothing were.
    #[default]
    None,
    /// Nothing is done; this is the answer.
    Respond {
        status: StatusCode,
        code: String,
        read_body: bool,
    },
    /// Reset when the head has arrived.
    ResetBeforeBody,
    /// Reset in the middle of the body.
    ResetAfterBytes(u64),
    /// The work is done, and the connection reset instead of a reply.
    ResetAfterBody,
    /// One bit of this byte of the body is not what the client sent.
    FlipBit(u64),
    /// The reply carries no checksum, or a wrong one.
    Echo(EchoFault),
    /// The reply says no ETag, or another one than the service keeps.
    ETag(ETagFault),
}

/// What a reply does with the checksum it should echo.
#[derive(Clone, Copy, Debug)]
pub(super) enum EchoFault {
    Omit,
    Wrong,
}

/// What a reply does with the ETag it should say.
#[derive(Clone, Copy, Debug)]
pub(super) enum ETagFault {
    Omit,
    Other,
}

impl Fault {
    /// Requests of `operation`, such as `UploadPart`.
    ///
    /// # Panics
    /// If there is no such operation in [`OPERATIONS`](super::OPERATIONS).
    pub fn on(operation: &str) -> Self {
        Self {
            operation: known(operation),
            key: None,
            part: None,
            skip: 0,
            times: 1,
            plan: Plan::default(),
        }
    }

    /// Only for this key.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Only for this part number.
    pub fn part(mut self, number: i32) -> Self {
        self.part = Some(number);
        self
    }

    /// Lets the first `count` matching requests through.
    pub fn after(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Applies to so many requests.
    pub fn times(mut self, count: u64) -> Self {
        self.times = count;
        self
    }

    /// Applies to every request from now on.
    pub fn always(mut self) -> Self {
        self.times = u64::MAX;
        self
    }

    /// Waits before doing anything else; may be combined with another effect.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.plan.delay = delay;
        self
    }

    /// Does nothing but answer with this status and S3 error code, after the
    /// body was read to its end, so that the client surely sees the answer.
    ///
    /// # Panics
    /// If `status` is no HTTP status.
    pub fn respond(mut self, status: u16, code: impl Into<String>) -> Self {
        self.plan.effect = Effect::Respond {
            status: StatusCode::from_u16(status).expect("an HTTP status"),
            code: code.into(),
            read_body: true,
        };
        self
    }

    /// Like [`respond`](Self::respond), but at once, without reading the body.
    ///
    /// # Panics
    /// If `status` is no HTTP status.
    pub fn respond_early(self, status: u16, code: impl Into<String>) -> Self {
        let mut fault = self.respond(status, code);
        if let Effect::Respond { read_body, .. } = &mut fault.plan.effect {
            *read_body = false;
        }
        fault
    }

    /// Does nothing but answer 200 with an `InternalError` in the body, which
    /// S3 may do for CompleteMultipartUpload and CopyObject.
    pub fn complete_200_with_error(self) -> Self {
        self.respond(200, "InternalError")
    }

    /// Resets the connection when the head of the request has arrived.
    pub fn reset_before_body(mut self) -> Self {
        self.plan.effect = Effect::ResetBeforeBody;
        self
    }

    /// Resets the connection when at least so many bytes of the body have
    /// arrived.
    pub fn reset_after_bytes(mut self, bytes: u64) -> Self {
        self.plan.effect = Effect::ResetAfterBytes(bytes);
        self
    }

    /// Does the work and resets the connection: only the reply is lost.
    pub fn reset_after_body(mut self) -> Self {
        self.plan.effect = Effect::ResetAfterBody;
        self
    }

    /// Flips one bit of the body's first byte before it is hashed or stored.
    pub fn flip_bit(self) -> Self {
        self.flip_bit_at(0)
    }

    /// Flips one bit of byte `at` of the body (from 0) before it is hashed or stored; a body that
    /// ends before it stays whole.
    ///
    /// In an aws-chunked body it is flipped after the framing was taken off.
    pub fn flip_bit_at(mut self, at: u64) -> Self {
        self.plan.effect = Effect::FlipBit(at);
        self
    }

    /// Reads the request, and does the work so much later, also if the client is gone by then:
    /// as a service that is slow does. See
    /// [`TestServer::settled`](super::TestServer::settled).
    pub fn late_work(mut self, delay: Duration) -> Self {
        self.plan.late_work = delay;
        self
    }

    /// Does the work at once, and keeps the reply back for so long.
    pub fn late_reply(mut self, delay: Duration) -> Self {
        self.plan.late_reply = delay;
        self
    }

    /// Serves the request, and leaves the checksum out of the reply.
    pub fn omit_checksum_echo(mut self) -> Self {
        self.plan.effect = Effect::Echo(EchoFault::Omit);
        self
    }

    /// Serves the request, and puts a wrong checksum into the reply.
    pub fn wrong_checksum_echo(mut self) -> Self {
        self.plan.effect = Effect::Echo(EchoFault::Wrong);
        self
    }

    /// Serves the request, and leaves the ETag out of the reply.
    pub fn omit_etag(mut self) -> Self {
        self.plan.effect = Effect::ETag(ETagFault::Omit);
        self
    }

    /// Serves the request, and says another ETag than the one that is kept, as if the part or
    /// the object had been stored once more meanwhile.
    pub fn other_etag(mut self) -> Self {
        self.plan.effect = Effect::ETag(ETagFault::Other);
        self
    }

    fn matches(&self, target: &Target) -> bool {
        self.operation == target.operation
            && self.key.as_ref().is_none_or(|key| *key == target.key)
            && self
                .part
                .is_none_or(|part| Some(part) == target.part_number)
    }
}

/// A rule in force.
#[derive(Clone, Debug)]
pub struct InjectedFault(Arc<Rule>);

impl InjectedFault {
    /// How often it has struck.
    pub fn count(&self) -> u64 {
        self.0.struck.load(Ordering::SeqCst)
    }

    /// Whether it has struck as often as it should.
    pub fn is_used_up(&self) -> bool {
        self.count() >= self.0.fault.times
    }

    /// Takes it back.
    pub fn remove(&self) {
        self.0.left.store(0, Ordering::SeqCst);
    }
}

/// The rules of one server.
#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Mutex<Vec<Arc<Rule>>>,
    total: AtomicU64,
}

#[derive(Debug)]
struct Rule {
    fault: Fault,
    skip: AtomicU64,
    left: AtomicU64,
    struck: AtomicU64,
}

impl Faults {
    pub(super) fn add(&self, fault: Fault) -> InjectedFault {
        let rule = Arc::new(Rule {
            skip: AtomicU64::new(fault.skip),
            left: AtomicU64::new(fault.times),
            struck: AtomicU64::new(0),
            fault,
        });
        lock(&self.rules).push(Arc::clone(&rule));
        InjectedFault(rule)
    }

    /// What should happen to this request, if anything; counts as struck.
    pub(super) fn strike(&self, target: &Target) -> Plan {
        let mut rules = lock(&self.rules);
        rules.retain(|rule| rule.left.load(Ordering::SeqCst) > 0);
        for rule in rules.iter().filter(|rule| rule.fault.matches(target)) {
            // The list is locked, so loads and stores do not race with other
            // requests, only with `remove`.
            let skip = rule.skip.load(Ordering::SeqCst);
            if skip > 0 {
                rule.skip.store(skip - 1, Ordering::SeqCst);
                continue;
            }
            let take = |left: u64| match left {
                u64::MAX => Some(left),
                _ => left.checked_sub(1),
            };
            if rule
                .left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
                .is_ok()
            {
                rule.struck.fetch_add(1, Ordering::SeqCst);
                self.total.fetch_add(1, Ordering::SeqCst);
                return rule.fault.plan.clone();
            }
        }
        Plan::default()
    }

    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::SeqCst)
    }
}
