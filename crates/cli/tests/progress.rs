//! Progress on a real pseudo-terminal.

#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use common::server::{cli, server};
use common::{Folders, bytes, eventually, run_with_input, send, stderr, stdout, wait};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use testkit::server::{Fault, TestServer};

const COLUMNS: u16 = 120;
const MIB: usize = 1 << 20;

/// A program whose standard error is a terminal.
struct Terminal {
    child: Child,
    shown: Arc<Mutex<vt100::Parser>>,
    /// All that was written, with its escapes.
    raw: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    fn start(command: &mut Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = File::options().read(true).write(true).open(name).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: COLUMNS,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&slave, size).unwrap();
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command.stderr(OwnedFd::from(slave));
        command.stdout(Stdio::piped());
        let child = command.spawn().unwrap();
        // The last end of the terminal that is ours, so that the reader sees its end.
        command.stderr(Stdio::null());
        let shown = Arc::new(Mutex::new(vt100::Parser::new(
            nonzero(24),
            nonzero(COLUMNS),
            0,
        )));
        let raw = Arc::new(Mutex::new(Vec::new()));
        let reader = {
            let (shown, raw) = (Arc::clone(&shown), Arc::clone(&raw));
            std::thread::spawn(move || read(master, &shown, &raw))
        };
        Self {
            child,
            shown,
            raw,
            reader,
        }
    }

    fn screen(&self) -> String {
        self.shown.lock().unwrap().screen().contents()
    }

    /// Waits until each of `texts` has been on the screen, at one time or another.
    #[track_caller]
    fn eventually_shows(&self, texts: &[&str]) {
        let mut missing = texts.to_vec();
        eventually(&format!("{texts:?} are shown"), || {
            let raw = self.raw.lock().unwrap();
            let raw = String::from_utf8_lossy(&raw);
            missing.retain(|text| !raw.contains(text));
            missing.is_empty()
        });
    }

    /// Waits for the end: the exit code, what is left on the screen, and all that was written.
    fn end(mut self) -> (Option<i32>, String, Vec<u8>) {
        let status = wait(&mut self.child);
        self.reader.join().unwrap();
        let screen = self.shown.lock().unwrap().screen().contents();
        let raw = self.raw.lock().unwrap().clone();
        (status.code(), screen, raw)
    }
}

fn read(master: OwnedFd, shown: &Mutex<vt100::Parser>, raw: &Mutex<Vec<u8>>) {
    let mut master = File::from(master);
    let mut buffer = [0; 4_096];
    // EIO is how a terminal says that nobody has it open any more.
    while let Ok(read @ 1..) = master.read(&mut buffer) {
        shown.lock().unwrap().process(&buffer[..read]);
        raw.lock().unwrap().extend_from_slice(&buffer[..read]);
    }
}

/// What is left on a screen, but for what a put says that takes long, as it may here.
fn but_summary(screen: &str) -> &str {
    let left = screen.trim();
    match left.starts_with("Uploaded 1 object, ") && left.lines().count() == 1 {
        true => "",
        false => left,
    }
}

fn nonzero(number: u16) -> NonZero<u16> {
    NonZero::new(number).unwrap()
}

fn slow_server() -> TestServer {
    let server = server();
    server.set_bandwidth(12 * MIB as u64);
    server
}

fn put(server: &TestServer, options: &[&str]) -> Command {
    let mut put = cli(server);
    put.args(["put", "--part-size=5M"]).args(options);
    put
}

fn source(folders: &Folders) -> PathBuf {
    folders.source("file", &bytes(20 * MIB))
}

#[test]
fn a_file_has_a_bar_and_leaves_a_clean_terminal() {
    let (server, folders) = (slow_server(), Folders::new());
    let slow_down = Fault::on("UploadPart").part(2).respond(503, "SlowDown");
    server.inject(slow_down);
    let mut put = put(&server, &[]);
    put.arg(source(&folders)).arg("s3://test/key");
    let started = Instant::now();
    let terminal = Terminal::start(&mut put);
    terminal.eventually_shows(&[
        "[",
        "% ",
        " MiB of 20.0 MiB, ",
        "MiB/s",
        " left, ",
        " parts in flight",
    ]);
    terminal.eventually_shows(&["in flight, 1 retry"]);
    let (code, screen, raw) = terminal.end();
    assert_eq!((code, but_summary(&screen)), (Some(0), ""));
    let text = String::from_utf8_lossy(&raw);
    assert!(text.contains("\x1b[36m"), "in colours");
    let draws = text.matches("MiB/s, ").count();
    let most = started.elapsed().as_millis() / 100 + 2;
    assert!(
        (draws as u128) < most,
        "{draws} draws, not {most}: {text:?}"
    );
}

#[test]
fn a_pipe_has_no_end_that_is_known() {
    let server = slow_server();
    let mut put = put(&server, &["-", "s3://test/key"]);
    put.stdin(Stdio::piped());
    let mut terminal = Terminal::start(&mut put);
    let mut stdin = terminal.child.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || stdin.write_all(&bytes(20 * MIB)).unwrap());
    terminal.eventually_shows(&[" MiB, ", "MiB/s, ", " s, ", "in flight"]);
    let screen = terminal.screen();
    assert!(
        !screen.contains('%') && !screen.contains(" of "),
        "{screen}"
    );
    feeding.join().unwrap();
    let (code, screen, _) = terminal.end();
    assert_eq!((code, but_summary(&screen)), (Some(0), ""));
}

