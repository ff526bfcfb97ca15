//! `cat`, by several requests.

#![cfg(all(feature = "fs", feature = "s3"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Read as _;

use common::server::{cli, server};
use common::{Folders, assert_code, assert_error, bytes, piped, run_with_input};
use testkit::server::{Fault, TestServer};

const MIB: usize = 1 << 20;

fn put(server: &TestServer, data: &[u8]) {
    let mut command = cli(server);
    command.args(["put", "--part-size=5M", "-", "s3://test/key"]);
    assert_code(&run_with_input(&mut command, data), 0);
    server.clear_log();
}

#[test]
fn an_object_is_read_in_parts_and_in_order() {
    let server = server();
    for (len, requests) in [(0, 0), (1, 1), (MIB, 1), (MIB + 1, 2), (9 * MIB + 5, 10)] {
        let data = bytes(len);
        put(&server, &data);
        let mut command = cli(&server);
        let cat = [
            "cat",
            "--part-size=1M",
            "--max-concurrency=3",
            "s3://test/key",
        ];
        let output = command.args(cat).output().unwrap();
        assert_code(&output, 0);
        assert!(output.stdout == data, "{len}");
        assert_eq!(server.log_of("GetObject").len(), requests, "{len}");
    }
    let data = bytes(9 * MIB + 5);
    let mut command = cli(&server);
    command.args(["cat", "--part-size=1M", "--range=-3000000", "s3://test/key"]);
    assert!(command.output().unwrap().stdout == data[data.len() - 3_000_000..]);
}

#[test]
fn requests_that_fail_are_made_again_and_those_that_may_not_are_not() {
    let server = server();
    let data = bytes(6 * MIB);
    put(&server, &data);
    server.inject(Fault::on("GetObject").times(3).respond(503, "SlowDown"));
    let mut command = cli(&server);
    command.args(["cat", "--part-size=1M", "s3://test/key"]);
    let output = command.output().unwrap();
    assert_code(&output, 0);
    assert!(output.stdout == data);
    server.inject(Fault::on("GetObject").respond(403, "AccessDenied"));
    assert_error(&command.output().unwrap(), 4, &["s3://test/key"]);
}

/// Bytes of two objects are not mixed.
#[test]
fn an_object_that_is_replaced_while_it_is_read_is_an_error() {
    let server = server();
    put(&server, &bytes(40 * MIB));
    let mut command = cli(&server);
    command.args([
        "cat",
        "--part-size=1M",
        "--max-concurrency=1",
        "s3://test/key",
    ]);
    let mut child = piped(&mut command);
    let mut stdout = child.stdout.take().unwrap();
    // What nobody reads keeps it from asking for more.
    stdout.read_exact(&mut vec![0; MIB]).unwrap();
    put(&server, &bytes(40 * MIB + 1));
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_error(&output, 7, &["was replaced while it was read"]);
    assert!(rest.len() < 39 * MIB);
}

#[test]
fn on_a_disk_the_open_file_is_read_to_its_end() {
    let folders = Folders::new();
    let data = bytes(9 * MIB);
    std::fs::write(folders.object("key"), &data).unwrap();
    let mut command = common::s3_cli();
    let mut child = piped(command.args(["cat", &folders.uri("key")]));
    let mut stdout = child.stdout.take().unwrap();
    let mut all = vec![0; MIB];
    stdout.read_exact(&mut all).unwrap();
    std::fs::write(folders.object("new"), b"new").unwrap();
    std::fs::rename(folders.object("new"), folders.object("key")).unwrap();
    stdout.read_to_end(&mut all).unwrap();
    assert_code(&child.wait_with_output().unwrap(), 0);
    assert!(all == data);
}
