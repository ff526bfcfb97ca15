//! Compression on the way there, and back.

#![cfg(all(feature = "fs", feature = "s3"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::server::{cli, server};
use common::{Folders, assert_code, assert_error, run_with_input, stdout};
use testkit::server::TestServer;

fn put(server: &TestServer, options: &[&str], file: &Path, uri: &str) -> Output {
    let mut command = cli(server);
    command.arg("put").args(options).arg(file).arg(uri);
    command.output().unwrap()
}

fn cat(server: &TestServer, options: &[&str], uri: &str) -> Output {
    let mut command = cli(server);
    command.arg("cat").args(options).arg(uri).output().unwrap()
}

/// Lines with some repetition.
fn text(len: usize) -> Vec<u8> {
    let lines = (0..len / 8).flat_map(|n| format!("line {} \n", n * n % 10_007).into_bytes());
    lines.take(len).collect()
}

/// What the format's own program makes of `bytes`; `None` if this machine does not have it.
fn by_program(program: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut command = Command::new(program);
    let is_there = command.arg("--version").stdout(Stdio::null()).status();
    #[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
    if let Err(error) = is_there {
        eprintln!("skipped: cannot run {program}: {error}");
        return None;
    }
    let output = run_with_input(Command::new(program).args(["-d", "-c"]), bytes);
    assert_code(&output, 0);
    Some(output.stdout)
}

#[test]
fn what_is_compressed_outright_is_read_as_it_was() {
    let server = server();
    let folders = Folders::new();
    let data = text(200_000);
    let file = folders.source("file", &data);
    for format in ["zstd", "gzip"] {
        for uri in ["s3://test/key", &folders.uri("key")] {
            let compress = format!("--compress={format}");
            let line = stdout(&put(&server, &[&compress, "--verify"], &file, uri));
            let raw = cat(&server, &["--raw"], uri).stdout;
            let expected = format!("Uploaded {} bytes ({format}, from 200000)", raw.len());
            assert!(line.starts_with(&expected), "{line}");
            assert!(raw.len() < 100_000);
            if let Some(plain) = by_program(format, &raw) {
                assert!(plain == data);
            }
            let output = cat(&server, &[], uri);
            assert_code(&output, 0);
            assert!(output.stdout == data);
            let shown = stdout(&cli(&server).args(["stat", uri]).output().unwrap());
            let line = format!("content-encoding: {format}\n");
            assert!(shown.contains(&line), "{shown}");
        }
    }
}

#[test]
fn a_range_is_of_the_stored_bytes_or_none() {
    let server = server();
    let folders = Folders::new();
    let file = folders.source("file", &text(10_000));
    for uri in ["s3://test/key", &folders.uri("key")] {
        assert_code(&put(&server, &["--compress=gzip"], &file, uri), 0);
        let refused = cat(&server, &["--range=0-9"], uri);
        assert_error(&refused, 2, &[uri, "encoded with gzip", "--raw"]);
        assert!(refused.stdout.is_empty());
        let raw = cat(&server, &["--range=0-2", "--raw"], uri);
        assert_eq!(raw.stdout, [0x1f, 0x8b, 8]);
    }
}

#[test]
fn a_name_is_believed_if_that_is_asked_for() {
    let server = server();
    let folders = Folders::new();
    let data = text(10_000);
    let file = folders.source("file", &data);
    for name in ["key.zst", "key.gz"] {
        for uri in [&format!("s3://test/{name}"), &folders.uri(name)] {
            let level = ["--compress-level=1"];
            assert_code(&put(&server, &level, &file, uri), 0);
            let stored = cat(&server, &[], uri).stdout;
            assert!(stored.len() < 10_000);
            assert!(stored == cat(&server, &["--raw"], uri).stdout);
            assert!(cat(&server, &["--decompress"], uri).stdout == data);
        }
    }
    assert_code(&put(&server, &[], &file, "s3://test/key"), 0);
    let unknown = cat(&server, &["--decompress"], "s3://test/key");
    assert_error(&unknown, 2, &["Content-Encoding", ".zst", ".gz"]);
}

#[test]
fn bytes_that_are_encoded_already_are_stored_as_they_are() {
    let server = server();
    let folders = Folders::new();
    let file = folders.source("file", b"no br, but nobody looks");
    let uri = "s3://test/key.gz";
    let encoding = ["--content-encoding=br"];
    assert_code(&put(&server, &encoding, &file, uri), 0);
    assert_eq!(
        server.object("key.gz").unwrap().bytes(),
        "no br, but nobody looks"
    );
    assert_error(&cat(&server, &[], uri), 2, &["\"br\"", "--raw"]);
    let raw = cat(&server, &["--raw"], uri);
    assert_eq!(raw.stdout, b"no br, but nobody looks");
    // Who says what is not so, is told when it is read.
    let wrong = ["--content-encoding=gzip"];
    assert_code(&put(&server, &wrong, &file, uri), 0);
    assert_error(&cat(&server, &[], uri), 1, &["not all gzip", "--raw"]);
}

