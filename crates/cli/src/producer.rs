//! A command whose standard output becomes an object, if it succeeds.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use writer_core::{Error, ErrorKind, Result};

use crate::family::Family;

/// How long a command that nobody needs any more may take to end by itself: it finds its output
/// closed, and a terminal has told it of Ctrl-C, too.
const AT_EASE: Duration = Duration::from_millis(200);

/// How long it may take to clean up after SIGTERM, before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// How often it is looked whether what a command has started is still there.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// A command that is run once. Its standard input and error are those of this program.
#[derive(Debug)]
pub(crate) struct Producer {
    program: OsString,
    arguments: Vec<OsString>,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Running {
        wanted: bool,
    },
    /// How, if it ran and that is known.
    Ended(Option<ExitStatus>),
}

impl Producer {
    /// The command that `words` name: a program and its arguments. `None` if there is no word.
    pub(crate) fn new(words: Vec<OsString>) -> Option<Arc<Self>> {
        let mut words = words.into_iter();
        Some(Arc::new(Self {
            program: words.next()?,
            arguments: words.collect(),
            state: watch::Sender::new(State::Idle),
        }))
    }

    /// Starts the command; what it prints can be read from the pipe that this returns. Needs a
    /// runtime, on which somebody waits for the command from then on.
    ///
    /// # Errors
    ///
    /// With [`Failed`] as its cause, if it can't be started; if it was, or was stopped, before.
    pub(crate) fn start(self: &Arc<Self>) -> Result<File> {
        let starts = self.state.send_if_modified(|state| {
            let is_idle = *state == State::Idle;
            if is_idle {
                *state = State::Running { wanted: true };
            }
            is_idle
        });
        if !starts {
            return Err(self.error(ErrorKind::Closed, "was started or stopped before"));
        }
        match self.spawn() {
            Ok((child, output)) => {
                tokio::spawn(Arc::clone(self).keep(child));
                Ok(output)
            }
            Err(error) => {
                self.state.send_replace(State::Ended(None));
                let code = match error.kind() {
                    io::ErrorKind::NotFound => 127,
                    _ => 126,
                };
                let text = match Path::new(&self.program).is_dir() {
                    true => "is a folder, and no command".to_owned(),
                    false => format!("can't be started: {error}"),
                };
                Err(self.error(ErrorKind::Other, text).with_source(Failed(code)))
            }
        }
    }

    fn spawn(&self) -> io::Result<(Child, File)> {
        let (output, input) = io::pipe()?;
        let mut command = Command::new(&self.program);
        // The command's own end must be closed here, which it is when `command` is dropped.
        let child = command.args(&self.arguments).stdout(input).spawn()?;
        Ok((child, OwnedFd::from(output).into()))
    }

    /// Waits for `child`, and ends it when it is not wanted any more.
    async fn keep(self: Arc<Self>, mut child: Child) {
        let mut states = self.state.subscribe();
        let unwanted = async {
            // Can't fail: the sender is here.
            let _ = states
                .wait_for(|state| *state == State::Running { wanted: false })
                .await;
        };
        let ended = tokio::select! {
            status = child.wait() => status,
            () = unwanted => end(&mut child).await,
        };
        self.state.send_replace(State::Ended(ended.ok()));
    }

    /// Waits until the command has ended.
    ///
    /// # Errors
    ///
    /// If it has failed, with [`Failed`] as the cause.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub(crate) async fn success(&self) -> Result<()> {
        let Some(status) = self.ended().await else {
            return Err(self.error(ErrorKind::Other, "nobody knows how the command has ended"));
        };
        let (text, code) = match (status.code(), status.signal()) {
            (Some(0), _) => return Ok(()),
            (Some(code), _) => (format!("the command failed with exit code {code}"), code),
            (_, signal) => {
                let signal = signal.unwrap_or_default();
                let text = format!("the command was killed by signal {signal}");
                (text, 128 + signal)
            }
        };
        let error = self.error(ErrorKind::Other, format!("{text}; nothing was stored"));
        Err(error.with_source(Failed(code.try_into().unwrap_or(1))))
    }

    /// Ends the command if it is still running, and what it has started, by SIGTERM and in the end
    /// by SIGKILL, and waits until they are gone. It is never started later.
    pub(crate) async fn stop(&self) {
        self.state.send_if_modified(|state| match state {
            State::Idle => {
                *state = State::Ended(None);
                true
            }
            State::Running { wanted } => std::mem::replace(wanted, false),
            State::Ended(_) => false,
        });
        self.ended().await;
    }

    async fn ended(&self) -> Option<ExitStatus> {
        let mut states = self.state.subscribe();
        let ended = states
            .wait_for(|state| matches!(state, State::Ended(_)))
            .await;
        match ended.as_deref() {
            Ok(State::Ended(status)) => *status,
            _ => None,
        }
    }

    fn error(&self, kind: ErrorKind, text: impl Into<String>) -> Error {
        Error::new(kind, text).with_uri(self.to_string())
    }
}

