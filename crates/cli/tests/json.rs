//! What programs read: one JSON object a line, and nothing else on standard output.

#![cfg(all(feature = "s3", feature = "fs"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::process::Output;

use common::server::{cli, server};
use common::{Folders, assert_code, printed, run, run_with_input, s3_cli, stderr};
use serde_json::{Value, json};
use testkit::server::{Fault, TestServer};

fn lines(output: &Output) -> Vec<Value> {
    let text = printed(output);
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    let lines = text.lines().map(|line| {
        let value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(matches!(value, Value::Object(_)), "{line}");
        value
    });
    lines.collect()
}

#[track_caller]
fn one(output: &Output) -> Value {
    let mut lines = lines(output);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

fn on(server: &TestServer, arguments: &[&str]) -> Output {
    cli(server).arg("--json").args(arguments).output().unwrap()
}

#[test]
fn an_object_is_a_line_of_what_is_known_of_it() {
    let server = server();
    let uri = "s3://test/d/a.csv";
    let mut put = cli(&server);
    put.args(["put", "--json", "--tag=k=v", "--metadata=m=1", "-", uri]);
    let output = run_with_input(&mut put, b"content");
    assert_code(&output, 0);
    let receipt = one(&output);
    let e_tag = server.object("d/a.csv").unwrap().etag.clone();
    assert_eq!(receipt["source"], "standard input");
    assert_eq!(receipt["uri"], uri);
    assert_eq!(receipt["size"], 7);
    assert_eq!(receipt["e_tag"], json!(e_tag));
    assert_eq!(receipt["content_type"], "text/csv");
    assert_eq!(receipt["tags"], json!({"k": "v"}));
    assert_eq!(receipt["metadata"], json!({"m": "1"}));
    assert_eq!(receipt["parts"], 1);
    assert_eq!(receipt["checksum"].as_str().unwrap().len(), 16);

    let stat = one(&on(&server, &["stat", uri]));
    assert_eq!(stat["checksum"], receipt["checksum"]);
    assert_eq!(stat["tag_count"], 1);
    assert!(
        stat["last_modified"].as_str().unwrap().ends_with('Z'),
        "{stat}"
    );
    let listed = one(&on(&server, &["ls", "s3://test/"]));
    assert_eq!(listed["uri"], uri);
    assert_eq!(listed["size"], 7);
    let removed = one(&on(&server, &["rm", uri]));
    assert_eq!(removed, json!({"uri": uri, "removed": true}));
}

#[test]
fn many_objects_are_many_lines_and_those_that_fail_among_them() {
    let server = server();
    let folders = Folders::new();
    for name in ["a", "b", "c\n\""] {
        folders.source(name, name.as_bytes());
    }
    let _denied = server.inject(
        Fault::on("PutObject")
            .key("p/b")
            .always()
            .respond(403, "AccessDenied"),
    );
    let source = folders.sources.to_str().unwrap();
    let output = on(
        &server,
        &["put", "-r", "--keep-going", source, "s3://test/p/"],
    );
    assert_code(&output, 4);
    let (errors, receipts): (Vec<_>, Vec<_>) = lines(&output)
        .into_iter()
        .partition(|line| line.get("error").is_some());
    let mut uris: Vec<_> = receipts.iter().map(|line| line["uri"].clone()).collect();
    uris.sort_by_key(ToString::to_string);
    assert_eq!(uris, ["s3://test/p/a", "s3://test/p/c\n\""]);
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert_eq!(errors[0]["error"]["kind"], "access_denied");
    assert_eq!(errors[0]["error"]["uri"], "s3://test/p/b");
    assert_eq!(errors[1]["error"]["kind"], "several");
    assert!(!stderr(&output).contains("error"), "{}", stderr(&output));
}

#[test]
fn an_error_is_a_line_with_what_can_be_done_about_it() {
    let server = server();
    let output = on(&server, &["stat", "s3://test/missing"]);
    assert_code(&output, 3);
    let error = &one(&output)["error"];
    assert_eq!(error["kind"], "not_found");
    assert_eq!(error["uri"], "s3://test/missing");
    assert_eq!(error["exit_code"], 3);
    assert_eq!(error["retryable"], false);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("s3://test/missing")
    );
    assert_eq!(stderr(&output), "");

    let denied = cli(&server)
        .args(["--json", "ls", "s3://test/"])
        .env("AWS_SECRET_ACCESS_KEY", "wrong")
        .output()
        .unwrap();
    assert_code(&denied, 4);
    let error = &one(&denied)["error"];
    assert!(
        error["hint"].as_str().unwrap().contains("secret"),
        "{error}"
    );

    let misused = run(["--json", "put", "--no-such-option"]);
    assert_code(&misused, 2);
    let error = &one(&misused)["error"];
    assert_eq!(error["kind"], "usage");
    assert_eq!(error["exit_code"], 2);
    assert_eq!(stderr(&misused), "");
}

