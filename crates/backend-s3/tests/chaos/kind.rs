//! The kinds of faults, and what is written while they strike.

use std::time::Duration;

use testkit::network::{Options, Trouble};

/// What goes wrong in a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Latency,
    Throttle,
    Stall,
    Refuse,
    Reset,
    HalfClose,
    FlipBit,
    InternalError,
    SlowDown,
    TooManyRequests,
    RequestTimeout,
    Conflict,
    ErrorIn200,
    ConditionalConflict,
    Precondition,
    AccessDenied,
    ClockSkew,
    ExpiredToken,
    RenewedCredentials,
    NoSuchUpload,
    SlowAnswer,
    LateWork,
    ETag,
    NoChecksum,
    WrongChecksum,
    LostReply,
    LostAbort,
    Dropped,
    Cancelled,
    RuntimeEnds,
    SourceChanges,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// An object of one part, from memory or from a file: one PutObject.
    Put,
    /// A multipart upload from memory.
    Memory,
    /// A multipart upload from a file.
    File,
}

impl Operation {
    pub(crate) const ALL: &[Self] = &[Self::Put, Self::Memory, Self::File];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Memory => "memory",
            Self::File => "file",
        }
    }

    /// The requests that it is made of.
    pub(crate) fn requests(self) -> &'static [&'static str] {
        match self {
            Self::Put => &["PutObject"],
            Self::Memory | Self::File => &[
                "CreateMultipartUpload",
                "UploadPart",
                "CompleteMultipartUpload",
            ],
        }
    }

    /// The request that makes the object visible.
    pub(crate) fn last_request(self) -> &'static str {
        match self {
            Self::Put => "PutObject",
            Self::Memory | Self::File => "CompleteMultipartUpload",
        }
    }
}

impl Kind {
    /// As the test of the campaign is called.
    pub(crate) fn name(self) -> &'static str {
        let campaigns = super::CAMPAIGNS.iter();
        let (_, name) = campaigns.clone().find(|(kind, _)| *kind == self).unwrap();
        name
    }

    pub(crate) fn operations(self) -> &'static [Operation] {
        match self {
            Self::ErrorIn200 | Self::NoSuchUpload | Self::LostAbort => {
                &[Operation::Memory, Operation::File]
            }
            Self::SourceChanges => &[Operation::Put, Operation::File],
            _ => Operation::ALL,
        }
    }

    /// Trouble below HTTP.
    pub(crate) fn trouble(self) -> Option<Trouble> {
        match self {
            Self::Latency => Some(Trouble::Latency),
            Self::Throttle => Some(Trouble::Throttle),
            Self::Stall => Some(Trouble::Stall),
            Self::Refuse => Some(Trouble::Refuse),
            Self::Reset => Some(Trouble::Reset),
            Self::HalfClose => Some(Trouble::HalfClose),
            _ => None,
        }
    }

    pub(crate) fn network(self, within: u64) -> Options {
        let usual = Options {
            within,
            ..Options::default()
        };
        match self {
            // Longer than a client waits for an answer.
            Self::Stall => Options {
                pause: Duration::from_millis(2_000),
                ..usual
            },
            Self::Refuse => Options {
                pause: Duration::from_millis(15),
                strikes: 2,
                ..usual
            },
            _ => usual,
        }
    }

    /// How long a request may go without progress; answers may take five times as long.
    pub(crate) fn stall_timeout(self) -> Duration {
        match self {
            Self::Stall => Duration::from_millis(150),
            Self::LateWork => Duration::from_millis(100),
            Self::SlowAnswer => Duration::from_secs(2),
            _ => Duration::from_secs(10),
        }
    }

    /// Create may be done when nobody looks for what its lost reply left any more.
    pub(crate) fn may_lose_create(self) -> bool {
        matches!(self, Self::Stall | Self::LateWork)
    }

    /// The client does not stay to the end.
    pub(crate) fn leaves(self) -> bool {
        matches!(self, Self::Dropped | Self::Cancelled | Self::RuntimeEnds)
    }

    /// How many runs go side by side: more where they mostly wait.
    pub(crate) fn side_by_side(self) -> usize {
        match self {
            Self::Stall | Self::LateWork | Self::SlowAnswer => 16,
            Self::Latency | Self::Throttle => 8,
            _ => 4,
        }
    }
}
