//! `put DEST -- COMMAND`: what a command prints becomes an object, if it succeeds.

#![cfg(all(feature = "fs", feature = "s3"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Output};

use common::server::{cli, server};
use common::{
    Folders, assert_code, assert_error, assert_uploaded, bytes, eventually, is_running, piped,
    printed, run_with_input, s3_cli, send, stderr, stdout, wait,
};
use rustix::process::{Pid, Signal, kill_process_group};
use testkit::server::TestServer;

const MIB: usize = 1 << 20;

/// `command put … DEST -- sh -c SCRIPT`
fn put<'a>(command: &'a mut Command, options: &[&str], to: &str, script: &str) -> &'a mut Command {
    command.args(["put", "--part-size=5M"]).args(options);
    command.args([to, "--", "sh", "-c", script])
}

/// Both places that an object can be put to.
struct Places {
    server: TestServer,
    folders: Folders,
}

impl Places {
    fn new() -> Self {
        Self {
            server: server(),
            folders: Folders::new(),
        }
    }

    fn uris(&self) -> [String; 2] {
        ["s3://test/key".into(), self.folders.uri("key")]
    }

    fn put(&self, options: &[&str], to: &str, script: &str) -> Output {
        let mut command = cli(&self.server);
        put(&mut command, options, to, script).output().unwrap()
    }

    fn objects(&self) -> [Option<Vec<u8>>; 2] {
        let stored = self.server.object("key");
        [
            stored.map(|object| object.bytes().to_vec()),
            std::fs::read(self.folders.object("key")).ok(),
        ]
    }

    #[track_caller]
    fn assert_nothing_is_left(&self) {
        assert!(self.server.keys().is_empty());
        assert!(self.server.uploads().is_empty());
        assert!(self.folders.names().is_empty());
    }
}

#[test]
fn what_a_command_prints_becomes_an_object() {
    let places = Places::new();
    for len in [0, 1, 5 * MIB, 12 * MIB + 7] {
        let data = bytes(len);
        let file = places.folders.source("data", &data);
        let script = format!("cat '{}'", file.display());
        for uri in places.uris() {
            for options in [&[][..], &["--buffered"], &["--verify"]] {
                let output = places.put(options, &uri, &script);
                assert_uploaded(stdout(&output).trim_end(), len as u64);
                assert_eq!(stderr(&output), "");
            }
        }
        let all = places.objects();
        assert!(
            all.iter().all(|object| object.as_ref() == Some(&data)),
            "{len}"
        );
    }
    assert!(places.server.uploads().is_empty());
}

#[test]
fn its_standard_input_and_error_are_ours() {
    let folders = Folders::new();
    let uri = folders.uri("key");
    let mut command = s3_cli();
    put(&mut command, &[], &uri, "cat; echo heard >&2");
    let output = run_with_input(&mut command, b"said");
    assert_code(&output, 0);
    assert_eq!(stderr(&output), "heard\n");
    assert_eq!(folders.read("key"), b"said");
}

/// Small ones fail before the first request, large ones with parts that are stored already.
#[test]
fn of_a_command_that_fails_nothing_is_stored() {
    let places = Places::new();
    let file = places.folders.source("data", &bytes(12 * MIB));
    let large = format!("cat '{}'", file.display());
    for (script, code, text) in [
        ("printf abc; exit 7", 7, "exit code 7"),
        ("exit 1", 1, "exit code 1"),
        ("printf abc; kill -9 $$", 137, "signal 9"),
        (&format!("{large}; exit 3"), 3, "exit code 3"),
        (&format!("{large}; kill -15 $$"), 143, "signal 15"),
        ("exec 1>&-; sleep 0.2; exit 9", 9, "exit code 9"),
    ] {
        for uri in places.uris() {
            for options in [&[][..], &["--buffered"]] {
                let output = places.put(options, &uri, script);
                assert_error(&output, code, &["error: sh: ", text, "nothing was stored"]);
                assert_eq!(printed(&output), "", "{script}");
                places.assert_nothing_is_left();
            }
        }
    }
}