#[test]
fn several_objects_have_one_bar_and_a_summary() {
    let (server, folders) = (slow_server(), Folders::new());
    for name in ["a", "b", "c"] {
        folders.source(name, &bytes(6 * MIB));
    }
    let mut put = put(&server, &["-r", folders.sources.to_str().unwrap()]);
    let terminal = Terminal::start(put.arg("s3://test/p/"));
    terminal.eventually_shows(&["% ", " MiB of 18.0 MiB, ", " of 3 objects, "]);
    let (code, screen, _) = terminal.end();
    assert_eq!(code, Some(0));
    assert!(
        screen.starts_with("Uploaded 3 objects, 18.0 MiB in "),
        "{screen}"
    );
    assert!(screen.contains("peak memory "), "{screen}");
    assert_eq!(screen.trim().lines().count(), 1, "{screen}");
}

/// The bar of an object that is read is there while nobody takes its bytes.
#[test]
fn what_is_read_has_a_bar_too() {
    let (server, data) = (server(), bytes(20 * MIB));
    server.insert("key", data.clone());
    let mut cat = cli(&server);
    cat.args(["cat", "--range=0-15728639", "s3://test/key"]);
    let mut terminal = Terminal::start(&mut cat);
    terminal.eventually_shows(&["% ", "iB of 15.0 MiB, "]);
    let mut read = Vec::new();
    let mut pipe = terminal.child.stdout.take().unwrap();
    pipe.read_to_end(&mut read).unwrap();
    let (code, screen, _) = terminal.end();
    assert_eq!((code, screen.trim()), (Some(0), ""));
    assert!(read == data[..15 * MIB]);
}

#[test]
fn who_does_not_want_it_does_not_see_it() {
    let (server, folders) = (slow_server(), Folders::new());
    let file = source(&folders);
    for (option, variable) in [
        (Some("--quiet"), None),
        (Some("--progress=never"), None),
        (None, Some(("NO_COLOR", "1"))),
        (None, Some(("TERM", "dumb"))),
    ] {
        let mut put = put(&server, &option.into_iter().collect::<Vec<_>>());
        put.arg(&file).arg("s3://test/key");
        // `start` sets these, so that one is set by a shell in between.
        let mut command = Command::new("env");
        if let Some((name, value)) = variable {
            command.arg(format!("{name}={value}"));
        }
        command.arg(put.get_program()).args(put.get_args());
        command.stdin(Stdio::null());
        for (name, value) in put.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let (code, _, raw) = Terminal::start(&mut command).end();
        let text = String::from_utf8_lossy(&raw).into_owned();
        assert_eq!((code, &*text), (Some(0), ""), "{option:?} {variable:?}");
    }
}

#[test]
fn without_a_terminal_it_is_shown_only_if_asked_for() {
    let server = slow_server();
    let data = bytes(12 * MIB);
    let mut silent = put(&server, &["-", "s3://test/key"]);
    assert_eq!(stderr(&run_with_input(&mut silent, &data)), "");
    let mut always = put(&server, &["--progress=always", "-", "s3://test/key"]);
    always.env("NO_COLOR", "1");
    let output = run_with_input(&mut always, &data);
    stdout(&output);
    let text = stderr(&output);
    assert!(
        text.contains(" MiB, ") && text.contains("in flight"),
        "{text:?}"
    );
    assert!(!text.contains("\x1b[36m"), "no colours: {text:?}");
}

#[test]
fn ctrl_c_leaves_a_clean_terminal() {
    let (server, folders) = (slow_server(), Folders::new());
    let mut put = put(&server, &[]);
    put.arg(source(&folders)).arg("s3://test/key");
    let terminal = Terminal::start(&mut put);
    terminal.eventually_shows(&["% ", "in flight"]);
    send(&terminal.child, Signal::INT);
    let (code, screen, _) = terminal.end();
    assert_eq!(code, Some(130));
    assert_eq!(
        screen.trim(),
        "interrupted: stopping; once more ends at once"
    );
    assert!(server.uploads().is_empty());
}

#[test]
fn errors_and_messages_go_above_it() {
    let (server, folders) = (slow_server(), Folders::new());
    let denied = Fault::on("UploadPart").part(4).always();
    server.inject(denied.respond(403, "AccessDenied"));
    let mut put = put(&server, &["-vv", "--max-concurrency=1"]);
    put.arg(source(&folders)).arg("s3://test/key");
    let terminal = Terminal::start(&mut put);
    terminal.eventually_shows(&["DEBUG", "% ", "in flight"]);
    let (code, screen, raw) = terminal.end();
    assert_eq!(code, Some(4));
    assert!(
        screen.contains("error: s3://test/key: part 4: "),
        "{screen}"
    );
    let raw = String::from_utf8_lossy(&raw);
    assert!(!screen.contains("in flight"), "{screen}\n{raw:?}");
}