/// The command's name. Its arguments are not said: they may hold what nobody else should see.
impl fmt::Display for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.program.display().fmt(f)
    }
}

/// Ends the command, and what it has started: told as a terminal tells of Ctrl-C, all at once.
async fn end(child: &mut Child) -> io::Result<ExitStatus> {
    // It has an id until it was waited for, so this is no other process.
    let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let mut family = Family::default();
    // Before it ends: who has no parent any more can't be told from others.
    look(&mut family, id);
    for (patience, signal) in [(AT_EASE, Signal::TERM), (GRACE, Signal::KILL)] {
        if timeout(patience, gone(child, &family)).await.is_ok() {
            break;
        }
        if child.try_wait()?.is_none() {
            look(&mut family, id);
            if let Some(id) = id {
                let _already_ended = kill_process(id, signal);
            }
        }
        family.send(signal);
    }
    child.wait().await
}

fn look(family: &mut Family, id: Option<Pid>) {
    if let Some(id) = id {
        family.look(id);
    }
}

/// Waits until a command has ended, and what it has started, too.
async fn gone(child: &mut Child, family: &Family) -> io::Result<ExitStatus> {
    let ended = child.wait().await;
    while !family.is_gone() {
        // Only a parent is told.
        sleep(BETWEEN_LOOKS).await;
    }
    ended
}

/// Why there is no object: the command failed, or can't be started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed(
    /// The exit code that a shell would have.
    pub(crate) u8,
);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}", self.0)
    }
}

impl std::error::Error for Failed {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::time::Instant;

    fn shell(script: &str) -> Arc<Producer> {
        Producer::new(["sh", "-c", script].map(OsString::from).into()).unwrap()
    }

    fn code(error: &Error) -> Option<u8> {
        let source = std::error::Error::source(error)?;
        source.downcast_ref::<Failed>().map(|failed| failed.0)
    }

    #[tokio::test]
    async fn what_it_prints_and_how_it_ends_is_known() {
        for (script, printed, expected) in [
            ("printf abc", "abc", None),
            ("printf abc; exit 3", "abc", Some(3)),
            ("kill -9 $$", "", Some(137)),
        ] {
            let producer = shell(script);
            let mut text = String::new();
            let mut output = producer.start().unwrap();
            output.read_to_string(&mut text).unwrap();
            assert_eq!(text, printed, "{script}");
            let failed = producer.success().await.err();
            assert_eq!(failed.as_ref().and_then(code), expected, "{script}");
            assert_eq!(failed.is_some(), expected.is_some(), "{script}");
        }
    }

    #[tokio::test]
    async fn what_can_not_be_started_has_the_exit_code_of_a_shell() {
        for (program, expected) in [("/no/such/program", 127), ("/etc/hostname", 126)] {
            let producer = Producer::new(vec![program.into()]).unwrap();
            let error = producer.start().unwrap_err();
            assert_eq!(code(&error), Some(expected), "{error}");
            producer.stop().await;
        }
        assert!(Producer::new(Vec::new()).is_none());
    }

    #[tokio::test]
    async fn it_is_started_once_and_not_after_it_was_stopped() {
        let producer = shell("exit 0");
        let _output = producer.start().unwrap();
        assert_eq!(producer.start().unwrap_err().kind(), ErrorKind::Closed);
        producer.success().await.unwrap();

        let producer = shell("exit 0");
        producer.stop().await;
        assert_eq!(producer.start().unwrap_err().kind(), ErrorKind::Closed);
    }

    #[tokio::test]
    async fn one_that_is_stopped_is_told_and_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("told");
        let script = format!(
            "trap 'echo told > {}; exit 1' TERM; echo; while :; do sleep 0.01; done",
            told.display()
        );
        let producer = shell(&script);
        let mut output = producer.start().unwrap();
        output.read_exact(&mut [0]).unwrap();
        producer.stop().await;
        assert_eq!(std::fs::read(&told).unwrap(), b"told\n");
    }

    #[tokio::test]
    async fn one_that_does_not_listen_is_killed() {
        let producer = shell("trap '' TERM; echo; while :; do sleep 0.01; done");
        let mut output = producer.start().unwrap();
        output.read_exact(&mut [0]).unwrap();
        let start = Instant::now();
        producer.stop().await;
        assert!(start.elapsed() >= AT_EASE + GRACE);
        assert_eq!(
            producer.success().await.err().as_ref().and_then(code),
            Some(137)
        );
    }
}
