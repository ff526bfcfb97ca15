//! The binary against the in-process S3 server.

#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write as _;
use std::process::Command;

use common::server::{cli, server};
use common::{
    Folders, assert_code, assert_error, bytes, eventually, piped, run_with_input, send, stdout,
    wait,
};
use rustix::process::Signal;
use testkit::server::TestServer;

const MIB: usize = 1 << 20;

#[test]
fn files_and_pipes_arrive_whole() {
    let server = server();
    let folders = Folders::new();
    for len in [0, 1, 5 * MIB, 12 * MIB + 7] {
        let data = bytes(len);
        let file = folders.source("source", &data);
        let part = "--part-size=5MiB";
        let puts: [(&str, &[&str]); 3] = [
            ("file", &[file.to_str().unwrap()]),
            ("pipe", &["-"]),
            ("buffered", &["--buffered", "-"]),
        ];
        for (key, source) in puts {
            let uri = format!("s3://test/{key}");
            let mut command = cli(&server);
            command.args(["put", part]).args(source).arg(&uri);
            let output = run_with_input(&mut command, &data);
            let object = server.object(key).unwrap();
            let e_tag = object.etag.trim_matches('"');
            let expected = format!("Uploaded {len} bytes to {uri}, ETag: {e_tag}\n");
            assert_eq!(stdout(&output), expected);
            assert!(object.bytes() == data, "{key} of {len} bytes");
        }
    }
    assert!(server.uploads().is_empty());
}

#[test]
fn the_destination_may_come_first() {
    let server = server();
    let folders = Folders::new();
    let file = folders.source("source", b"content");
    for verb in ["put-streaming", "put"] {
        let uri = format!("s3://test/{verb}");
        let output = cli(&server).args([verb, &uri]).arg(&file).output().unwrap();
        assert_code(&output, 0);
        assert_eq!(server.object(verb).unwrap().bytes(), "content");
    }
}

#[test]
fn what_was_written_can_be_looked_at() {
    let server = server();
    let uri = "s3://test/folder/a b%20ü";
    let mut put = cli(&server);
    put.args([
        "put",
        "--content-type=text/plain",
        "--metadata=origin=here",
        "-",
        uri,
    ]);
    assert_code(&run_with_input(&mut put, b"content"), 0);

    let run = |arguments: &[&str]| stdout(&cli(&server).args(arguments).output().unwrap());
    assert_eq!(run(&["cat", uri]), "content");
    assert_eq!(run(&["cat", "--range=1-3", uri]), "ont");
    let stat = run(&["stat", uri]);
    for text in ["7", "text/plain", "origin", "here"] {
        assert!(stat.contains(text), "no {text} in: {stat}");
    }
    assert!(run(&["ls", "s3://test/folder/"]).contains(uri));
    run(&["rm", uri]);
    let output = cli(&server).args(["stat", uri]).output().unwrap();
    assert_error(&output, 3, &[uri]);
}

#[test]
fn a_pausing_pipe_keeps_no_full_part_back() {
    let server = server();
    let mut command = cli(&server);
    let mut child = piped(command.args(["put", "--part-size=5M", "-", "s3://test/key"]));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&bytes(5 * MIB + 1)).unwrap();
    eventually("part 1 arrives while the pipe pauses", || {
        server
            .uploads()
            .iter()
            .any(|upload| upload.parts.len() == 1)
    });
    drop(stdin);
    assert_code(&child.wait_with_output().unwrap(), 0);
    assert_eq!(server.object("key").unwrap().size, 5 * MIB as u64 + 1);
}

/// Stops an upload over an old object in the middle.
fn stopped_by(signal: Signal) -> (TestServer, Option<i32>) {
    let server = server();
    let mut put = cli(&server);
    assert_code(
        &run_with_input(put.args(["put", "-", "s3://test/key"]), b"old"),
        0,
    );
    let mut command = cli(&server);
    let mut child = piped(command.args(["put", "--part-size=5M", "-", "s3://test/key"]));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&bytes(12 * MIB)).unwrap();
    eventually("two parts", || {
        server
            .uploads()
            .iter()
            .any(|upload| upload.parts.len() == 2)
    });
    send(&child, signal);
    let status = child.wait().unwrap();
    assert_eq!(server.object("key").unwrap().bytes(), "old");
    (server, status.code())
}

