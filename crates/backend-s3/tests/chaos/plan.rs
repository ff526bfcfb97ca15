//! Which requests go wrong in a run, and what is to come of it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use fastrand::Rng;
use testkit::server::{Fault, InjectedFault, TestServer};
use writer_core::{ErrorKind, IfExists};

use crate::kind::{Kind, Operation};
use crate::setup::Setup;

/// What a run must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// The fault passes, so the upload succeeds.
    Success,
    /// It fails, for this reason.
    Failure(ErrorKind),
    /// It succeeds, or fails for this reason.
    SuccessOr(ErrorKind),
    /// It succeeds; or the service can't be reached, or nothing tells what became of it.
    Unsure,
}

/// The faults of one run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) expect: Expect,
    rules: Vec<InjectedFault>,
    /// Nothing is to be sent twice.
    pub(crate) once: bool,
    /// The service may say a wrong checksum or ETag of what it made visible.
    pub(crate) lies: bool,
    /// A PutObject that the client gave up may be done after the one that counts; what is there
    /// is the same, under an ETag of its own.
    pub(crate) stored_twice: bool,
}

impl Plan {
    /// Arms the faults of `setup.kind`.
    pub(crate) fn arm(setup: &mut Setup) -> Self {
        let mut plan = Self {
            expect: Expect::Unsure,
            rules: Vec::new(),
            once: false,
            lies: false,
            stored_twice: setup.operation == Operation::Put
                && matches!(setup.kind, Kind::Stall | Kind::LateWork),
        };
        match setup.kind {
            Kind::FlipBit => plan.flip_bits(setup),
            Kind::InternalError => plan.answer(setup, &[(500, "InternalError")]),
            Kind::SlowDown => plan.answer(setup, &[(503, "SlowDown"), (503, "ServiceUnavailable")]),
            Kind::TooManyRequests => plan.answer(setup, &[(429, "TooManyRequests"), (429, "")]),
            Kind::RequestTimeout => {
                plan.answer(setup, &[(408, "RequestTimeout"), (400, "RequestTimeout")]);
            }
            Kind::Conflict => plan.answer(setup, &[(409, "OperationAborted")]),
            Kind::ErrorIn200 => plan.answer_200(setup),
            Kind::ConditionalConflict => {
                setup.options.if_match = Some(setup.server.object(super::setup::KEY).unwrap().etag);
                let refusal = (409, "ConditionalRequestConflict");
                plan.refuse_last(setup, refusal, ErrorKind::Unavailable);
            }
            Kind::Precondition => plan.precondition(setup),
            Kind::AccessDenied => {
                plan.refuse(setup, &[(403, "AccessDenied")], ErrorKind::AccessDenied);
            }
            Kind::ClockSkew => {
                let refusals = [(403, "RequestTimeTooSkewed")];
                plan.refuse(setup, &refusals, ErrorKind::AccessDenied);
            }
            Kind::ExpiredToken => {
                let refusals = [(403, "ExpiredToken"), (400, "ExpiredToken")];
                plan.refuse(setup, &refusals, ErrorKind::AccessDenied);
            }
            Kind::NoSuchUpload => plan.lose_upload(setup),
            Kind::SlowAnswer => plan.slow(setup),
            Kind::LateWork => plan.late(setup),
            Kind::ETag => plan.e_tags(setup),
            Kind::NoChecksum => plan.no_checksums(setup),
            Kind::WrongChecksum => plan.wrong_checksums(setup),
            Kind::LostReply => plan.lose_replies(setup),
            Kind::LostAbort => plan.lose_aborts(setup),
            Kind::Cancelled => plan.hinder_aborts(setup),
            Kind::RenewedCredentials => plan.expect = Expect::Success,
            Kind::RuntimeEnds => plan.expect = Expect::SuccessOr(ErrorKind::Interrupted),
            _ if setup.network.is_some() => plan.expect = Expect::Success,
            _ => {}
        }
        plan
    }

