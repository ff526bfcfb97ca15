//! Results and errors as lines of JSON. `docs/command-line.md` describes them.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::Serialize;
use writer_core::{Error, ErrorKind, ObjectMetadata};
use writer_tokio::Receipt;

use crate::exit;
use crate::producer::Failed;
use crate::signals::Interrupted;
use crate::tally::Several;
use crate::terminal;

/// Where errors go as JSON; not set, they are text.
static ERRORS: OnceLock<Errors> = OnceLock::new();

/// Held while something is printed on standard output, so that lines stay whole.
static LINES: Mutex<()> = Mutex::new(());

/// Where errors go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Errors {
    Stdout,
    /// Standard output is for the bytes of an object.
    Stderr,
}

impl Errors {
    /// Errors are JSON from here on.
    pub(crate) fn begin(self) {
        // Only `main` calls this, and once.
        let _first = ERRORS.set(self);
    }
}

/// Writes `bytes` to `out`, which is standard output, when nobody else does.
pub(crate) fn write_whole(mut out: &File, bytes: &[u8]) -> io::Result<()> {
    // The lock holds nothing that a panic could leave half done.
    let _alone = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    out.write_all(bytes)
}

/// `value` as a line.
pub(crate) fn line(value: &impl Serialize) -> String {
    // Maps have keys of text, and nothing here fails by itself.
    let text = serde_json::to_string(value);
    text.unwrap_or_else(|error| format!("{{\"error\":{{\"message\":{:?}}}}}", error.to_string()))
        + "\n"
}

/// Prints an error as JSON, if errors are; false if it is to be printed as text.
pub(crate) fn report(problem: &Problem<'_>) -> bool {
    #[derive(Serialize)]
    struct Line<'a> {
        error: &'a Problem<'a>,
    }

    let line = line(&Line { error: problem });
    match ERRORS.get() {
        None => false,
        Some(Errors::Stdout) => {
            let out = io::stdout().as_fd().try_clone_to_owned();
            out.and_then(|out| write_whole(&out.into(), line.as_bytes()))
                .is_ok()
        }
        Some(Errors::Stderr) => {
            terminal::to_stderr(&line);
            true
        }
    }
}

/// An error, as JSON has it.
#[derive(Debug, Serialize)]
pub(crate) struct Problem<'a> {
    /// [`ErrorKind`] in snake case; or `command`, `signal`, `several`, `usage`.
    pub(crate) kind: String,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) causes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<&'a str>,
    /// The service's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<&'a str>,
    pub(crate) retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<&'a str>,
    pub(crate) exit_code: u8,
}

impl<'a> Problem<'a> {
    pub(crate) fn new(error: &'a anyhow::Error, hint: Option<&'a str>, exit_code: u8) -> Self {
        let ours = error
            .chain()
            .find_map(|cause| cause.downcast_ref::<Error>());
        let (kind, message) = match error.downcast_ref::<Interrupted>() {
            Some(_) => ("signal".to_owned(), "ended by a signal".to_owned()),
            None => (kind_of(error, ours), error.to_string()),
        };
        Self {
            kind,
            message,
            causes: exit::causes(error),
            uri: ours.and_then(Error::uri),
            request_id: ours.and_then(Error::request_id),
            code: ours.and_then(Error::code),
            retryable: ours.is_some_and(Error::is_retryable),
            hint,
            exit_code,
        }
    }
}

fn kind_of(error: &anyhow::Error, ours: Option<&Error>) -> String {
    if error.is::<Several>() {
        return "several".to_owned();
    }
    if error.chain().any(|cause| cause.is::<Failed>()) {
        return "command".to_owned();
    }
    snake_case(ours.map_or(ErrorKind::Other, Error::kind))
}

/// `NotFound` becomes `not_found`.
fn snake_case(kind: ErrorKind) -> String {
    let mut name = String::new();
    for letter in format!("{kind:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// The receipt of an object that was written.
#[derive(Serialize)]
pub(crate) struct Uploaded<'a> {
    pub(crate) source: String,
    /// It was read back, and is the same.
    pub(crate) verified: bool,
    #[serde(flatten)]
    pub(crate) receipt: Receipt<'a>,
}

/// That an object is the same as a file.
#[derive(Serialize)]
pub(crate) struct Same<'a> {
    pub(crate) source: String,
    pub(crate) same: bool,
    /// `checksum` if the service keeps it, `reading` if the object was read.
    pub(crate) by: &'a str,
    #[serde(flatten)]
    pub(crate) object: Receipt<'a>,
}

/// That an object is gone, or would be.
#[derive(Serialize)]
pub(crate) struct Removed<'a> {
    pub(crate) uri: &'a str,
    pub(crate) removed: bool,
}

/// What was found of an object.
pub(crate) fn object(object: &ObjectMetadata) -> String {
    line(&Receipt(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_a_program_can_act_on() {
        let error = Error::new(ErrorKind::NotFound, "no such bucket").with_uri("s3://b/k");
        let error = anyhow::Error::from(error).context("listing");
        let problem = Problem::new(&error, Some("make it"), 3);
        assert_eq!(
            line(&problem),
            "{\"kind\":\"not_found\",\"message\":\"listing\",\
             \"causes\":[\"s3://b/k: no such bucket\"],\"uri\":\"s3://b/k\",\
             \"retryable\":false,\"hint\":\"make it\",\"exit_code\":3}\n"
        );
        for (kind, name) in [
            (ErrorKind::ChecksumMismatch, "checksum_mismatch"),
            (ErrorKind::Other, "other"),
        ] {
            assert_eq!(snake_case(kind), name);
        }
    }

    #[test]
    fn an_error_that_is_none_of_ours_has_a_kind_of_its_own() {
        let kind = |error: anyhow::Error| Problem::new(&error, None, 1).kind;
        assert_eq!(kind(anyhow::anyhow!("x")), "other");
        let text = "2 of 3".to_owned();
        assert_eq!(kind(Several { text, code: 1 }.into()), "several");
        let failed = Error::new(ErrorKind::Other, "x").with_source(Failed(7));
        assert_eq!(kind(failed.into()), "command");
    }
}
