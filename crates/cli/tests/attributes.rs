//! What is kept with objects besides their bytes, as the command line says it.

#![cfg(all(feature = "s3", feature = "fs"))]
#![allow(clippy::unwrap_used)]

mod common;

use common::server::{cli, server};
use common::{Folders, assert_code, assert_error, run, run_with_input, stdout};
use testkit::server::TestServer;

const URI: &str = "s3://test/d/table.csv";

fn put(server: &TestServer, options: &[&str]) -> std::process::Output {
    let mut command = cli(server);
    command.arg("put").args(options).args(["-", URI]);
    run_with_input(&mut command, b"a,b\n")
}

#[test]
fn what_is_said_goes_with_the_object_and_stat_shows_it() {
    let server = server();
    let output = put(
        &server,
        &[
            "--cache-control=max-age=60",
            "--content-disposition=attachment",
            "--content-language=de",
            "--storage-class=STANDARD_IA",
            "--tag=team=a b",
            "--tag=empty=",
            "--metadata=k=v",
            "--sse=aws:kms",
            "--sse-kms-key-id=alias/k",
            "--sse-kms-context=a=b",
            "--sse-bucket-key",
            "--acl=bucket-owner-full-control",
        ],
    );
    assert_code(&output, 0);
    let kept = server.object("d/table.csv").unwrap().attributes.clone();
    assert_eq!(kept.content_type, "text/csv", "told by the name");
    assert_eq!(kept.tags["team"], "a b");
    assert_eq!(kept.tags["empty"], "");
    assert_eq!(kept.acl.as_deref(), Some("bucket-owner-full-control"));
    assert_eq!(kept.bucket_key, Some(true));
    assert!(kept.encryption_context.is_some());
    let stat = stdout(&cli(&server).args(["stat", URI]).output().unwrap());
    for line in [
        "content-type: text/csv",
        "cache-control: max-age=60",
        "content-disposition: attachment",
        "content-language: de",
        "storage-class: STANDARD_IA",
        "encryption: aws:kms",
        "encryption-key: alias/k",
        "tag-count: 2",
        "metadata.k: v",
    ] {
        assert!(stat.lines().any(|found| found == line), "{line} in {stat}");
    }
}

#[test]
fn a_type_that_is_said_comes_before_that_of_the_name() {
    let server = server();
    let kept = || {
        server
            .object("d/table.csv")
            .unwrap()
            .attributes
            .content_type
            .clone()
    };
    assert_code(&put(&server, &["--content-type=text/x-mine"]), 0);
    assert_eq!(kept(), "text/x-mine");
    assert_code(&put(&server, &["--no-guess-content-type"]), 0);
    assert_eq!(kept(), "application/octet-stream");
}

#[test]
fn a_name_that_tells_no_type_leaves_it_to_that_of_the_source() {
    let server = server();
    let folders = Folders::new();
    let source = folders.source("table.csv", b"a,b\n");
    for (key, expected) in [("table", "text/csv"), ("table.json", "application/json")] {
        let uri = format!("s3://test/{key}");
        let mut put = cli(&server);
        put.args(["put", "--json", "--dry-run"]).arg(&source);
        let planned = stdout(&put.arg(&uri).output().unwrap());
        let text = format!("\"content_type\":\"{expected}\"");
        assert!(planned.contains(&text), "{planned}");
        let mut put = cli(&server);
        assert_code(&put.arg("put").arg(&source).arg(&uri).output().unwrap(), 0);
        let kept = server.object(key).unwrap().attributes.content_type.clone();
        assert_eq!(kept, expected);
    }
}

#[test]
fn a_disk_keeps_what_it_can_and_refuses_the_rest() {
    let folders = Folders::new();
    let source = folders.source("a", b"abc");
    let source = source.to_str().unwrap();
    let uri = folders.uri("a.csv");
    for (option, named) in [
        ("--storage-class=GLACIER", "storage_class"),
        ("--sse=AES256", "--sse"),
        ("--acl=private", "--acl"),
    ] {
        assert_error(&run(["put", option, source, &uri]), 2, &[named]);
    }
    assert!(folders.names().is_empty());
    let options = ["put", "--tag=team=a", "--cache-control=no-store"];
    assert_code(&run(options.into_iter().chain([source, &uri])), 0);
    let stat = stdout(&run(["stat", &uri]));
    assert!(stat.contains("cache-control: no-store\n"), "{stat}");
    assert!(stat.contains("tag-count: 1\ntag.team: a\n"), "{stat}");
    assert!(!stat.contains("content-type"), "its name says it: {stat}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let server = server();
    for (options, named) in [
        (&["--sse=AES256", "--sse-kms-key-id=k"][..], "aws:kms"),
        (&["--sse-kms-key-id=k"], "--sse"),
        (&["--sse=rot13"], "rot13"),
        (&["--tag=novalue"], "KEY=VALUE"),
        (
            &["--tag=a=1", "--tag=b=1", "--tag=a=2"],
            "the key \"a\" twice",
        ),
        (&["--metadata=k=1", "--metadata=k=1"], "the key \"k\" twice"),
        (&["--cache-control="], "cache_control"),
    ] {
        assert_error(&put(&server, options), 2, &[named]);
    }
    assert!(server.log().is_empty());
}