    /// How often the rules have struck.
    pub(crate) fn injected(&self) -> u64 {
        self.rules.iter().map(InjectedFault::count).sum()
    }

    /// Takes all rules back.
    pub(crate) fn disarm(&self) {
        self.rules.iter().for_each(InjectedFault::remove);
    }

    fn inject(&mut self, setup: &Setup, fault: Fault) {
        self.rules.push(setup.server.inject(fault));
    }

    /// A service that fails some times, or once in a while for good.
    fn answer(&mut self, setup: &mut Setup, answers: &[(u16, &str)]) {
        let (status, code) = answers[setup.rng.usize(..answers.len())];
        if setup.rng.u8(..6) == 0 {
            let fault = some_request(setup).always().respond(status, code);
            self.inject(setup, fault);
            self.expect = Expect::Failure(ErrorKind::Unavailable);
            for operation in ["AbortMultipartUpload", "ListParts"] {
                let fault = Fault::on(operation).times(setup.rng.u64(1..=3));
                self.inject(setup, fault.respond(status, code));
            }
            return;
        }
        self.expect = Expect::Success;
        for _ in 0..setup.rng.u8(1..=2) {
            let fault = some_request(setup).times(setup.rng.u64(1..=3));
            let fault = if setup.rng.bool() {
                fault.respond(status, code)
            } else {
                fault.respond_early(status, code)
            };
            self.inject(setup, fault);
        }
    }

    fn answer_200(&mut self, setup: &mut Setup) {
        let codes = ["InternalError", "SlowDown", "ServiceUnavailable"];
        let code = codes[setup.rng.usize(..codes.len())];
        let fault = Fault::on("CompleteMultipartUpload").respond(200, code);
        let fault = if setup.rng.u8(..6) == 0 {
            self.expect = Expect::Failure(ErrorKind::Unavailable);
            fault.always()
        } else {
            self.expect = Expect::Success;
            fault.times(setup.rng.u64(1..=6))
        };
        self.inject(setup, fault);
    }

    /// One request is refused for good.
    fn refuse(&mut self, setup: &mut Setup, refusals: &[(u16, &str)], kind: ErrorKind) {
        let (status, code) = refusals[setup.rng.usize(..refusals.len())];
        let fault = some_request(setup).always().respond(status, code);
        self.inject(setup, fault);
        self.expect = Expect::Failure(kind);
    }

    fn refuse_last(&mut self, setup: &Setup, (status, code): (u16, &str), kind: ErrorKind) {
        let fault = Fault::on(setup.operation.last_request()).always();
        self.inject(setup, fault.respond(status, code));
        self.expect = Expect::Failure(kind);
    }

    /// A condition that does not hold, by the service's word.
    fn precondition(&mut self, setup: &mut Setup) {
        let refusal = (412, "PreconditionFailed");
        if setup.rng.bool() {
            setup.options.if_match = Some(setup.server.object(super::setup::KEY).unwrap().etag);
            self.refuse_last(setup, refusal, ErrorKind::PreconditionFailed);
        } else {
            setup.options.if_exists = IfExists::Fail;
            self.refuse_last(setup, refusal, ErrorKind::AlreadyExists);
        }
    }

    fn lose_upload(&mut self, setup: &mut Setup) {
        let operation = if setup.rng.bool() {
            "UploadPart"
        } else {
            "CompleteMultipartUpload"
        };
        let fault = Fault::on(operation).respond(404, "NoSuchUpload");
        self.inject(setup, fault);
        self.expect = Expect::Failure(ErrorKind::NotFound);
    }

