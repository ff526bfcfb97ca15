//! From errors to what the user sees of them: text and exit code. Hints have a file of their own.

use std::fmt::{self, Write as _};
use std::io;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use writer_core::{Error, ErrorKind};

use crate::hints::hint;
use crate::json::{self, Errors, Problem};
use crate::printer::one_line;
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
    let code = code(error);
    let text = describe(error);
    if !is_told(error) {
        let hint = hint(error, &text.to_lowercase());
        let is_printed = json::report(&Problem::new(error, hint, code));
        if !is_printed && !error.is::<Interrupted>() {
            to_stderr(&text);
        }
    }
    ExitCode::from(code)
}

/// Prints what is wrong with the arguments, or the help that was asked for, and returns the exit
/// code.
pub(crate) fn misused(mut error: clap::Error) -> ExitCode {
    if let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested) {
        // What follows `--` is a command here, or another source.
        tips.retain(|tip| !tip.to_string().contains("as a value, use"));
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    // The arguments can't be read, so this is as much as is known of them.
    if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        Errors::Stdout.begin();
        let message = error.to_string();
        let message = message.trim_start_matches("error: ").trim_end().to_owned();
        let problem = Problem {
            kind: "usage".to_owned(),
            message,
            causes: Vec::new(),
            uri: None,
            request_id: None,
            code: None,
            retryable: false,
            hint: None,
            exit_code: code,
        };
        if json::report(&problem) {
            return ExitCode::from(code);
        }
    }
    // There is nowhere left to say that the stream is closed.
    let _ = error.print();
    ExitCode::from(code)
}

/// True for what the user has been told. (Who pressed Ctrl-C knows why it ended, too; a program
/// that reads JSON may not.)
fn is_told(error: &anyhow::Error) -> bool {
    let told = error.downcast_ref::<Several>();
    told.is_some_and(|several| several.text.is_empty())
}

/// Prints a warning: something is worth knowing, and does not change the outcome.
pub(crate) fn warn(text: &str) {
    to_stderr(&format!("warning: {}\n", one_line(text)));
}

/// Prints what is being done, where it would seem that nothing is.
pub(crate) fn notice(text: &str) {
    to_stderr(&format!("{text}\n"));
}

/// The texts of an error and of its causes, each once, and a hint. Names from outside, and what
/// services say, may hold what a terminal would obey.
fn describe(error: &anyhow::Error) -> String {
    let mut text = format!("error: {}\n", one_line(&error.to_string()));
    for cause in causes(error) {
        let _ = writeln!(text, "  caused by: {}", one_line(&cause));
    }
    if let Some(hint) = hint(error, &text.to_lowercase()) {
        let _ = writeln!(text, "hint: {hint}");
    }
    text
}

/// What the causes of `error` say that has not been said before.
pub(crate) fn causes(error: &anyhow::Error) -> Vec<String> {
    let (mut said, mut causes) = (error.to_string(), Vec::new());
    for cause in error.chain().skip(1).filter(|cause| is_telling(*cause)) {
        let cause = cause.to_string();
        if !said.contains(&cause) {
            said += &cause;
            causes.push(cause);
        }
    }
    causes
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
    fn a_terminal_is_not_told_what_to_do() {
        let cause = Error::new(ErrorKind::Other, "what\r\nthe service says");
        let error = Error::new(ErrorKind::Other, "no")
            .with_uri("s3://b/\x1b[2J\nerror: x")
            .with_source(cause);
        assert_eq!(
            describe(&error.into()),
            "error: s3://b/\\u{1b}[2J\\nerror: x: no\n  caused by: what\\r\\nthe service says\n"
        );
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