#[test]
fn ctrl_c_aborts_the_upload() {
    let (server, code) = stopped_by(Signal::INT);
    assert_eq!(code, Some(130));
    assert!(server.uploads().is_empty());
}

/// Who does not want to wait for the clean-up need not.
#[test]
fn a_second_ctrl_c_ends_at_once() {
    let server = server();
    let hold = server.hold("AbortMultipartUpload");
    let mut command = cli(&server);
    let mut child = piped(command.args(["put", "--part-size=5M", "-", "s3://test/key"]));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&bytes(6 * MIB)).unwrap();
    eventually("a part", || {
        server
            .uploads()
            .iter()
            .any(|upload| upload.parts.len() == 1)
    });
    send(&child, Signal::INT);
    eventually("it cleans up", || {
        server.stats().requests_of("AbortMultipartUpload") == 1
    });
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(child.try_wait().unwrap().is_none(), "it waits for that");
    send(&child, Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(130));
    hold.release();
}

/// What nothing can prevent, and the documents say: the parts stay until they are aborted.
#[test]
fn a_kill_leaves_the_old_object_and_the_parts() {
    let (server, code) = stopped_by(Signal::KILL);
    assert_eq!(code, None);
    assert_eq!(server.uploads().len(), 1);
}

#[test]
fn errors_say_what_to_do() {
    let server = server();
    let put = |command: &mut Command, uri: &str| {
        command.args(["put", "-", uri]);
        run_with_input(command, b"content")
    };
    let output = put(&mut cli(&server), "s3://nobucket/key");
    assert_error(&output, 3, &["NoSuchBucket", "s3://nobucket/key", "hint: "]);

    let output = put(
        cli(&server).env("AWS_SECRET_ACCESS_KEY", "wrong"),
        "s3://test/key",
    );
    assert_error(&output, 4, &["SignatureDoesNotMatch", "hint: "]);

    let mut nobody = cli(&server);
    nobody
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    let output = put(&mut nobody, "s3://test/key");
    assert_error(&output, 4, &["credentials", "AWS_ACCESS_KEY_ID"]);

    let output = put(
        cli(&server).env("S3DLIO_PUT_INFLIGHT", "many"),
        "s3://test/key",
    );
    assert_error(&output, 2, &["S3DLIO_PUT_INFLIGHT", "many", "1024"]);

    let output = put(&mut cli(&server), "s3://test/");
    assert_code(&output, 2);
    assert!(server.keys().is_empty());
}

#[test]
fn options_may_stand_anywhere() {
    let server = server();
    let folders = Folders::new();
    let file = folders.source("source", b"content");
    let mut command = cli(&server);
    command.arg("put").arg(&file);
    command.args(["--content-type", "text/plain", "s3://test/key"]);
    assert_code(&command.output().unwrap(), 0);
    assert_eq!(server.object("key").unwrap().bytes(), "content");
}

#[test]
fn a_mistyped_uri_is_not_a_file() {
    let server = server();
    let folders = Folders::new();
    let file = folders.source("source", b"content");
    for typo in ["s3:/test/key", "s3:test/key", "file:/tmp/key"] {
        let output = cli(&server)
            .arg("put")
            .arg(&file)
            .arg(typo)
            .output()
            .unwrap();
        assert_error(&output, 2, &[typo, "./"]);
    }
}

#[test]
fn names_ask_for_compression() {
    let server = server();
    let data = vec![b'a'; 100_000];
    for (name, magic) in [
        ("k.gz", &[0x1f, 0x8b][..]),
        ("k.zst", &[0x28, 0xb5, 0x2f, 0xfd]),
    ] {
        let uri = format!("s3://test/{name}");
        let mut command = cli(&server);
        let output = run_with_input(command.args(["put", "-", &uri]), &data);
        assert_code(&output, 0);
        let stored = server.object(name).unwrap().bytes();
        assert!(stored.starts_with(magic) && stored.len() < 1_000, "{name}");
        let mut command = cli(&server);
        let output = run_with_input(command.args(["put", "--no-compression", "-", &uri]), &data);
        assert_code(&output, 0);
        assert_eq!(server.object(name).unwrap().bytes(), data);
    }
}

