//! From the SDK's errors to ours: what happened, and whether another try may help.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadError;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_smithy_runtime_api::client::result::ConnectorError;
use writer_core::{Error, ErrorKind};

use crate::http::not_trusted;
use crate::profile::advice;

/// What failed, for the text: `UploadPart`, `CreateMultipartUpload`.
pub(crate) fn from_sdk<E>(operation: &str, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let request_id = error.request_id().map(str::to_owned);
    let mapped = match &error {
        SdkError::ServiceError(service) => {
            from_service(operation, service.raw().status().as_u16(), service.err())
        }
        SdkError::ConstructionFailure(_) => local(operation, &error),
        SdkError::DispatchFailure(failure) => match own_error(failure.as_connector_error()) {
            // Our body refused to go on: its reason is the reason.
            Some(own) => own,
            // Another attempt would find the same.
            None if let Some(text) = wrong_protocol(&error) => {
                Error::new(ErrorKind::InvalidInput, format!("{operation}: {text}"))
            }
            // A connection that is closed before the answer is "other", and passes.
            None if failure.is_io() || failure.is_timeout() || failure.as_other().is_some() => {
                let text = format!("{operation}: the connection failed: {}", causes(&error));
                Error::new(ErrorKind::Unavailable, text).with_retryable(true)
            }
            None => local(operation, &error),
        },
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => {
            let text = format!("{operation}: no valid answer: {}", causes(&error));
            Error::new(ErrorKind::Unavailable, text).with_retryable(true)
        }
        _ => local(operation, &error),
    };
    let mapped = match request_id {
        Some(id) => mapped.with_request_id(id),
        None => mapped,
    };
    mapped.with_source(error)
}

/// The S3 error code, where the service gave one.
pub(crate) fn code_of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error().and_then(|error| error.code())
}

/// An error of a request whose body was not sent to its end, so that it can't have been carried
/// out.
#[derive(Debug)]
struct Unsent(Error);

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Unsent {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// Says that the body of the request was not sent to its end.
pub(crate) fn unsent(error: Error) -> Error {
    error.clone().with_source(Unsent(error))
}

/// Whether PutObject or CompleteMultipartUpload may have been carried out in spite of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// It was refused, or never sent.
    None,
    /// The service says that it failed (500 with a code), which it does not know for sure.
    Failed,
    /// No answer came, or one that is not the service's own: it may still be carried out.
    Unanswered,
}

pub(crate) fn doubt(error: &Error) -> Doubt {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<Unsent>() {
            return Doubt::None;
        }
        let answer = answer_in::<PutObjectError>(error)
            .or_else(|| answer_in::<CompleteMultipartUploadError>(error));
        match answer {
            Some((status, _)) if is_refusal(status) => return Doubt::None,
            Some((_, true)) => return Doubt::Failed,
            Some((_, false)) => return Doubt::Unanswered,
            None => cause = error.source(),
        }
    }
    // Anything else failed on this side.
    match error.kind() {
        ErrorKind::Unavailable => Doubt::Unanswered,
        _ => Doubt::None,
    }
}

/// True if a service that answers with `status` has not done what it was asked.
pub(crate) fn is_refusal(status: u16) -> bool {
    matches!(status, 400..=499 | 501 | 503)
}

/// The status of the answer to a request, and whether it has an error code of S3.
fn answer_in<E>(error: &(dyn StdError + 'static)) -> Option<(u16, bool)>
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let error = error.downcast_ref::<SdkError<E, HttpResponse>>()?;
    let status = error.raw_response()?.status().as_u16();
    Some((status, code_of(error).is_some()))
}

/// A task on another thread did not come to its end.
pub(crate) fn shut_down(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Interrupted, "the runtime shuts down").with_source(error)
}

