//! One error type for every backend: a kind to act on, and a text that names the thing.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What a fallible call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as a program can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The object, the bucket or the directory does not exist.
    NotFound,
    /// The credentials or the file mode do not allow it.
    AccessDenied,
    /// A create-only write found an object in its place.
    AlreadyExists,
    /// A condition other than create-only did not hold.
    PreconditionFailed,
    /// An argument, an option or a URI is wrong; the same call fails again.
    InvalidInput,
    /// The backend, the service or this build can't do what was asked.
    Unsupported,
    /// The writer failed or ended before this call.
    Closed,
    /// A `write_chunk` was dropped half way, so the object would miss bytes.
    Interrupted,
    /// What the service stored is not what was sent.
    ChecksumMismatch,
    /// A limit of the service or of the memory budget.
    LimitExceeded,
    /// A file that is being sent changed under way.
    SourceChanged,
    /// The disk or the quota is full.
    StorageFull,
    /// The service did not answer, answered with a fault of its own, or asked to slow down.
    Unavailable,
    /// The reply to a write was lost, and nothing tells whether it took effect, or still will.
    Ambiguous,
    /// Anything else.
    Other,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not found",
            Self::AccessDenied => "access denied",
            Self::AlreadyExists => "already exists",
            Self::PreconditionFailed => "precondition failed",
            Self::InvalidInput => "invalid input",
            Self::Unsupported => "unsupported",
            Self::Closed => "closed",
            Self::Interrupted => "interrupted",
            Self::ChecksumMismatch => "checksum mismatch",
            Self::LimitExceeded => "limit exceeded",
            Self::SourceChanged => "source changed",
            Self::StorageFull => "storage full",
            Self::Unavailable => "unavailable",
            Self::Ambiguous => "outcome unknown",
            Self::Other => "error",
        })
    }
}

/// An error with its [`ErrorKind`], the object and part it belongs to, and its cause.
///
/// Cheap to clone, because a writer that failed gives the same error to every later call.
///
/// ```
/// use writer_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::NotFound, "no such bucket").with_uri("s3://b/k").with_part(3);
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert_eq!(error.to_string(), "s3://b/k: part 3: no such bucket");
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    uri: Option<String>,
    part: Option<u32>,
    attempts: Option<u32>,
    code: Option<String>,
    request_id: Option<String>,
    retryable: bool,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; the message says what was found and what was expected instead.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            uri: None,
            part: None,
            attempts: None,
            code: None,
            request_id: None,
            retryable: false,
            source: None,
        }))
    }

    /// What a program can act on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The text alone, without URI and part.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The object's URI, where the error belongs to one.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        self.0.uri.as_deref()
    }

    /// The part number, from 1, where the error belongs to one part.
    #[must_use]
    pub fn part(&self) -> Option<u32> {
        self.0.part
    }

    /// How many times the request was tried before it failed for good.
    #[must_use]
    pub fn attempts(&self) -> Option<u32> {
        self.0.attempts
    }

    /// The service's own code for what went wrong, such as `NoSuchBucket`, where it gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The service's id of the request that failed, for its support.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// True if the same call may succeed later without any change: a fault that passes.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// Sets the object's URI, unless one is set.
    #[must_use]
    pub fn with_uri(mut self, uri: impl Into<String>) -> Self {
        if self.0.uri.is_none() {
            self.edit().uri = Some(uri.into());
        }
        self
    }

    /// Adds something else that is worth knowing to the text, such as what a clean-up left.
    #[must_use]
    pub fn with_note(mut self, note: impl fmt::Display) -> Self {
        let inner = self.edit();
        inner.message = format!("{}; {note}", inner.message);
        self
    }

    /// Sets the part number.
    #[must_use]
    pub fn with_part(mut self, part: u32) -> Self {
        self.edit().part = Some(part);
        self
    }

    /// Sets the number of attempts.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.edit().attempts = Some(attempts);
        self
    }

    /// Sets the service's own code for what went wrong.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.edit().code = Some(code.into());
        self
    }

    /// Sets the service's id of the request.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<String>) -> Self {
        self.edit().request_id = Some(id.into());
        self
    }

    /// Says whether the same call may succeed later.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.edit().retryable = retryable;
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.edit().source = Some(Arc::new(source));
        self
    }

    fn edit(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        if let Some(uri) = &inner.uri {
            write!(f, "{uri}: ")?;
        }
        if let Some(part) = inner.part {
            write!(f, "part {part}: ")?;
        }
        f.write_str(&inner.message)?;
        match (inner.attempts.filter(|n| *n > 1), &inner.request_id) {
            (Some(n), Some(id)) => write!(f, " ({n} attempts, request id {id})"),
            (Some(n), None) => write!(f, " ({n} attempts)"),
            (None, Some(id)) => write!(f, " (request id {id})"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("text", &self.to_string())
            .field("retryable", &inner.retryable)
            .field("source", &inner.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<std::io::Error> for Error {
    /// Gives back the error that the I/O error was made of, if it was; else keeps the I/O error as
    /// the cause and maps its kind.
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let own = error.get_ref().and_then(|own| own.downcast_ref::<Self>());
        if let Some(own) = own {
            return own.clone();
        }
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::AccessDenied,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => ErrorKind::StorageFull,
            Io::InvalidInput | Io::IsADirectory | Io::NotADirectory | Io::InvalidFilename => {
                ErrorKind::InvalidInput
            }
            Io::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::Other,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

impl From<Error> for std::io::Error {
    /// Keeps the error, so that [`Error::from`] gives it back, and maps its kind.
    fn from(error: Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            ErrorKind::NotFound => Io::NotFound,
            ErrorKind::AccessDenied => Io::PermissionDenied,
            ErrorKind::AlreadyExists => Io::AlreadyExists,
            ErrorKind::InvalidInput => Io::InvalidInput,
            ErrorKind::Unsupported => Io::Unsupported,
            ErrorKind::StorageFull => Io::StorageFull,
            ErrorKind::Closed => Io::BrokenPipe,
            ErrorKind::ChecksumMismatch => Io::InvalidData,
            // Not `Interrupted`, after which callers try again.
            _ => Io::Other,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_names_object_part_attempts_and_request() {
        let error = Error::new(ErrorKind::Unavailable, "503 SlowDown")
            .with_uri("s3://b/k")
            .with_part(7)
            .with_attempts(5)
            .with_request_id("R1");
        assert_eq!(
            error.to_string(),
            "s3://b/k: part 7: 503 SlowDown (5 attempts, request id R1)"
        );
    }

    #[test]
    fn the_first_uri_stays_and_a_clone_is_not_changed() {
        let first = Error::new(ErrorKind::Other, "x").with_uri("a");
        let second = first.clone().with_uri("b").with_part(1);
        assert_eq!(second.uri(), Some("a"));
        assert_eq!(first.part(), None);
    }

    #[test]
    fn an_error_comes_back_from_an_io_error() {
        let error = Error::new(ErrorKind::Interrupted, "x").with_part(3);
        let io = std::io::Error::from(error);
        assert_eq!(io.kind(), std::io::ErrorKind::Other);
        let back = Error::from(io);
        assert_eq!(
            (back.kind(), back.part()),
            (ErrorKind::Interrupted, Some(3))
        );
    }

    #[test]
    fn an_io_error_keeps_its_meaning_and_its_cause() {
        let error = Error::from(std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(error.source().is_some());
    }
}