#[test]
fn the_bytes_of_an_object_are_not_mixed_with_errors() {
    let server = server();
    let mut put = cli(&server);
    assert_code(
        &run_with_input(put.args(["put", "-", "s3://test/k"]), b"bytes"),
        0,
    );
    let output = on(&server, &["cat", "s3://test/k"]);
    assert_eq!(printed(&output), "bytes");
    let output = on(&server, &["cat", "s3://test/missing"]);
    assert_code(&output, 3);
    assert_eq!(printed(&output), "");
    let error: Value = serde_json::from_str(&stderr(&output)).unwrap();
    assert_eq!(error["error"]["kind"], "not_found");
}

#[test]
fn a_comparison_is_a_line() {
    let folders = Folders::new();
    let (source, uri) = (folders.source("a", b"abc"), folders.uri("a"));
    let source = source.to_str().unwrap();
    assert_code(&run(["put", source, &uri]), 0);
    let same = one(&run(["--json", "verify", source, &uri]));
    assert_eq!(same["same"], true);
    assert_eq!(same["by"], "reading");
    assert_eq!(same["source"], source);
    assert_eq!(same["size"], 3);
    std::fs::write(folders.object("a"), b"abd").unwrap();
    let output = run(["--json", "verify", source, &uri]);
    assert_code(&output, 7);
    assert_eq!(one(&output)["error"]["kind"], "checksum_mismatch");
}

#[test]
fn uploads_are_lines() {
    let server = server();
    let fault = server.inject(
        Fault::on("UploadPart")
            .part(2)
            .always()
            .respond(403, "AccessDenied"),
    );
    let mut put = cli(&server);
    put.args([
        "put",
        "--keep-parts",
        "--part-size=5M",
        "--max-concurrency=1",
    ]);
    put.args(["-", "s3://test/k"]);
    let output = run_with_input(&mut put, &common::bytes(11 << 20));
    assert_code(&output, 4);
    fault.remove();
    let upload = one(&on(&server, &["uploads", "list", "s3://test/"]));
    assert_eq!(upload["uri"], "s3://test/k");
    assert_eq!(upload["size"], 5 << 20);
    let id = upload["upload_id"].as_str().unwrap();
    let abort = ["uploads", "abort", "s3://test/", "--upload-id", id];
    let planned = one(&on(&server, &[&abort[..], &["--dry-run"]].concat()));
    assert_eq!(
        planned,
        json!({"uri": "s3://test/k", "upload_id": id, "aborted": false})
    );
    assert_eq!(server.uploads().len(), 1);
    assert_eq!(one(&on(&server, &abort))["aborted"], true);
    assert!(server.uploads().is_empty());
}

#[test]
fn what_a_service_does_is_a_line_for_each_finding() {
    let server = server();
    let output = on(&server, &["probe", "s3://test/scratch/"]);
    assert_code(&output, 0);
    let mut lines = lines(&output);
    let advice = lines.pop().unwrap();
    assert_eq!(advice["assumed"], "dev-s3");
    assert_eq!(advice["is_right"], true);
    assert!(lines.len() > 3);
    for line in lines {
        assert!(
            line["feature"].is_string() && line.get("works").is_some(),
            "{line}"
        );
    }
}

#[test]
fn a_signal_is_an_error_too() {
    let folders = Folders::new();
    let mut command = s3_cli();
    command.args(["--json", "put", "-", &folders.uri("a")]);
    let child = common::piped(&mut command);
    let term = rustix::process::Signal::TERM;
    common::eventually("it takes signals", || common::takes(&child, term));
    common::send(&child, term);
    let output = child.wait_with_output().unwrap();
    assert_code(&output, 143);
    let error = &one(&output)["error"];
    assert_eq!(error["kind"], "signal");
    assert_eq!(error["exit_code"], 143);
}
