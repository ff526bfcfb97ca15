//! `verify`, and `put --verify`.

#![cfg(all(feature = "fs", feature = "s3"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Output;

use common::server::{cli, server};
use common::{
    Folders, assert_code, assert_error, bytes, eventually, piped, printed, run_with_input, stdout,
};
use testkit::server::{Fault, TestServer};

const MIB: usize = 1 << 20;

fn verify(server: &TestServer, options: &[&str], file: &Path, uri: &str) -> Output {
    let mut command = cli(server);
    command.arg("verify").args(options).arg(file).arg(uri);
    command.output().unwrap()
}

fn put(server: &TestServer, options: &[&str], file: &Path, uri: &str) -> Output {
    let mut command = cli(server);
    command.args(["put", "--part-size=5M"]).args(options);
    command.arg(file).arg(uri).output().unwrap()
}

fn reads(server: &TestServer) -> usize {
    server.log_of("GetObject").len()
}

#[test]
fn the_service_s_checksum_spares_the_download() {
    let server = server();
    let folders = Folders::new();
    let uri = "s3://test/key";
    for len in [0, 1, 12 * MIB + 7] {
        let file = folders.source("file", &bytes(len));
        assert_code(&put(&server, &[], &file, uri), 0);
        server.clear_log();
        let same = stdout(&verify(&server, &[], &file, uri));
        let start = format!("Same: {len} bytes with CRC64NVME ");
        assert!(same.starts_with(&start) && same.contains(uri), "{same}");
        assert!(
            same.ends_with("by the checksum that the service keeps\n"),
            "{same}"
        );
        assert_eq!(reads(&server), 0);

        let same = stdout(&verify(&server, &["--download"], &file, uri));
        assert!(same.ends_with("by reading all of the object\n"), "{same}");
        assert_eq!(reads(&server), 1);
        assert_eq!(stdout(&verify(&server, &["--quiet"], &file, uri)), "");
    }
}

#[test]
fn what_differs_is_7() {
    let server = server();
    let folders = Folders::new();
    let mut data = bytes(6 * MIB);
    let file = folders.source("file", &data);
    data[5 * MIB] ^= 1;
    let other = folders.source("other", &data);
    let shorter = folders.source("shorter", &data[1..]);
    let disk = folders.uri("key");
    for uri in ["s3://test/key", &disk] {
        assert_code(&put(&server, &[], &file, uri), 0);
        assert_code(&verify(&server, &[], &file, uri), 0);
        assert_code(&verify(&server, &["--download"], &file, uri), 0);
        for options in [&[][..], &["--download"]] {
            server.clear_log();
            let output = verify(&server, options, &other, uri);
            assert_error(&output, 7, &["error: ", uri, "differs from", "CRC64NVME"]);
            server.clear_log();
            let output = verify(&server, options, &shorter, uri);
            let sizes = ["6291456 bytes are stored", "the file has 6291455"];
            assert_error(&output, 7, &sizes);
            assert_eq!(reads(&server), 0, "sizes are enough");
            assert_eq!(printed(&output), "");
        }
    }
}

#[test]
fn what_is_not_there_is_no_difference() {
    let server = server();
    let folders = Folders::new();
    let file = folders.source("file", b"abc");
    let missing = folders.sources.join("missing");
    assert_error(&verify(&server, &[], &file, "s3://test/key"), 3, &["key"]);
    assert_code(&put(&server, &[], &file, "s3://test/key"), 0);
    assert_error(
        &verify(&server, &[], &missing, "s3://test/key"),
        3,
        &["missing"],
    );
    let folder = verify(&server, &[], &folders.sources, "s3://test/key");
    assert_error(&folder, 2, &["is a folder"]);
}

#[test]
fn standard_input_can_be_compared_too() {
    let server = server();
    let folders = Folders::new();
    let file = folders.source("file", b"abc");
    assert_code(&put(&server, &[], &file, "s3://test/key"), 0);
    for (input, code) in [(&b"abc"[..], 0), (b"abd", 7), (b"ab", 7), (b"", 7)] {
        let mut command = cli(&server);
        command.args(["verify", "-", "s3://test/key"]);
        assert_code(&run_with_input(&mut command, input), code);
    }
}

#[test]
fn put_reads_back_if_it_is_told_to() {
    let server = server();
    let folders = Folders::new();
    for len in [0, 1, 12 * MIB + 7] {
        let file = folders.source("file", &bytes(len));
        for uri in ["s3://test/key", "s3://test/key.zst", &folders.uri("key")] {
            server.clear_log();
            assert_code(&put(&server, &["--verify"], &file, uri), 0);
            assert_eq!(reads(&server), usize::from(uri.starts_with("s3:")), "{uri}");
        }
    }
}

/// While the writer waits for its answer, another one takes the object's place.
#[test]
fn what_can_not_be_read_back_as_it_was_written_is_an_error_and_stays() {
    let server = server();
    let folders = Folders::new();
    let file = folders.source("file", &bytes(6 * MIB));
    let other = folders.source("other", b"other");
    let answer = server.hold("CompleteMultipartUpload");
    let mut command = cli(&server);
    command
        .args(["put", "--part-size=5M", "--verify"])
        .arg(&file);
    let child = piped(command.arg("s3://test/key"));
    eventually("it is stored", || server.object("key").is_some());
    assert_code(&put(&server, &[], &other, "s3://test/key"), 0);
    answer.release();
    let output = child.wait_with_output().unwrap();
    let expected = ["read back is 5 bytes", "replaced", "left as it is"];
    assert_error(&output, 7, &expected);
    assert_eq!(printed(&output), "", "no receipt");
    assert_eq!(server.object("key").unwrap().bytes(), "other");
}

/// What says that it is gzip, and is not, is compared as it is stored.
#[test]
fn a_wrong_content_encoding_does_not_make_it_differ() {
    let server = server();
    let folders = Folders::new();
    let uri = "s3://test/key";
    let data = bytes(6 * MIB);
    let file = folders.source("file", &data);
    let options = ["--content-encoding=gzip"];
    assert_code(&put(&server, &options, &file, uri), 0);
    let same = stdout(&verify(&server, &["--download"], &file, uri));
    assert!(same.ends_with("by reading all of the object\n"), "{same}");

    let mut other = data;
    other[5 * MIB] ^= 1;
    let other = folders.source("other", &other);
    let output = verify(&server, &["--download"], &other, uri);
    assert!(!output.status.success());
    assert_eq!(printed(&output), "");
    let shorter = folders.source("shorter", b"abc");
    let output = verify(&server, &["--download"], &shorter, uri);
    assert!(!output.status.success());
}

#[test]
fn who_may_not_read_is_told_that_it_was_stored() {
    let server = server();
    let folders = Folders::new();
    let file = folders.source("file", b"abc");
    server.inject(Fault::on("GetObject").respond(403, "AccessDenied"));
    let output = put(&server, &["--verify"], &file, "s3://test/key");
    assert_error(&output, 4, &["could not be read back"]);
    assert_eq!(server.object("key").unwrap().bytes(), "abc");
}
