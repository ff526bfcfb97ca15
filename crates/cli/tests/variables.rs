//! Options that the environment sets.

#![cfg(all(feature = "s3", feature = "fs"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::server::{cli, server};
use common::{Folders, assert_code, assert_error, bytes, run_with_input, s3_cli, stderr, stdout};

const MIB: usize = 1 << 20;

#[test]
fn values_flags_and_counts() {
    let server = server();
    let mut put = cli(&server);
    put.env("S3_CLI_PART_SIZE", "5MiB")
        .env("S3_CLI_METADATA", "a=b")
        .env("S3_CLI_CONTENT_TYPE", "text/x")
        .env("S3_CLI_IF_NONE_MATCH", "1")
        .env("S3_CLI_VERBOSE", "1");
    let output = run_with_input(put.args(["put", "-", "s3://test/key"]), &bytes(6 * MIB));
    assert_code(&output, 0);
    assert!(stderr(&output).contains("uploaded"), "{}", stderr(&output));
    assert_eq!(server.log_of("UploadPart").len(), 2);
    let stat = stdout(
        &cli(&server)
            .args(["stat", "s3://test/key"])
            .output()
            .unwrap(),
    );
    for text in ["text/x", "metadata.a: b"] {
        assert!(stat.contains(text), "{stat}");
    }
    let again = run_with_input(put.args(["put", "-", "s3://test/key"]), b"");
    assert_code(&again, 2);
    let mut create = cli(&server);
    create
        .env("S3_CLI_NO_CLOBBER", "1")
        .env("S3_CLI_IF_NONE_MATCH", "yes");
    let again = run_with_input(create.args(["put", "-", "s3://test/key"]), b"");
    assert_error(&again, 5, &["exists already"]);
}

#[test]
fn the_command_line_comes_first_for_all_commands() {
    let server = server();
    let mut put = cli(&server);
    // Nothing listens there, and such a size can't be.
    put.env("S3_CLI_ENDPOINT_URL", "http://127.0.0.1:1")
        .env("S3_CLI_PART_SIZE", "1K");
    put.args(["--endpoint-url", server.endpoint(), "put", "--part-size=5M"]);
    assert_code(&run_with_input(put.args(["-", "s3://test/key"]), b"abc"), 0);
    let mut cat = cli(&server);
    cat.env("S3_CLI_ENDPOINT_URL", "http://127.0.0.1:1");
    cat.args(["cat", "s3://test/key", "--endpoint-url", server.endpoint()]);
    assert_eq!(stdout(&cat.output().unwrap()), "abc");
    let mut cat = cli(&server);
    cat.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .env("S3_CLI_ENDPOINT_URL", server.endpoint());
    assert_eq!(
        stdout(&cat.args(["cat", "s3://test/key"]).output().unwrap()),
        "abc"
    );
}

#[test]
fn what_is_empty_or_says_no_is_not_set() {
    let folders = Folders::new();
    let source = folders.source("a", b"abc");
    let mut put = s3_cli();
    put.env("S3_CLI_PART_SIZE", "")
        .env("S3_CLI_QUIET", "no")
        .env("S3_CLI_RECURSIVE", "");
    put.args(["-v", "put"])
        .arg(&source)
        .arg(folders.object("a"));
    let output = put.output().unwrap();
    assert!(stdout(&output).starts_with("Uploaded 3 bytes"));
}

/// Set for all commands to come, most of which have no use for it.
#[test]
fn what_needs_another_option_waits_for_it() {
    let folders = Folders::new();
    let source = folders.source("d/a", b"abc");
    folders.source("d/b.tmp", b"abc");
    let put = || {
        let mut put = s3_cli();
        put.env("S3_CLI_EXCLUDE", "*.tmp")
            .env("S3_CLI_SYMLINKS", "skip");
        put.arg("put");
        put
    };
    let output = put()
        .arg(&source)
        .arg(folders.object("a"))
        .output()
        .unwrap();
    assert_code(&output, 0);
    let below = folders.uri("below/");
    let folder = source.parent().unwrap();
    let output = put().arg("-r").arg(folder).arg(&below).output().unwrap();
    assert_code(&output, 0);
    let mut both = put();
    both.env("S3_CLI_RECURSIVE", "1");
    let output = both.arg(folder).arg(folders.uri("both/")).output().unwrap();
    assert_code(&output, 0);
    let names: Vec<String> = folders.all().into_keys().collect();
    assert_eq!(names, ["a", "below/a", "both/a"]);
}

