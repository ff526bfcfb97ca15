//! From errors to what the user sees of them: text, hint and exit code.

use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use writer_core::{Error, ErrorKind};

use crate::json::{self, Errors, Problem};
use crate::producer::Failed;
use crate::signals::Interrupted;
use crate::tally::Several;
use crate::terminal::to_stderr;

/// The exit codes, as the help shows them.
pub(crate) const TABLE: &str = "\
Exit codes:
  0    success
  1    any error that has no code of its own; of verify, that the two differ
  2    wrong use: an argument, an option, a URI or an environment variable
  3    not found
  4    access denied
  5    already exists, or another condition of the write did not hold
  6    unavailable: the service can't be reached, or asks to slow down
  126  the command of `put DEST -- COMMAND` can't be started
  127  there is no such command
  129  the terminal is gone (SIGHUP)
  130  interrupted (SIGINT)
  143  terminated (SIGTERM)
A command that fails gives its exit code, 128 + n if signal n has killed it.";

/// How the SDK, in its many ways, says that it found no credentials.
const NO_CREDENTIALS: [&str; 6] = [
    "loading credentials",
    "no credentials",
    "credentials provider",
    "credential provider",
    "provided credentials",
    "load credentials",
];

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
pub(crate) fn misused(error: &clap::Error) -> ExitCode {
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
    to_stderr(&format!("warning: {text}\n"));
}

/// Prints what is being done, where it would seem that nothing is.
pub(crate) fn notice(text: &str) {
    to_stderr(&format!("{text}\n"));
}

/// The texts of an error and of its causes, each once, and a hint.
fn describe(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}\n");
    for cause in causes(error) {
        let _ = writeln!(text, "  caused by: {cause}");
    }
    if let Some(hint) = hint(error, &text.to_lowercase()) {
        let _ = writeln!(text, "hint: {hint}");
    }
    text
}

/// What the causes of `error` say that has not been said before.
pub(crate) fn causes(error: &anyhow::Error) -> Vec<String> {
    // Errors of the SDK say in the language of its types what ours have said already.
    let telling =
        |cause: &&(dyn std::error::Error + 'static)| cause.is::<Error>() || cause.is::<io::Error>();
    let (mut said, mut causes) = (error.to_string(), Vec::new());
    for cause in error.chain().skip(1).filter(telling) {
        let cause = cause.to_string();
        if !said.contains(&cause) {
            said += &cause;
            causes.push(cause);
        }
    }
    causes
}

fn kind(error: &anyhow::Error) -> Option<ErrorKind> {
    let error = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Error>());
    error.map(Error::kind)
}

/// The exit code of a program that ends with `error`.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    if let Some(Interrupted(signal)) = error.downcast_ref() {
        return signal.exit_code();
    }
    if let Some(several) = error.downcast_ref::<Several>() {
        return several.code;
    }
    if let Some(Failed(code)) = error.chain().find_map(|cause| cause.downcast_ref()) {
        return *code;
    }
    match kind(error) {
        Some(ErrorKind::InvalidInput | ErrorKind::Unsupported) => 2,
        Some(ErrorKind::NotFound) => 3,
        Some(ErrorKind::AccessDenied) => 4,
        Some(ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed) => 5,
        Some(ErrorKind::Unavailable) => 6,
        _ => 1,
    }
}

/// What the user can do about it; `text` is all that is known, in lower case.
fn hint(error: &anyhow::Error, text: &str) -> Option<&'static str> {
    if NO_CREDENTIALS.iter().any(|words| text.contains(words)) {
        return Some(
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile that has \
             credentials with --profile",
        );
    }
    if ["signaturedoesnotmatch", "invalidaccesskeyid"]
        .iter()
        .any(|code| text.contains(code))
    {
        return Some("the service does not know these credentials: check the key and the secret");
    }
    if text.contains("authorizationheadermalformed") {
        return Some("the credentials are for another region: set --region or AWS_REGION");
    }
    if text.contains("there are objects below") {
        return Some("`s3-cli rm -r` removes them, and with --dry-run says which they are");
    }
    if text.contains("may be somebody's") {
        return Some("`--resume --upload-id ID` takes it up all the same");
    }
    if text.contains("expected_checksum is that of") {
        return Some(
            "--compress=none stores it as it is, and --expect-checksum is that of the file",
        );
    }
    if text.contains("may take half of the memory budget") {
        return Some("raise --memory, or lower --compress-level or --compress-threads");
    }
    if text.contains("is not known to keep the condition") {
        return Some(
            "--service names what it is; --conditions=check-first looks first, which is no \
             protection against others; --conditions=trust if you know that it keeps them",
        );
    }
    match kind(error)? {
        ErrorKind::NotFound if text.contains("bucket") => {
            Some("check the name of the bucket, --region and --endpoint-url, or create the bucket")
        }
        ErrorKind::AccessDenied if text.contains("s3://") => Some(
            "writing needs s3:PutObject and s3:AbortMultipartUpload, reading s3:GetObject, listing \
             s3:ListBucket; --profile chooses other credentials",
        ),
        ErrorKind::AlreadyExists => Some("leave out --if-none-match to replace it"),
        ErrorKind::PreconditionFailed => {
            Some("`s3-cli stat` shows the ETag that it has now, for --if-match")
        }
        ErrorKind::LimitExceeded if text.contains("memory") => {
            Some("raise --memory (S3DLIO_PUT_MEMORY) or lower --part-size (S3DLIO_PUT_PART_SIZE)")
        }
        ErrorKind::LimitExceeded if text.contains("expected size") => {
            Some("--expected-size says how many bytes will come")
        }
        ErrorKind::SourceChanged => Some("nothing was stored; try again when nobody writes to it"),
        ErrorKind::Ambiguous => Some("`s3-cli stat` shows which object is there now"),
        ErrorKind::Unavailable => Some(
            "check the network, --endpoint-url and --region; the same command may succeed later",
        ),
        _ => None,
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
        ] {
            assert_eq!(code(&error(kind, "x")), expected, "{kind}");
            assert!(table(expected), "{expected}");
        }
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
        let cause = io::Error::other("connection refused");
        let middle = Error::new(ErrorKind::Unavailable, "connection refused").with_source(cause);
        let error = anyhow::Error::from(middle).context("no reply");
        assert_eq!(
            describe(&error),
            "error: no reply\n  caused by: connection refused\nhint: check the network, \
             --endpoint-url and --region; the same command may succeed later\n"
        );
    }

    #[test]
    fn what_can_be_helped_has_a_hint() {
        for (kind, text, expected) in [
            (
                ErrorKind::AccessDenied,
                "no credentials were found",
                "AWS_ACCESS_KEY_ID",
            ),
            (
                ErrorKind::NotFound,
                "there is no such bucket",
                "create the bucket",
            ),
            (ErrorKind::AccessDenied, "access denied", "s3:PutObject"),
            (ErrorKind::AlreadyExists, "there is one", "--if-none-match"),
            (ErrorKind::PreconditionFailed, "another one", "--if-match"),
            (ErrorKind::LimitExceeded, "the memory budget", "--memory"),
        ] {
            let text = describe(&error(kind, text));
            assert!(text.contains(expected), "{text}");
        }
        assert!(!describe(&error(ErrorKind::NotFound, "no such object")).contains("hint"));
    }
}
