//! Signals at random moments of an upload: the object is the old one or the new one, and nothing
//! else is left of it.
//!
//! `CHAOS_RUNS` says how often, and `CHAOS_SEED` with which moments: a run that fails has printed
//! the two that repeat it.

#![cfg(all(feature = "fs", feature = "s3"))]
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::collections::HashMap;
use std::env;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use common::server::cli;
use common::{
    Folders, assert_code, bytes, eventually, is_running, piped, run_with_input, send, wait,
};
use fastrand::Rng;
use rustix::process::Signal;
use testkit::server::{ETags, TestServer};

const OLD: &[u8] = b"old";

/// Two parts, of which the last is short.
static NEW: LazyLock<Vec<u8>> = LazyLock::new(|| bytes(6 << 20));

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    File,
    Pipe,
    Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    S3,
    Disk,
}

#[derive(Debug)]
struct Case {
    from: Source,
    to: Place,
    signal: Signal,
    /// When the signal comes, in parts of the time that such an upload takes.
    moment: f64,
    /// There is an object already.
    replaces: bool,
}

impl Case {
    fn of(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        Self {
            from: random
                .choice([Source::File, Source::Pipe, Source::Command])
                .unwrap(),
            to: random.choice([Place::S3, Place::Disk]).unwrap(),
            signal: random
                .choice([Signal::INT, Signal::TERM, Signal::KILL])
                .unwrap(),
            moment: random.f64() * 1.1,
            replaces: random.bool(),
        }
    }
}

/// One place of each kind, with nothing in it.
struct Run {
    server: TestServer,
    folders: Folders,
    from: Source,
    to: Place,
}

impl Run {
    fn new(case: &Case) -> Self {
        let folders = Folders::new();
        folders.source("new", &NEW);
        // MD5 would take most of the time.
        let server = TestServer::builder().etags(ETags::Random);
        Self {
            server: server.start_on_threads(1).unwrap(),
            folders,
            from: case.from,
            to: case.to,
        }
    }

    fn put(&self) -> Command {
        let mut command = cli(&self.server);
        command.args(["put", "--part-size=5M", "--memory=16M"]);
        command
    }

    fn uri(&self) -> String {
        match self.to {
            Place::S3 => "s3://test/key".into(),
            Place::Disk => self.folders.uri("key"),
        }
    }

    /// Stores `data` without a disturbance.
    fn store(&self, data: &[u8]) {
        let mut command = self.put();
        assert_code(&run_with_input(command.args(["-", &self.uri()]), data), 0);
    }

    /// Begins to store the new object.
    fn begin(&self) -> Child {
        let mut command = self.put();
        let file = self.folders.sources.join("new");
        match self.from {
            Source::File => command.arg(file).arg(self.uri()),
            Source::Pipe => command.args(["-", &self.uri()]),
            Source::Command => {
                let pid = self.folders.sources.join("pid");
                let script = format!("echo $$ > '{}'; cat '{}'", pid.display(), file.display());
                command.args([&self.uri(), "--", "sh", "-c", &script])
            }
        };
        let mut child = piped(&mut command);
        let mut stdin = child.stdin.take().unwrap();
        if self.from == Source::Pipe {
            // Nobody reads to the end if a signal comes.
            thread::spawn(move || stdin.write_all(&NEW).is_ok());
        }
        child
    }

    fn object(&self) -> Option<Vec<u8>> {
        match self.to {
            Place::S3 => self
                .server
                .object("key")
                .map(|object| object.bytes().to_vec()),
            Place::Disk => std::fs::read(self.folders.object("key")).ok(),
        }
    }

    fn assert_nothing_else_is_left(&self) {
        assert!(self.server.uploads().is_empty());
        let names = self.folders.names();
        assert!(names.is_empty() || names == ["key"], "{names:?}");
    }

    fn assert_the_command_has_ended(&self) {
        let Ok(pid) = std::fs::read_to_string(self.folders.sources.join("pid")) else {
            return;
        };
        eventually("the command ends", || !is_running(&pid));
    }
}

/// What a signal may make of it: it may come before the program listens, or after its work is done.
#[track_caller]
fn assert_ended_by(signal: Signal, status: ExitStatus) {
    let number = signal.as_raw();
    let ended = status.success()
        || status.signal() == Some(number)
        || (signal != Signal::KILL && status.code() == Some(128 + number));
    assert!(ended, "{status}");
}

fn disturb(case: &Case, usual: Duration) {
    let run = Run::new(case);
    if case.replaces {
        run.store(OLD);
    }
    let mut child = run.begin();
    thread::sleep(usual.mul_f64(case.moment));
    send(&child, case.signal);
    let status = wait(&mut child);
    assert_ended_by(case.signal, status);

    let object = run.object();
    let old = case.replaces.then(|| OLD.to_vec());
    let is_new = object.as_ref().is_some_and(|object| *object == *NEW);
    eprintln!(
        "  {status}, the {} object",
        if is_new { "new" } else { "old" }
    );
    assert!(is_new || (object == old && !status.success()), "{status}");
    run.assert_the_command_has_ended();
    if case.signal != Signal::KILL {
        run.assert_nothing_else_is_left();
    } else if case.to == Place::Disk {
        run.store(b"next");
        assert_eq!(run.folders.names(), ["key"], "what was left is swept");
        assert_eq!(run.folders.read("key"), b"next");
    }
}

/// How long such an upload takes without a signal.
fn measure(case: &Case) -> Duration {
    let run = Run::new(case);
    let start = Instant::now();
    assert!(wait(&mut run.begin()).success());
    start.elapsed()
}

fn number(variable: &str, default: u64) -> u64 {
    match env::var(variable) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    }
}

#[test]
fn whenever_a_signal_comes_the_object_is_the_old_or_the_new_one() {
    let seed = number("CHAOS_SEED", fastrand::u64(..u64::MAX / 2));
    let mut usual = HashMap::new();
    for seed in seed..seed + number("CHAOS_RUNS", 24) {
        let case = Case::of(seed);
        eprintln!("CHAOS_SEED={seed} CHAOS_RUNS=1: {case:?}");
        let usual = *usual
            .entry((case.from, case.to))
            .or_insert_with(|| measure(&case));
        disturb(&case, usual);
    }
}
