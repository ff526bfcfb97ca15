//! From errors to what the user sees of them: text and exit code. Hints have a file of their own.

use std::fmt::{self, Write as _};
use std::io;
use std::process::ExitCode;

use writer_core::{Error, ErrorKind};

use crate::hints::hint;
use crate::producer::Failed;
use crate::signals::Interrupted;
use crate::tally::Several;
use crate::terminal::to_stderr;

/// The exit codes, as the help shows them.
pub(crate) const TABLE: &str = "\
Exit codes:
  0    success
  1    any error that has no code of its own
  2    wrong use: an argument, an option, a URI or an environment variable
  3    not found
  4    access denied
  5    already exists, or another condition of the write did not hold
  6    unavailable: the service can't be reached, or asks to slow down
  7    other content: than it was said to be, than was stored, or than the file has
  126  the command of `put DEST -- COMMAND` can't be started
  127  there is no such command
  129  the terminal is gone (SIGHUP)
  130  interrupted (SIGINT)
  143  terminated (SIGTERM)
A command that fails gives its own, 128 + n if signal n has killed it.";

/// Prints `error` with its causes and a hint, and returns its exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if !is_known(error) {
        to_stderr(&describe(error));
    }
    ExitCode::from(code(error))
}

/// True for what the user has been told, or did: who pressed Ctrl-C knows why it ended.
fn is_known(error: &anyhow::Error) -> bool {
    let told = error.downcast_ref::<Several>();
    error.is::<Interrupted>() || told.is_some_and(|several| several.text.is_empty())
}

/// Prints a warning: something is worth knowing, and does not change the outcome.
pub(crate) fn warn(text: &str) {
    to_stderr(&format!("warning: {text}\n"));
}

/// Prints what is being done, where it would seem that nothing is.
pub(crate) fn notice(text: &str) {
    to_stderr(&format!("{text}\n"));
}

/// The texts of an error and of its causes, each once, and a hint.
fn describe(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1).filter(|cause| is_telling(*cause)) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            let _ = writeln!(text, "  caused by: {cause}");
        }
    }
    if let Some(hint) = hint(error, &text.to_lowercase()) {
        let _ = writeln!(text, "hint: {hint}");
    }
    text
}

/// True for our errors and for those of the system. Those of libraries say in the language of their
/// types what ours have said already.
fn is_telling(cause: &(dyn std::error::Error + 'static)) -> bool {
    let io = cause.downcast_ref::<io::Error>();
    cause.is::<Error>() || io.is_some_and(|error| error.get_ref().is_none())
}

/// What kind of error it is, if it is one of ours.
pub(crate) fn kind(error: &anyhow::Error) -> Option<ErrorKind> {
    find::<Error>(error).map(Error::kind)
}

/// The first `T` among `error` and its causes.
pub(crate) fn find<T: std::error::Error + 'static>(error: &anyhow::Error) -> Option<&T> {
    error.chain().find_map(|cause| cause.downcast_ref())
}

/// The cause of an error of content that has not the size that it was said to have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OtherSize;

impl fmt::Display for OtherSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("--expected-size says another size")
    }
}

impl std::error::Error for OtherSize {}

/// The exit code of a program that ends with `error`.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    if let Some(Interrupted(signal)) = error.downcast_ref() {
        return signal.exit_code();
    }
    if let Some(several) = error.downcast_ref::<Several>() {
        return several.code;
    }
    if let Some(Failed(code)) = find(error) {
        return *code;
    }
    if find::<OtherSize>(error).is_some() {
        return 7;
    }
    match kind(error) {
        Some(ErrorKind::InvalidInput | ErrorKind::Unsupported) => 2,
        Some(ErrorKind::NotFound) => 3,
        Some(ErrorKind::AccessDenied) => 4,
        Some(ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed) => 5,
        Some(ErrorKind::Unavailable) => 6,
        Some(ErrorKind::ChecksumMismatch | ErrorKind::SourceChanged) => 7,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::Signal;

    fn error(kind: ErrorKind, text: &str) -> anyhow::Error {
        Error::new(kind, text).with_uri("s3://b/k").into()
    }

    #[test]
    fn every_code_is_in_the_table() {
        let table = |code: u8| {
            let mut lines = TABLE.lines().skip(1);
            lines.any(|line| line.split_whitespace().next() == Some(&code.to_string()))
        };
        for (kind, expected) in [
            (ErrorKind::Other, 1),
            (ErrorKind::InvalidInput, 2),
            (ErrorKind::Unsupported, 2),
            (ErrorKind::NotFound, 3),
            (ErrorKind::AccessDenied, 4),
            (ErrorKind::AlreadyExists, 5),
            (ErrorKind::PreconditionFailed, 5),
            (ErrorKind::Unavailable, 6),
            (ErrorKind::ChecksumMismatch, 7),
            (ErrorKind::SourceChanged, 7),
        ] {
            assert_eq!(code(&error(kind, "x")), expected, "{kind}");
            assert!(table(expected), "{expected}");
        }
        let other_size = Error::new(ErrorKind::InvalidInput, "x").with_source(OtherSize);
        assert_eq!(code(&other_size.into()), 7);
        for expected in [126, 127] {
            let cause = Error::new(ErrorKind::Other, "x").with_source(Failed(expected));
            assert_eq!(code(&cause.into()), expected);
            assert!(table(expected), "{expected}");
        }
        for (signal, expected) in [
            (Signal::HangUp, 129),
            (Signal::Interrupt, 130),
            (Signal::Terminate, 143),
        ] {
            assert_eq!(code(&Interrupted(signal).into()), expected);
            assert!(table(expected), "{expected}");
        }
    }

    #[test]
    fn a_code_is_found_below_a_context() {
        let error = error(ErrorKind::NotFound, "no such bucket").context("listing");
        assert_eq!(code(&error), 3);
    }

    #[test]
    fn a_cause_that_was_said_is_not_repeated() {
        let cause = io::Error::from_raw_os_error(111);
        let text = format!("no connection: {cause}");
        let middle = Error::new(ErrorKind::Unavailable, text).with_source(cause);
        let error = anyhow::Error::from(middle).context("no reply");
        assert_eq!(
            describe(&error),
            "error: no reply\n  caused by: no connection: Connection refused (os error 111)\nhint: check the network, \
             --endpoint-url and --region; the same command may succeed later\n"
        );
    }
}