#[test]
fn the_old_object_stays_if_the_command_fails() {
    let places = Places::new();
    for uri in places.uris() {
        assert_code(&places.put(&[], &uri, "printf old"), 0);
        assert_code(&places.put(&[], &uri, "printf new; exit 1"), 1);
    }
    let old = Some(b"old".to_vec());
    assert_eq!(places.objects(), [old.clone(), old]);
    assert_eq!(places.folders.names(), ["key"]);
}

#[test]
fn a_command_that_can_not_be_started_is_told_from_one_that_is_not_there() {
    let places = Places::new();
    let no_program = places.folders.source("no-program", b"text");
    for (program, code) in [
        (Path::new("/no/such/program"), 127),
        (Path::new("no-such-program-anywhere"), 127),
        (&no_program, 126),
    ] {
        for uri in places.uris() {
            let mut command = cli(&places.server);
            command.args(["put", &uri, "--"]).arg(program);
            let name = program.file_name().unwrap().to_str().unwrap();
            let expected = ["error: ", name, "can't be started"];
            assert_error(&command.output().unwrap(), code, &expected);
        }
    }
    places.assert_nothing_is_left();
}

#[test]
fn sizes_and_checksums_are_those_of_what_it_prints() {
    let places = Places::new();
    let [s3, disk] = places.uris();
    for uri in [&s3, &disk] {
        let output = places.put(&["--exact-size=4"], uri, "printf abc");
        assert_error(&output, 7, &["error: "]);
    }
    places.assert_nothing_is_left();
    let checksum = "--expect-checksum=crc64nvme:ae8b14860a799888";
    assert_code(&places.put(&[checksum], &s3, "printf 123456780"), 7);
    places.assert_nothing_is_left();
    assert_code(&places.put(&[checksum], &s3, "printf 123456789"), 0);
}

/// A script that says its id to the file `pid`, prints more than any pipe holds, and goes on.
fn endless(folders: &Folders, rest: &str) -> String {
    let pid = folders.sources.join("pid");
    let data = folders.source("endless", &bytes(6 * MIB));
    let (pid, data) = (pid.display(), data.display());
    format!("echo $$ > '{pid}.new'; mv '{pid}.new' '{pid}'; {rest}; cat '{data}'; sleep 1000")
}

fn pid(folders: &Folders) -> String {
    let path = folders.sources.join("pid");
    eventually("the command runs", || path.exists());
    std::fs::read_to_string(path).unwrap()
}

fn started(places: &Places, uri: &str, script: &str) -> Child {
    let mut command = cli(&places.server);
    piped(put(&mut command, &["--memory=16M"], uri, script))
}

#[test]
fn a_signal_ends_the_command_too() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        for index in 0..2 {
            let places = Places::new();
            let uri = &places.uris()[index];
            let told = places.folders.sources.join("told");
            let trap = format!("trap 'echo told > \"{}\"; exit 0' TERM", told.display());
            // A shell looks at its signals between commands.
            let script = endless(&places.folders, &trap)
                .replace("sleep 1000", "while :; do sleep 0.01; done");
            let mut child = started(&places, uri, &script);
            let pid = pid(&places.folders);
            assert!(is_running(&pid), "the test can see it");
            eventually("some bytes are on their way", || match index {
                0 => !places.server.uploads().is_empty(),
                _ => !places.folders.names().is_empty(),
            });
            send(&child, signal);
            assert_eq!(wait(&mut child).code(), Some(code));
            assert!(!is_running(&pid), "{signal:?} {uri}");
            assert!(told.exists(), "{signal:?} {uri}");
            places.assert_nothing_is_left();
        }
    }
}

/// A shell that waits for a program, or for several in a pipeline, is not alone: what it has started
/// is told at the same time, so that its own trap can do its work.
#[test]
fn a_signal_ends_what_the_command_has_started() {
    for rest in [
        "sleep 1000",
        "sleep 1000 | cat",
        "sleep 1000 & sleep 1000 & wait",
    ] {
        let places = Places::new();
        let [told, below] = ["told", "below"].map(|name| places.folders.sources.join(name));
        let trap = format!("trap 'echo told > \"{}\"; exit 0' TERM", told.display());
        let keep = format!(
            "sh -c 'echo $$; exec sleep 1000' > \"{}\" &",
            below.display()
        );
        let script =
            endless(&places.folders, &trap).replace("sleep 1000", &format!("{keep} {rest}"));
        let mut child = started(&places, &places.uris()[1], &script);
        let pid = pid(&places.folders);
        eventually("it has started others", || {
            std::fs::read_to_string(&below).is_ok_and(|text| text.ends_with('\n'))
        });
        let below = std::fs::read_to_string(&below).unwrap();
        assert!(is_running(below.trim()), "the test can see it");
        send(&child, Signal::TERM);
        assert_eq!(wait(&mut child).code(), Some(143));
        assert!(!is_running(&pid) && !is_running(below.trim()), "{rest}");
        assert!(told.exists(), "{rest}");
        places.assert_nothing_is_left();
    }
}