/// True if the service has more requests than it bears.
pub(crate) fn asks_to_slow_down<E>(error: &SdkError<E, HttpResponse>) -> bool {
    let status = error.raw_response().map(|raw| raw.status().as_u16());
    matches!(status, Some(429 | 503))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
fn from_service(operation: &str, status: u16, error: &impl ProvideErrorMetadata) -> Error {
    let code = error.code().unwrap_or_default();
    let kind = match (code, status) {
        ("NoSuchBucket" | "NoSuchKey" | "NoSuchUpload" | "NotFound", _) => ErrorKind::NotFound,
        ("PreconditionFailed", _) | (_, 412) => ErrorKind::PreconditionFailed,
        ("BadDigest" | "InvalidDigest" | "XAmzContentChecksumMismatch", _)
        | ("XAmzContentSHA256Mismatch", _) => ErrorKind::ChecksumMismatch,
        ("EntityTooLarge" | "EntityTooSmall", _) => ErrorKind::LimitExceeded,
        ("NotImplemented" | "MethodNotAllowed", _) | (_, 405 | 501) => ErrorKind::Unsupported,
        ("SlowDown" | "RequestTimeout" | "InternalError" | "ServiceUnavailable", _)
        | ("OperationAborted" | "ConditionalRequestConflict" | "IncompleteBody", _)
        | ("ThrottlingException" | "TooManyRequests", _) => ErrorKind::Unavailable,
        (_, 408 | 429 | 500 | 502..=599) => ErrorKind::Unavailable,
        ("ExpiredToken" | "InvalidToken" | "AuthorizationHeaderMalformed", _) | (_, 401 | 403) => {
            ErrorKind::AccessDenied
        }
        (_, 404) => ErrorKind::NotFound,
        // The bucket is elsewhere: by its region, or by the way it is addressed.
        (_, 300..=399) => ErrorKind::InvalidInput,
        (_, 400..=499) => ErrorKind::InvalidInput,
        _ => ErrorKind::Other,
    };
    // A body that was damaged on its way is sent again, and so is what was signed with credentials
    // that have expired, because there may be new ones. After a conflict of conditions, the upload
    // as a whole must begin again.
    let retryable = match kind {
        ErrorKind::Unavailable => code != "ConditionalRequestConflict",
        ErrorKind::ChecksumMismatch => true,
        ErrorKind::AccessDenied => code == "ExpiredToken",
        _ => false,
    };
    let name = if code.is_empty() { "no code" } else { code };
    let text = match error.message() {
        Some(message) if !message.is_empty() => {
            format!("{operation}: {name} ({status}): {message}")
        }
        _ => format!("{operation}: {name} ({status})"),
    };
    let mut refusal = Error::new(kind, text).with_retryable(retryable);
    if !code.is_empty() {
        refusal = refusal.with_code(code);
    }
    match advice(code, error.message().unwrap_or_default()) {
        Some(advice) => refusal.with_note(advice),
        None => refusal,
    }
}

/// A failure on this side, before a request was sent: no credentials, no region.
fn local(operation: &str, error: &(dyn StdError + 'static)) -> Error {
    let (kind, text) = match find::<CredentialsError>(error) {
        Some(CredentialsError::CredentialsNotLoaded(_)) => (
            ErrorKind::AccessDenied,
            "there are no credentials: the environment has none, nor has the profile".to_owned(),
        ),
        Some(error) => (
            ErrorKind::AccessDenied,
            format!("there are no credentials: {}", causes(error)),
        ),
        None => (
            ErrorKind::InvalidInput,
            format!("the request was not sent: {}", causes(error)),
        ),
    };
    Error::new(kind, format!("{operation}: {text}"))
}

/// The `writer_core::Error` among the causes of `error`; made of a certificate that is not trusted
/// if there is one.
fn own_error(error: Option<&(impl StdError + 'static)>) -> Option<Error> {
    let error = error?;
    let own = find::<Error>(error).cloned();
    own.or_else(|| match find::<rustls::Error>(error)? {
        rustls::Error::InvalidCertificate(why) => {
            Some(not_trusted("the service is not trusted", why))
        }
        _ => None,
    })
}

/// What is wrong if one side speaks TLS and the other does not.
fn wrong_protocol(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    use rustls::InvalidMessage;

    if let Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) = find(error) {
        return Some("the service does not speak TLS: its URL may begin with http://");
    }
    // What hyper makes of a TLS alert.
    let text = causes(error);
    text.contains("invalid HTTP version parsed")
        .then_some("the service does not speak HTTP: its URL may begin with https://")
}

/// The `T` among `error` and its causes. An I/O error that is made of another error does not say
/// that it is its cause.
pub(crate) fn find<'a, T: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The texts of all causes, without repetition, and without those that only say which layer of the
/// client they passed through.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        let is_layer = error.is::<ConnectorError>() || text.starts_with("client error (");
        if !is_layer && !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    if texts.is_empty() {
        error.to_string()
    } else {
        texts.join(": ")
    }
}