    fn flip_bits(&mut self, setup: &mut Setup) {
        let body = match setup.operation {
            Operation::Put => setup.new.len() as u64,
            // The last part may be short.
            _ => setup.part_size,
        };
        let at = setup.rng.u64(..body);
        let operation = match setup.operation {
            Operation::Put => "PutObject",
            _ => "UploadPart",
        };
        let fault = Fault::on(operation).flip_bit_at(at);
        let fault = if setup.rng.u8(..6) == 0 {
            self.expect = Expect::Failure(ErrorKind::ChecksumMismatch);
            fault.always()
        } else {
            self.expect = Expect::Success;
            fault.times(setup.rng.u64(1..=4))
        };
        self.inject(setup, fault);
    }

    /// Answers that take long, but not too long.
    fn slow(&mut self, setup: &mut Setup) {
        self.expect = Expect::Success;
        self.once = true;
        for operation in setup.operation.requests() {
            let delay = Duration::from_millis(setup.rng.u64(20..200));
            let fault = Fault::on(operation).always();
            let fault = match setup.rng.u8(..3) {
                0 => fault.delay(delay),
                1 => fault.late_work(delay),
                _ => fault.late_reply(delay),
            };
            self.inject(setup, fault);
        }
    }

    /// Work that is done, or answered, when the client has given up waiting.
    fn late(&mut self, setup: &mut Setup) {
        let fault = match setup.rng.u8(..3) {
            // The one that decides, more often than the others.
            0 => Fault::on(setup.operation.last_request()),
            _ => some_request(setup),
        };
        let fault = match setup.rng.u8(..3) {
            0 => fault.always(),
            _ => fault.times(setup.rng.u64(1..=3)),
        };
        // What stops the work comes late as well, but not too late.
        let stop = Duration::from_millis(setup.rng.u64(1..200));
        self.inject(setup, Fault::on("AbortMultipartUpload").delay(stop));
        let delay = Duration::from_millis(setup.rng.u64(600..2_600));
        let fault = if setup.rng.bool() {
            fault.late_work(delay)
        } else {
            fault.late_reply(delay)
        };
        self.inject(setup, fault);
    }

    fn e_tags(&mut self, setup: &mut Setup) {
        let operation = match setup.operation {
            Operation::Put => "PutObject",
            _ if setup.rng.bool() => "UploadPart",
            _ => "CompleteMultipartUpload",
        };
        let missing = setup.rng.bool();
        let fault = Fault::on(operation).times(setup.rng.u64(1..=2));
        self.expect = if missing && operation == "UploadPart" {
            Expect::Failure(ErrorKind::Other)
        } else {
            Expect::Success
        };
        self.lies = true;
        let fault = if missing {
            fault.omit_etag()
        } else {
            fault.other_etag()
        };
        self.inject(setup, fault);
    }

    fn no_checksums(&mut self, setup: &mut Setup) {
        self.expect = Expect::Success;
        for operation in setup.operation.requests() {
            let fault = Fault::on(operation).omit_checksum_echo();
            let fault = if setup.rng.bool() {
                fault.always()
            } else {
                fault.times(setup.rng.u64(1..=3))
            };
            self.inject(setup, fault);
        }
    }

    fn wrong_checksums(&mut self, setup: &mut Setup) {
        self.lies = true;
        let operation = match setup.operation {
            Operation::Put => "PutObject",
            _ if setup.rng.bool() => "UploadPart",
            _ => "CompleteMultipartUpload",
        };
        let fault = Fault::on(operation).wrong_checksum_echo();
        let fault = if setup.rng.bool() {
            self.expect = Expect::Failure(ErrorKind::ChecksumMismatch);
            fault.always()
        } else {
            self.expect = Expect::SuccessOr(ErrorKind::ChecksumMismatch);
            fault.times(setup.rng.u64(1..=2))
        };
        self.inject(setup, fault);
    }

