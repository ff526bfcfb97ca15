//! SIGINT, SIGTERM and SIGHUP: the first asks to stop and clean up, the second ends at once.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::signal::unix;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::exit;
use crate::terminal;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
    /// The terminal is gone.
    HangUp,
}

impl Signal {
    /// 128 + the signal's number, as shells have it.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
            Self::HangUp => 129,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "interrupted",
            Self::Terminate => "terminated",
            Self::HangUp => "hung up",
        })
    }
}

/// The error of work that a signal ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interrupted(pub(crate) Signal);

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Interrupted {}

/// How long the end of a pipe is doubted.
const DOUBT: Duration = Duration::from_millis(30);

/// Waits a moment before the end of a pipe is taken for the end of its data. A terminal tells all
/// programs of Ctrl-C. The one that writes may end by it at once, even with exit code 0, and its
/// end may be seen before the signal is: without the wait, 2 of 100 such pipes became objects.
///
/// # Cancellation
///
/// Safe.
pub(crate) async fn doubt_the_end() {
    sleep(DOUBT).await;
}

/// Whether a signal has come.
#[derive(Clone, Debug)]
pub(crate) struct Signals(watch::Receiver<Option<Signal>>);

impl Signals {
    /// Takes the signals over, from now on; SIGHUP unless it is ignored, as `nohup` has it.
    ///
    /// # Errors
    ///
    /// If the system does not allow it.
    pub(crate) fn listen() -> io::Result<Self> {
        let mut stream = Stream {
            interrupt: unix::signal(unix::SignalKind::interrupt())?,
            terminate: unix::signal(unix::SignalKind::terminate())?,
            hang_up: match ignores_hang_up() {
                true => None,
                false => Some(unix::signal(unix::SignalKind::hangup())?),
            },
        };
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(async move {
            let first = stream.next().await;
            terminal::clear();
            exit::notice(&format!("{first}: stopping; once more ends at once"));
            sender.send_replace(Some(first));
            let second = stream.next().await;
            std::process::exit(second.exit_code().into());
        });
        Ok(Self(receiver))
    }

    /// Does `work` until a signal comes, and then drops it.
    ///
    /// # Errors
    ///
    /// Those of `work`, or [`Interrupted`].
    pub(crate) async fn guard<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> anyhow::Result<T>
    where
        anyhow::Error: From<E>,
    {
        let mut receiver = self.0.clone();
        tokio::select! {
            biased;
            Ok(signal) = receiver.wait_for(Option::is_some) => {
                Err(Interrupted(signal.unwrap_or(Signal::Interrupt)).into())
            }
            result = work => Ok(result?),
        }
    }
}

struct Stream {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hang_up: Option<unix::Signal>,
}

impl Stream {
    async fn next(&mut self) -> Signal {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            _ = hang_up => Signal::HangUp,
        }
    }
}

/// Whether this program was started to outlive its terminal; where the system does not say
/// (proc_pid_status(5)), it is left as it is.
fn ignores_hang_up() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return true;
    };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // SIGHUP is number 1, and so the lowest bit of the mask.
    let digit = mask.and_then(|mask| mask.trim().chars().last()?.to_digit(16));
    digit.is_none_or(|digit| digit & 1 == 1)
}