#[test]
fn what_a_command_needs_may_be_set() {
    let server = server();
    let mut abort = cli(&server);
    abort.args(["uploads", "abort", "s3://test/"]);
    assert_code(&abort.output().unwrap(), 2);
    assert_code(
        &abort.env("S3_CLI_ABORT_OLDER_THAN", "1w").output().unwrap(),
        0,
    );
}

/// What is set for uploads to S3 does not forbid writing to a disk, as what is typed does.
#[test]
fn what_only_s3_has_means_nothing_for_a_disk_where_the_environment_says_it() {
    let folders = Folders::new();
    let source = folders.source("a", b"abc");
    for (name, value, option) in [
        ("S3_CLI_RESUME", "1", "--resume"),
        ("S3_CLI_UPLOAD_ID", "x", "--upload-id=x"),
        ("S3_CLI_KEEP_PARTS", "1", "--keep-parts"),
        ("S3_CLI_SSE", "AES256", "--sse=AES256"),
        ("S3_CLI_ACL", "private", "--acl=private"),
        ("S3_CLI_STORAGE_CLASS", "GLACIER", "--storage-class=GLACIER"),
    ] {
        let put = || {
            let mut put = s3_cli();
            put.arg("put").arg(&source).arg(folders.object(name));
            put.env(name, value);
            put
        };
        let output = put().output().unwrap();
        assert_code(&output, 0);
        assert!(
            !stderr(&output).contains("no upload"),
            "{}",
            stderr(&output)
        );
        assert_eq!(folders.read(name), b"abc", "{name}");
        assert_code(&put().arg(option).output().unwrap(), 2);
    }
}

#[test]
fn a_rate_is_kept() {
    let server = server();
    let mut put = cli(&server);
    put.env("S3_CLI_LIMIT_RATE", "4M/s");
    let start = Instant::now();
    let output = run_with_input(put.args(["put", "-", "s3://test/key"]), &bytes(6 * MIB));
    assert_code(&output, 0);
    assert!(
        start.elapsed() > Duration::from_millis(1_400),
        "{:?}",
        start.elapsed()
    );
    assert!(server.object("key").unwrap().bytes() == bytes(6 * MIB));
}

#[test]
fn the_credentials_of_a_profile_come_before_those_of_the_environment() {
    let server = server();
    let folders = Folders::new();
    let profile = |name: &str, secret: &str| {
        let key = server.access_key();
        format!("[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
    };
    let file = profile("right", server.secret_key()) + &profile("wrong", "wrong");
    let file = folders.source("credentials", (file + "[none]\n").as_bytes());
    let ls = |profile: &str, secret: &str| {
        let mut ls = cli(&server);
        ls.env("AWS_SHARED_CREDENTIALS_FILE", &file);
        ls.env("AWS_CONFIG_FILE", "/dev/null");
        ls.env("AWS_SECRET_ACCESS_KEY", secret);
        ls.args(["ls", "s3://test/", "--profile", profile])
            .output()
            .unwrap()
    };
    assert_code(&ls("right", "wrong"), 0);
    assert_code(&ls("wrong", server.secret_key()), 4);
    assert_code(&ls("none", server.secret_key()), 0);
    let unknown = ls("unknown", server.secret_key());
    assert_error(
        &unknown,
        2,
        &["no profile \"unknown\"", "none, right, wrong"],
    );
}

#[test]
fn a_rate_for_a_disk_is_said_to_be_of_no_use() {
    let folders = Folders::new();
    let source = folders.source("a", b"abc");
    for (quiet, warned) in [("", true), ("-q", false)] {
        let mut put = s3_cli();
        put.args(["put", "--limit-rate=1M"])
            .args(quiet.split_whitespace());
        put.arg(&source).arg(folders.object("a"));
        let output = put.output().unwrap();
        assert_code(&output, 0);
        let warning = stderr(&output).contains("--limit-rate is for S3");
        assert_eq!(warning, warned, "{}", stderr(&output));
    }
}
