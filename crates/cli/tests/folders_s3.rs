//! Folders, written to the in-process S3 server.

#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used)]

mod common;

use std::process::{Command, Output};

use common::server::{cli, server};
use common::{Folders, assert_code, assert_error, bytes, eventually, piped, send, stderr, stdout};
use rustix::process::Signal;
use testkit::server::{Fault, TestServer};

const MIB: usize = 1 << 20;

/// `put -r` of the folder of sources.
fn put(server: &TestServer, folders: &Folders, options: &[&str], destination: &str) -> Command {
    let mut command = cli(server);
    command.args(["put", "-r", "--part-size=5M"]).args(options);
    command.arg(&folders.sources).arg(destination);
    command
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

#[test]
fn the_files_of_a_folder_become_objects_of_the_same_paths() {
    let (server, folders) = (server(), Folders::new());
    let sizes = [0, 1, 16 << 10, 256 << 10, (256 << 10) + 1, 12 * MIB + 7];
    for (index, size) in sizes.into_iter().enumerate() {
        folders.source(format!("d/{index} %20ü"), &bytes(size));
    }
    for n in 0..200 {
        folders.source(format!("many/{n}"), format!("{n}").as_bytes());
    }
    let output = run(&mut put(&server, &folders, &[], "s3://test/p/"));
    assert_eq!(stdout(&output).lines().count(), 206);
    assert!(stderr(&output).starts_with("Uploaded 206 objects, "));
    for (index, size) in sizes.into_iter().enumerate() {
        let object = server.object(&format!("p/d/{index} %20ü")).unwrap();
        assert!(object.bytes() == bytes(size), "{size}");
    }
    for n in 0..200 {
        let object = server.object(&format!("p/many/{n}")).unwrap();
        assert_eq!(object.bytes(), format!("{n}"));
    }
    assert_eq!(server.keys().len(), 206);
    assert!(server.uploads().is_empty());
    // One request for each that fits a part, and no other.
    assert_eq!(server.log_of("PutObject").len(), 205);
}

#[test]
fn keys_that_are_too_long_are_all_named_before_anything_is_sent() {
    let (server, folders) = (server(), Folders::new());
    let prefix = "p".repeat(1_000);
    let fits = "f".repeat(23);
    folders.source(&fits, b"1");
    for name in ["x", "y"] {
        folders.source(name.repeat(24), b"1");
    }
    let destination = format!("s3://test/{prefix}/");
    let output = run(&mut put(&server, &folders, &[], &destination));
    let long = ["x", "y"].map(|name| format!("{}: is too long", name.repeat(24)));
    assert_error(
        &output,
        2,
        &[&long[0], &long[1], "1024 bytes", "of 2 files"],
    );
    assert!(server.keys().is_empty());
    let left_out = &["--exclude=x*", "--exclude=y*"];
    assert_code(&run(&mut put(&server, &folders, left_out, &destination)), 0);
    assert_eq!(server.keys(), [format!("{prefix}/{fits}")]);
}

#[test]
fn what_fails_is_told_and_counted() {
    let (server, folders) = (server(), Folders::new());
    for n in 0..30 {
        folders.source(format!("{n}"), b"1");
    }
    let refused = Fault::on("PutObject").always();
    let refused = server.inject(refused.key("7").respond(403, "AccessDenied"));
    let output = run(&mut put(&server, &folders, &["--keep-going"], "s3://test/"));
    let texts = [
        "s3://test/7: ",
        "AccessDenied",
        "error: 1 of 30 objects failed\n",
    ];
    assert_error(&output, 4, &texts);
    assert_eq!(server.keys().len(), 29);
    refused.remove();

    server.deny("PutObject");
    let one = ["--max-concurrency=1"];
    let output = run(&mut put(&server, &folders, &one, "s3://test/q/"));
    assert_error(&output, 4, &["1 of 30 objects failed; 29 were not begun"]);
}

#[test]
fn ctrl_c_leaves_whole_objects_and_no_upload() {
    let (server, folders) = (server(), Folders::new());
    for n in 0..20 {
        folders.source(format!("small/{n}"), b"1");
    }
    folders.source("large", &bytes(12 * MIB));
    let small = server.hold("PutObject");
    let large = server.hold("UploadPart");
    let options = ["--max-concurrency=8"];
    let child = piped(&mut put(&server, &folders, &options, "s3://test/"));
    eventually("some are on their way", || small.held() + large.held() >= 3);
    send(&child, Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_error(
        &output,
        130,
        &["interrupted: stopping", "Uploaded 0 objects, 0 B in "],
    );
    assert!(server.uploads().is_empty());
    // The server has answered none, but has stored those small ones that had arrived.
    let keys = server.keys();
    assert!(keys.len() <= 8, "{keys:?}");
    let whole = |key: &String| server.object(key).unwrap().bytes() == "1";
    assert!(keys.iter().all(whole), "{keys:?}");
    drop((small, large));
}