    /// The work is done, and the reply lost.
    fn lose_replies(&mut self, setup: &mut Setup) {
        let requests = setup.operation.requests();
        let operation = requests[setup.rng.usize(..requests.len())];
        let is_last = operation == setup.operation.last_request();
        let fault = Fault::on(operation).reset_after_body();
        let for_good = setup.rng.u8(..4) == 0;
        let fault = if for_good {
            fault.always()
        } else {
            fault.times(setup.rng.u64(1..=4))
        };
        self.inject(setup, fault);
        self.expect = if is_last && setup.rng.u8(..3) == 0 {
            // Whose object is there now, nothing tells.
            setup.options.if_match = Some(setup.server.object(super::setup::KEY).unwrap().etag);
            Expect::Unsure
        } else if for_good && !is_last {
            Expect::Failure(ErrorKind::Unavailable)
        } else {
            Expect::Success
        };
    }

    /// The upload fails, and so do the first requests that are to clean up.
    fn lose_aborts(&mut self, setup: &mut Setup) {
        let fault = Fault::on("UploadPart").after(setup.rng.u64(..setup.parts()));
        self.inject(setup, fault.always().respond(403, "AccessDenied"));
        self.expect = Expect::Failure(ErrorKind::AccessDenied);
        self.hinder_aborts(setup);
    }

    fn hinder_aborts(&mut self, setup: &mut Setup) {
        let times = setup.rng.u64(1..=5);
        let fault = Fault::on("AbortMultipartUpload").times(times);
        let fault = match setup.rng.u8(..3) {
            0 => fault.reset_after_body(),
            1 => fault.reset_before_body(),
            _ => fault.respond(503, "SlowDown"),
        };
        self.inject(setup, fault);
        let fault = Fault::on("ListParts").times(setup.rng.u64(1..=5));
        self.inject(setup, fault.reset_after_body());
    }
}

/// Any of the requests of the operation; of parts, any.
fn some_request(setup: &mut Setup) -> Fault {
    let requests = setup.operation.requests();
    let operation = requests[setup.rng.usize(..requests.len())];
    let fault = Fault::on(operation);
    if operation == "UploadPart" {
        let after = setup.rng.u64(..setup.parts());
        return fault.after(after);
    }
    fault
}

/// Credentials that live for some requests, and have expired when the last of them arrives.
#[derive(Clone, Debug)]
pub(crate) struct Rotating(Arc<Mutex<Rotation>>);

#[derive(Debug)]
struct Rotation {
    server: Arc<TestServer>,
    asked: u64,
    /// Every so many times that it is asked, what is given has expired when it arrives.
    every: u64,
    most: u64,
    expired: u64,
}

impl Rotating {
    pub(crate) fn of(server: &Arc<TestServer>, rng: &mut Rng) -> Self {
        Self(Arc::new(Mutex::new(Rotation {
            server: Arc::clone(server),
            asked: 0,
            every: rng.u64(1..=3),
            most: rng.u64(1..=2),
            expired: 0,
        })))
    }

    pub(crate) fn provider(&self) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(self.clone())
    }

    /// How often credentials have expired.
    pub(crate) fn expired(&self) -> u64 {
        self.0.lock().unwrap().expired
    }

    fn next(&self) -> Credentials {
        let mut rotation = self.0.lock().unwrap();
        let pair = |number: u64| (format!("key-{number}"), format!("secret-{number}"));
        let (key, secret) = match rotation.expired {
            0 => (
                rotation.server.access_key().to_owned(),
                rotation.server.secret_key().to_owned(),
            ),
            number => pair(number),
        };
        rotation.asked += 1;
        if rotation.asked.is_multiple_of(rotation.every) && rotation.expired < rotation.most {
            rotation.expired += 1;
            let (key, secret) = pair(rotation.expired);
            rotation.server.renew_credentials(&key, &secret);
        }
        // Asked for again before each request: the last seconds of a life are not used.
        let until = SystemTime::now() + Duration::from_secs(1);
        Credentials::new(key, secret, None, Some(until), "rotating")
    }
}

impl ProvideCredentials for Rotating {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Ok(self.next()))
    }
}