#[test]
fn what_can_not_be_together_says_so() {
    let server = server();
    let folders = Folders::new();
    let file = folders.source("file", b"content");
    let checksum = "--expect-checksum=crc64nvme:0000000000000000";
    for (options, words) in [
        (
            &["--compress=zstd", "--content-encoding=br"][..],
            "cannot be used with",
        ),
        (
            &["--compress=zstd", "--no-compression"],
            "cannot be used with",
        ),
        (&["--compress=zstd", "--resume"], "can't be"),
        (&["--compress=zstd", "--keep-parts"], "can't be"),
        (&["--compress=zstd", checksum], "expected_checksum"),
        (
            &["--compress=gzip", "--compress-threads=2"],
            "gzip has one thread",
        ),
        (
            &["--compress=gzip", "--compress-level=10"],
            "expected 0 to 9",
        ),
        (
            &["--compress=zstd", "--compress-level=-8"],
            "expected -7 to 22",
        ),
        (&["--compress-level=23"], "expected -7 to 22"),
        (&["--content-encoding="], "content_encoding"),
        (
            &["--compress=zstd", "--compress-threads=4", "--memory=16M"],
            "half of the memory budget",
        ),
    ] {
        let output = put(&server, options, &file, "s3://test/key");
        let code = if words.contains("memory") { 1 } else { 2 };
        assert_error(&output, code, &[words]);
    }
    // Of a size that nobody knows: of this file it would take less.
    let mut command = cli(&server);
    command.args(["put", "--compress-level=22", "-", "s3://test/key.zst"]);
    let output = run_with_input(&mut command, b"content");
    assert_error(
        &output,
        1,
        &["level 22", "half of the memory budget", "--memory"],
    );
    assert!(server.keys().is_empty());
}

#[test]
fn none_stores_every_name_as_it_is() {
    let server = server();
    let folders = Folders::new();
    let file = folders.source("file", b"content");
    let none = ["--compress=none"];
    assert_code(&put(&server, &none, &file, "s3://test/key.gz"), 0);
    assert_eq!(server.object("key.gz").unwrap().bytes(), "content");
}

#[test]
fn threads_store_what_one_thread_does() {
    let server = server();
    let folders = Folders::new();
    let data = text(4 << 20);
    let file = folders.source("file", &data);
    let options = ["--compress=zstd", "--compress-threads=2", "--part-size=5M"];
    assert_code(&put(&server, &options, &file, "s3://test/key"), 0);
    assert!(cat(&server, &[], "s3://test/key").stdout == data);
}

#[test]
fn an_expected_checksum_is_that_of_a_file_that_is_compressed_already() {
    let server = server();
    let folders = Folders::new();
    let file = folders.source("file", &text(10_000));
    assert_code(&put(&server, &[], &file, "s3://test/key.gz"), 0);
    let stored = server.object("key.gz").unwrap();
    let compressed = folders.source("file.gz", &stored.bytes());
    let checksum = format!(
        "--expect-checksum=crc64nvme:{}",
        stored.crc64nvme().unwrap()
    );
    let again = put(&server, &[&checksum], &compressed, "s3://test/again.gz");
    assert_code(&again, 0);
    let other = put(&server, &[&checksum], &file, "s3://test/other.gz");
    assert_error(&other, 2, &["expected_checksum", "--compress=none"]);
    assert!(server.object("other.gz").is_none());
}

#[test]
fn verify_knows_what_a_compressed_object_holds() {
    let server = server();
    let folders = Folders::new();
    let data = text(100_000);
    let file = folders.source("file", &data);
    let mut changed = data.clone();
    changed[50_000] ^= 1;
    let other = folders.source("other", &changed);
    for (options, name) in [
        (&["--compress=zstd"][..], "key"),
        (&["--compress=gzip"], "key"),
        (&[], "key.zst"),
        (&[], "key.gz"),
    ] {
        for uri in [&format!("s3://test/{name}"), &folders.uri(name)] {
            assert_code(&put(&server, options, &file, uri), 0);
            let verify = |file: &Path| {
                let mut command = cli(&server);
                command.arg("verify").arg(file).arg(uri).output().unwrap()
            };
            let same = stdout(&verify(&file));
            assert!(same.starts_with("Same: 100000 bytes"), "{same}");
            assert!(same.ends_with("decompressed\n"), "{same}");
            assert_error(&verify(&other), 7, &["differs", "decompressed"]);
            let stored = cat(&server, &["--raw"], uri).stdout;
            let stored = folders.source("stored", &stored);
            let same = stdout(&verify(&stored));
            assert!(!same.contains("decompressed"), "{same}");
        }
    }
    // Only the name says so.
    let plain = ["--compress=none"];
    assert_code(&put(&server, &plain, &file, "s3://test/plain.gz"), 0);
    let mut command = cli(&server);
    let output = command.arg("verify").arg(&file).arg("s3://test/plain.gz");
    assert_code(&output.output().unwrap(), 0);
}
