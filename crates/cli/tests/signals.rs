//! SIGINT, SIGTERM and SIGHUP in the middle of an upload.

#![cfg(feature = "fs")]
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use common::{Folders, bytes, eventually, piped, s3_cli, send, takes, wait};
use rustix::process::Signal;

/// Uploads from a pipe that never ends, sends `signal` in the middle, and returns how it ended.
fn stopped_by(signal: Signal, extra: &[&str]) -> (ExitStatus, Vec<String>) {
    let folders = Folders::new();
    let uri = folders.uri("object");
    // What runs these tests may ignore SIGHUP, as `nohup` does.
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_s3-cli")]);
    command.args(["put", "--part-size=1M", "--memory=4M", "-", &uri]);
    let mut child = piped(command.args(extra));
    let mut stdin = child.stdin.take().unwrap();
    // More than the pipe and two pages hold: when this returns, the writer has some of it.
    stdin.write_all(&bytes(6 << 20)).unwrap();
    send(&child, signal);
    let status = wait(&mut child);
    drop(stdin);
    (status, folders.names())
}

#[test]
fn an_interrupted_upload_leaves_nothing() {
    let (status, names) = stopped_by(Signal::INT, &[]);
    assert_eq!(status.code(), Some(130));
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn a_terminated_upload_leaves_nothing() {
    let (status, names) = stopped_by(Signal::TERM, &[]);
    assert_eq!(status.code(), Some(143));
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn an_upload_whose_terminal_is_gone_leaves_nothing() {
    let (status, names) = stopped_by(Signal::HUP, &[]);
    assert_eq!(status.code(), Some(129));
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn nohup_keeps_an_upload_going() {
    let folders = Folders::new();
    let uri = folders.uri("object");
    let mut command = Command::new("sh");
    let script = "trap '' HUP; exec \"$@\"";
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_s3-cli")]);
    let mut child = piped(command.args(["put", "-", &uri]));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&bytes(2 << 20)).unwrap();
    eventually("it takes signals", || takes(&child, Signal::INT));
    send(&child, Signal::HUP);
    drop(stdin);
    assert_eq!(wait(&mut child).code(), Some(0));
    assert_eq!(folders.read("object"), bytes(2 << 20));
}

#[test]
fn a_buffered_upload_can_be_interrupted_while_it_reads() {
    let (status, names) = stopped_by(Signal::INT, &["--buffered"]);
    assert_eq!(status.code(), Some(130));
    assert!(names.is_empty(), "{names:?}");
}

/// A terminal tells all programs of a pipeline of Ctrl-C: the one that writes ends, too.
#[test]
fn the_end_of_a_pipe_that_comes_with_a_signal_is_no_end() {
    for _ in 0..20 {
        let folders = Folders::new();
        let uri = folders.uri("object");
        let mut child = piped(s3_cli().args(["put", "-", &uri]));
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"some").unwrap();
        eventually("it takes signals", || takes(&child, Signal::INT));
        // By now it most likely waits for more.
        std::thread::sleep(Duration::from_millis(30));
        send(&child, Signal::INT);
        drop(stdin);
        assert_eq!(wait(&mut child).code(), Some(130));
        assert!(folders.names().is_empty());
    }
}

#[test]
fn the_old_object_stays() {
    let folders = Folders::new();
    std::fs::write(folders.object("object"), b"old").unwrap();
    let uri = folders.uri("object");
    let mut child = piped(s3_cli().args(["put", "-", &uri]));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&bytes(4 << 20)).unwrap();
    send(&child, Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(130));
    assert_eq!(folders.names(), ["object"]);
    assert_eq!(folders.read("object"), b"old");
}

#[test]
fn what_the_signal_does_is_said() {
    let folders = Folders::new();
    let uri = folders.uri("object");
    let mut child = piped(s3_cli().args(["put", "-", &uri]));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&bytes(4 << 20)).unwrap();
    send(&child, Signal::INT);
    let mut line = String::new();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    errors.read_line(&mut line).unwrap();
    assert!(line.starts_with("interrupted"), "{line}");
    assert_eq!(wait(&mut child).code(), Some(130));
}

/// Some objects are stored, some are on their way, and some not begun.
#[test]
fn of_many_objects_those_that_are_stored_stay_and_of_the_others_there_is_nothing() {
    let folders = Folders::new();
    let stored = folders.source("stored", b"stored");
    let (slow, waiting) = (folders.fifo("slow"), folders.fifo("waiting"));
    let mut command = s3_cli();
    command.arg("put").args([&stored, &slow, &waiting]);
    let mut child = piped(command.arg(folders.uri("")));
    let mut pipe = std::fs::OpenOptions::new().write(true).open(&slow).unwrap();
    // More than the pipe and two pages hold: when this returns, the writer has some of it.
    pipe.write_all(&bytes(6 << 20)).unwrap();
    eventually("one is stored", || folders.object("stored").exists());
    assert!(folders.names().len() > 1, "one is on its way");
    send(&child, Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(130));
    assert_eq!(folders.names(), ["stored"]);
    assert_eq!(folders.read("stored"), b"stored");
}