#[test]
fn create_only_refuses_to_replace() {
    let server = server();
    let put = |data: &[u8]| {
        let mut command = cli(&server);
        command.args(["put", "--if-none-match", "-", "s3://test/key"]);
        run_with_input(&mut command, data)
    };
    assert_code(&put(b"first"), 0);
    assert_error(&put(b"second"), 5, &["exists already", "--if-none-match"]);
    assert_eq!(server.object("key").unwrap().bytes(), "first");
}

#[test]
fn what_differs_from_the_checksum_that_was_said_is_not_stored() {
    // The check value of CRC64NVME, in both forms, and another one.
    for (checksum, code) in [
        ("crc64nvme:ae8b14860a799888", 0),
        ("crc64nvme:rosUhgp5mIg=", 0),
        ("crc64nvme:ae8b14860a799889", 7),
    ] {
        let server = server();
        let mut command = cli(&server);
        command.args(["put", "--expect-checksum", checksum, "-", "s3://test/key"]);
        let output = run_with_input(&mut command, b"123456789");
        assert_code(&output, code);
        assert_eq!(server.keys().is_empty(), code != 0);
        if code != 0 {
            assert_error(&output, code, &["ae8b14860a799888", "nothing was stored"]);
        }
    }
}

#[test]
fn a_large_object_with_another_checksum_is_aborted() {
    let server = server();
    let mut command = cli(&server);
    let checksum = "--expect-checksum=crc64nvme:0000000000000000";
    command.args(["put", "--part-size=5M", checksum, "-", "s3://test/key"]);
    let output = run_with_input(&mut command, &bytes(12 * MIB));
    assert_error(&output, 7, &["0000000000000000", "nothing was stored"]);
    assert!(server.keys().is_empty() && server.uploads().is_empty());
}

#[test]
fn a_checksum_or_an_etag_is_that_of_one_object() {
    let server = server();
    let folders = Folders::new();
    let (a, b) = (folders.source("a", b"a"), folders.source("b", b"b"));
    for option in [
        "--expect-checksum=crc64nvme:0000000000000000",
        "--if-match=x",
    ] {
        let mut command = cli(&server);
        command.args(["put", option]).args([&a, &b]);
        let output = command.arg("s3://test/").output().unwrap();
        let name = option.split('=').next().unwrap();
        assert_error(&output, 2, &[name, "one object"]);
    }
    let mut command = cli(&server);
    let checksum = "--expect-checksum=crc64nvme:0000000000000000";
    command.args(["put", checksum, "-", "s3://test/key.zst"]);
    assert_error(&run_with_input(&mut command, b"a"), 2, &["compression"]);
    assert!(server.keys().is_empty());
}

#[test]
fn only_what_has_not_changed_is_replaced() {
    let server = server();
    let put = |options: &[&str], data: &[u8]| {
        let mut command = cli(&server);
        command.args(["put", "--part-size=5M"]).args(options);
        run_with_input(command.args(["-", "s3://test/key"]), data)
    };
    let e_tag = || {
        server
            .object("key")
            .unwrap()
            .etag
            .trim_matches('"')
            .to_owned()
    };

    let none = put(&["--if-match", "0123"], b"first");
    assert_error(&none, 5, &["no object that could be replaced"]);
    assert!(server.keys().is_empty());

    assert_code(&put(&[], b"first"), 0);
    let first = e_tag();
    for data in [&b"second"[..], &bytes(6 * MIB)] {
        assert_code(&put(&["--if-match", &e_tag()], data), 0);
        assert!(server.object("key").unwrap().bytes() == data);
        let late = put(&["--if-match", &first], b"late");
        assert_error(&late, 5, &["no longer", "s3-cli stat"]);
        assert!(server.object("key").unwrap().bytes() == data);
    }
    assert!(server.uploads().is_empty());
}