/// Even one that listens to nothing, holds the pipe, and has lost its parent.
#[test]
fn what_the_command_has_started_is_killed_if_it_does_not_listen() {
    let places = Places::new();
    let below = places.folders.sources.join("below");
    let keep = format!(
        "sh -c 'trap \"\" TERM PIPE HUP; echo $$ > \"{}\"; while :; do sleep 0.01; done' &",
        below.display()
    );
    let script = endless(&places.folders, ":").replace("sleep 1000", &format!("{keep} wait"));
    let mut child = started(&places, &places.uris()[1], &script);
    eventually("it has started another", || {
        std::fs::read_to_string(&below).is_ok_and(|text| text.ends_with('\n'))
    });
    let below = std::fs::read_to_string(&below).unwrap();
    send(&child, Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(130));
    assert!(!is_running(below.trim()));
    places.assert_nothing_is_left();
}

/// A terminal tells both of Ctrl-C. A command that then ends as if all were well has not printed
/// all there is.
#[test]
fn a_command_that_takes_ctrl_c_for_its_end_has_not_succeeded() {
    let places = Places::new();
    let printed = places.folders.sources.join("printed");
    let script = format!(
        "trap 'exit 0' INT; printf some; echo > '{}'; while :; do sleep 0.01; done",
        printed.display()
    );
    for _ in 0..10 {
        for uri in places.uris() {
            let mut command = cli(&places.server);
            put(&mut command, &[], &uri, &script).process_group(0);
            let mut child = piped(&mut command);
            eventually("it has printed", || printed.exists());
            let group = Pid::from_raw(child.id().cast_signed()).unwrap();
            kill_process_group(group, Signal::INT).unwrap();
            assert_eq!(wait(&mut child).code(), Some(130));
            places.assert_nothing_is_left();
            std::fs::remove_file(&printed).unwrap();
        }
    }
}

#[test]
fn a_command_that_does_not_listen_is_killed() {
    let places = Places::new();
    let script = endless(&places.folders, "trap '' TERM PIPE");
    let script = script.replace("sleep 1000", "while :; do sleep 0.01; done");
    let mut child = started(&places, &places.uris()[1], &script);
    let pid = pid(&places.folders);
    send(&child, Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(130));
    assert!(!is_running(&pid));
    places.assert_nothing_is_left();
}

/// Its own exit code does not count then. One that prints nothing for a while is ended, too.
#[test]
fn a_command_is_ended_if_the_upload_fails() {
    for rest in [
        "exec yes",
        "while yes; do :; done; exit 77",
        "exec sleep 1000",
    ] {
        let places = Places::new();
        places.server.deny("UploadPart");
        let script = endless(&places.folders, ":").replace("sleep 1000", rest);
        let child = started(&places, &places.uris()[0], &script);
        let pid = pid(&places.folders);
        let output = child.wait_with_output().unwrap();
        assert_error(&output, 4, &["error: s3://test/key", "AccessDenied"]);
        assert!(!is_running(&pid), "{rest}");
        places.assert_nothing_is_left();
    }
}

/// Nobody can tell the command that; it finds its output closed.
#[test]
fn after_a_kill_the_command_ends_when_it_writes() {
    let folders = Folders::new();
    let script = endless(&folders, ":").replace("sleep 1000", "exec yes");
    let mut command = s3_cli();
    let mut child = piped(put(&mut command, &[], &folders.uri("key"), &script));
    let pid = pid(&folders);
    send(&child, Signal::KILL);
    wait(&mut child);
    eventually("the command ends", || !is_running(&pid));
}
