//! Faults by seed: whatever goes wrong, an upload that says it succeeded is there, whole, and equal
//! to what was written; one that failed says why, and leaves the old object and no debris.
//!
//! Each test is a campaign against one kind of fault. A run draws everything from its seed: the
//! object, how it is written, what the service is like, and which requests go wrong. By default
//! there are few runs; `scripts/chaos` makes as many as wanted and prints a table. These variables
//! change them:
//!
//! * `CHAOS_RUNS`: runs for each kind and operation,
//! * `CHAOS_SEED`: the seed of the first, the next ones follow,
//! * `CHAOS_FAULT`, `CHAOS_OPERATION`: only this kind, only this operation.
//!
//! ```text
//!  campaign ──▶ run ──▶ setup: server, network, store, data      (from the seed)
//!                │ ──▶ plan: arms the faults, says what to expect (from the seed)
//!                │ ──▶ act: writes, drops, cancels
//!                └ ──▶ verdict: looks into the server
//! ```

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;

mod act;
mod campaign;
mod kind;
mod plan;
mod run;
mod runtime;
mod setup;
mod source;
mod verdict;

use kind::Kind;

macro_rules! campaigns {
    ($($name:ident: $kind:ident,)*) => {
        const CAMPAIGNS: &[(Kind, &str)] = &[$((Kind::$kind, stringify!($name)),)*];

        $(
            #[test]
            fn $name() {
                campaign::run(Kind::$kind);
            }
        )*
    };
}

campaigns! {
    latency: Latency,
    throttle: Throttle,
    stall: Stall,
    refuse: Refuse,
    reset: Reset,
    half_close: HalfClose,
    flip_bit: FlipBit,
    internal_error: InternalError,
    slow_down: SlowDown,
    too_many_requests: TooManyRequests,
    request_timeout: RequestTimeout,
    conflict: Conflict,
    error_in_200: ErrorIn200,
    conditional_conflict: ConditionalConflict,
    precondition: Precondition,
    access_denied: AccessDenied,
    clock_skew: ClockSkew,
    expired_token: ExpiredToken,
    renewed_credentials: RenewedCredentials,
    no_such_upload: NoSuchUpload,
    slow_answer: SlowAnswer,
    late_work: LateWork,
    e_tag: ETag,
    no_checksum: NoChecksum,
    wrong_checksum: WrongChecksum,
    lost_reply: LostReply,
    lost_abort: LostAbort,
    dropped: Dropped,
    cancelled: Cancelled,
    runtime_ends: RuntimeEnds,
    source_changes: SourceChanges,
}
