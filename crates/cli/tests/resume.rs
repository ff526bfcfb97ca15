//! Uploads that are killed, found, taken up again and removed.

#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Output;

use common::server::{cli, server};
use common::{Folders, assert_code, assert_error, bytes, eventually, piped, send, stderr, stdout};
use rustix::process::Signal;
use testkit::server::TestServer;

const MIB: usize = 1 << 20;
const URI: &str = "s3://test/backup";

struct Scene {
    server: TestServer,
    _folders: Folders,
    file: PathBuf,
    data: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let folders = Folders::new();
        let data = bytes(30 * MIB + 5);
        Self {
            server: server(),
            file: folders.source("source", &data),
            _folders: folders,
            data,
        }
    }

    fn put(&self, arguments: &[&str]) -> Output {
        let mut command = cli(&self.server);
        command.args(["put", "--part-size=5MiB"]).args(arguments);
        command.arg(&self.file).arg(URI).output().unwrap()
    }

    /// Stops a `put` with `signal` when some of its seven parts are stored, and gives the id of
    /// what it leaves.
    fn stopped(&self, signal: Signal, arguments: &[&str]) -> String {
        self.server.set_bandwidth(20 << 20);
        let mut command = cli(&self.server);
        command.args(["put", "--part-size=5MiB", "--max-concurrency=2"]);
        command.args(arguments).arg(&self.file).arg(URI);
        let child = piped(&mut command);
        eventually("parts are stored", || {
            let uploads = self.server.uploads();
            uploads
                .first()
                .is_some_and(|upload| upload.parts.len() >= 3)
        });
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert!(!output.status.success());
        self.server.set_bandwidth(0);
        self.server.clear_log();
        assert!(self.server.object("backup").is_none());
        let uploads = self.server.uploads();
        assert_eq!(uploads.len(), 1);
        uploads[0].upload_id.clone()
    }

    fn assert_stored(&self) {
        assert!(self.server.object("backup").unwrap().bytes() == self.data);
        assert!(self.server.uploads().is_empty());
    }
}

#[test]
fn what_was_killed_is_resumed_by_its_id() {
    let scene = Scene::new();
    let id = scene.stopped(Signal::KILL, &[]);
    let young = scene.put(&["--resume"]);
    assert_error(&young, 6, &["may be somebody's", &id, "--upload-id ID"]);

    let listed = cli(&scene.server)
        .args(["uploads", "list", "s3://test/"])
        .output();
    let listed = stdout(&listed.unwrap());
    assert!(listed.contains(&id) && listed.contains(URI), "{listed}");

    // The id alone says that it is to be resumed.
    let resumed = scene.put(&["--upload-id", &id]);
    assert!(
        stdout(&resumed).contains("were there already"),
        "{resumed:?}"
    );
    // A part that is late may be sent twice.
    let log = scene.server.log_of("UploadPart");
    let mut sent: Vec<_> = log.iter().map(|request| request.part_number).collect();
    sent.sort_unstable();
    sent.dedup();
    assert!(sent.len() <= 4, "{sent:?}");
    scene.assert_stored();
}

#[test]
fn an_interrupted_upload_keeps_its_parts_if_that_is_asked_for() {
    let scene = Scene::new();
    let id = scene.stopped(Signal::INT, &["--keep-parts"]);
    let mut changed = scene.data.clone();
    changed[7] ^= 1;
    std::fs::write(&scene.file, &changed).unwrap();
    let resumed = scene.put(&["--resume", "--upload-id", &id, "--content-type=text/plain"]);
    assert_code(&resumed, 0);
    let said = stderr(&resumed);
    assert!(
        said.contains("1 parts differ") && said.contains("do not change"),
        "{said}"
    );
    // In the program's own voice.
    let mut warnings = said.lines().filter(|line| line.starts_with("warning: "));
    assert!(
        warnings.any(|line| line.contains("content_type (upload_id=")),
        "{said}"
    );
    assert!(scene.server.object("backup").unwrap().bytes() == changed);
}

#[test]
fn pending_uploads_are_removed_by_age_or_by_id() {
    let scene = Scene::new();
    let id = scene.stopped(Signal::KILL, &[]);
    let abort = |arguments: &[&str]| {
        let mut command = cli(&scene.server);
        command.args(["uploads", "abort", "s3://test/"]);
        command.args(arguments).output().unwrap()
    };
    assert_code(&abort(&[]), 2);
    assert_error(&abort(&["--older-than=1h"]), 0, &["there is none"]);
    assert_error(&abort(&["--upload-id=other"]), 3, &["no upload other"]);
    assert_eq!(scene.server.uploads().len(), 1);
    let aborted = stdout(&abort(&["--older-than=0s"]));
    assert_eq!(aborted, format!("Aborted {id} {URI}\n"));
    assert!(scene.server.uploads().is_empty());

    let resumed = scene.put(&["--resume"]);
    assert_code(&resumed, 0);
    scene.assert_stored();
}

#[test]
fn what_can_not_be_resumed_is_said() {
    let scene = Scene::new();
    let disk = scene.file.with_extension("copy");
    let put = |arguments: &[&str], destination: &Path| {
        let mut command = cli(&scene.server);
        command.arg("put").args(arguments).arg(&scene.file);
        command.arg(destination).output().unwrap()
    };
    assert_error(&put(&["--resume"], &disk), 2, &["only uploads to S3"]);
    assert!(!disk.exists());
    let zst = Path::new("s3://test/backup.zst");
    assert_error(&put(&["--resume"], zst), 2, &["compress"]);
    let ended = put(&["--resume", "--upload-id=nothing"], Path::new(URI));
    assert_error(&ended, 3, &["NoSuchUpload"]);
    let list = cli(&scene.server)
        .args(["uploads", "list", "/tmp"])
        .output();
    assert_error(&list.unwrap(), 2, &["only S3"]);
}

#[test]
fn a_condition_that_might_be_ignored_is_refused() {
    let scene = Scene::new();
    let put = |how: &str| {
        let mut command = cli(&scene.server);
        command.env_remove("S3_CLI_SERVICE");
        command.args(["put", "--if-none-match", how]);
        command.arg(&scene.file).arg(URI).output().unwrap()
    };
    assert_error(
        &put("--conditions=known"),
        2,
        &["not known to keep", "--service"],
    );
    assert!(scene.server.object("backup").is_none());
    assert_code(&put("--conditions=check-first"), 0);
    assert_error(&put("--conditions=trust"), 5, &["exists already"]);
    assert_error(&put("--service=swift"), 2, &["garage"]);
}

#[test]
fn a_probe_tells_which_profile_a_service_is() {
    let server = server();
    let probe = |service: &str| {
        let mut command = cli(&server);
        command.args(["probe", "s3://test/", "--service", service]);
        stdout(&command.output().unwrap())
    };
    let right = probe("dev-s3");
    assert!(
        right.contains("yes     PutObject keeps If-None-Match"),
        "{right}"
    );
    assert!(right.ends_with("The profile \"dev-s3\", which is used, is right.\n"));
    assert!(probe("unknown").ends_with("Use --service=aws (S3_CLI_SERVICE).\n"));
    assert!(server.keys().is_empty() && server.uploads().is_empty());
}
