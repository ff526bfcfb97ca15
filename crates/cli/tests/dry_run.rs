//! What `put --dry-run` says, and that it writes nothing.

#![cfg(all(feature = "s3", feature = "fs"))]
#![allow(clippy::unwrap_used)]

mod common;

use common::server::{cli, server};
use common::{Folders, assert_code, assert_error, bytes, printed, run, s3_cli, stderr, stdout};
use serde_json::{Value, json};
use testkit::server::{Fault, TestServer};

const MIB: usize = 1 << 20;

fn on(server: &TestServer, arguments: &[&str]) -> std::process::Output {
    let mut command = cli(server);
    command.args(["put", "--dry-run"]).args(arguments);
    command.output().unwrap()
}

fn line(server: &TestServer, arguments: &[&str]) -> Value {
    let mut command = cli(server);
    command.args(["put", "--json", "--dry-run"]).args(arguments);
    serde_json::from_str(&stdout(&command.output().unwrap())).unwrap()
}

#[test]
fn the_plan_is_what_the_upload_then_does() {
    let server = server();
    let folders = Folders::new();
    for (name, len) in [("one.csv", 7), ("several.csv", 12 * MIB + 7)] {
        let source = folders.source(name, &bytes(len));
        let source = source.to_str().unwrap();
        let uri = format!("s3://test/{name}");
        let arguments = ["--part-size=5M", source, &uri];
        let planned = line(&server, &arguments);
        assert!(server.keys().is_empty() || name == "several.csv");
        assert_eq!(planned["dry_run"], true);
        assert_eq!(planned["outcome"], "create");
        assert_eq!(planned["size"], len);
        assert_eq!(planned["memory"], 0, "files are sent from where they are");
        assert_eq!(planned["content_type"], "text/csv");

        server.clear_log();
        let mut put = cli(&server);
        put.args(["put", "--json"]).args(arguments);
        let receipt: Value = serde_json::from_str(&stdout(&put.output().unwrap())).unwrap();
        for field in ["source", "uri", "size", "parts", "content_type"] {
            assert_eq!(planned[field], receipt[field], "{field}");
        }
        assert_eq!(planned["requests"], server.log().len(), "{name}");

        let again = line(&server, &arguments);
        assert_eq!(again["outcome"], "replace");
        assert_eq!(again["replaces"]["e_tag"], receipt["e_tag"]);
    }
}

#[test]
fn people_read_a_line_for_each_object() {
    let server = server();
    let folders = Folders::new();
    folders.source("d/a.csv", b"a,b\n");
    folders.source("d/b.log.zst", b"text");
    folders.source("d/c.log.zst", b"\x28\xB5\x2F\xFDcompressed");
    server.insert("p/d/a.csv", "old");
    let e_tag = server.object("p/d/a.csv").unwrap().etag;
    let source = folders.sources.to_str().unwrap();
    let output = on(&server, &["-r", source, "s3://test/p/"]);
    let printed = stdout(&output);
    let mut lines: Vec<&str> = printed.lines().collect();
    lines.sort_unstable_by_key(|line| line.rsplit_once("/p/").unwrap().1);
    assert_eq!(
        lines,
        [
            format!(
                "Would upload 4 bytes, {source}/d/a.csv -> s3://test/p/d/a.csv: 1 part, 1 request, \
                 text/csv, replaces 3 bytes, ETag: {e_tag}"
            ),
            format!(
                "Would upload 4 bytes, {source}/d/b.log.zst -> s3://test/p/d/b.log.zst: compressed \
                 with zstd, 1 part, at most 4 bytes of memory, application/zstd, new"
            ),
            format!(
                "Would upload 14 bytes, {source}/d/c.log.zst -> s3://test/p/d/c.log.zst: 1 part, \
                 1 request, application/zstd, new"
            ),
        ]
    );
    assert_eq!(stderr(&output), "3 objects, 22 B; nothing was written\n");
    assert_eq!(server.keys(), ["p/d/a.csv"]);
}

#[test]
fn pipes_are_not_read_and_commands_not_started() {
    let server = server();
    let folders = Folders::new();
    let planned = line(&server, &["-", "s3://test/k"]);
    assert_eq!(planned.get("size"), None);
    assert_eq!(planned["memory"], 128 * MIB);
    let touched = folders.object("touched");
    let touch = touched.to_str().unwrap();
    let planned = line(&server, &["s3://test/k", "--", "touch", touch]);
    assert_eq!(planned["source"], "touch");
    assert!(!touched.exists());
}

#[test]
fn what_can_not_be_looked_at_and_what_would_be_refused_is_said() {
    let server = server();
    let folders = Folders::new();
    let source = folders.source("a", b"abc");
    let source = source.to_str().unwrap();
    let refused = line(&server, &["--if-match=abc", source, "s3://test/k"]);
    assert_eq!(refused["outcome"], "refuse");
    server.insert("k", "old");
    for option in ["--if-none-match", "--if-match=abc"] {
        let refused = line(&server, &[option, source, "s3://test/k"]);
        assert_eq!(refused["outcome"], "refuse", "{option}");
        assert_eq!(refused["replaces"]["size"], 3);
    }
    let _denied = server.inject(
        Fault::on("HeadObject")
            .always()
            .respond(403, "AccessDenied"),
    );
    let unknown = line(&server, &[source, "s3://test/k"]);
    assert_eq!(unknown["outcome"], "unknown");
    assert_eq!(unknown["reason"], "it may not be looked at");
    let output = on(&server, &["--part-size=1M", source, "s3://test/k"]);
    assert_error(&output, 2, &["part size", "s3://test/k"]);
    assert_eq!(server.object("k").unwrap().bytes(), "old");
}

#[test]
fn what_the_upload_would_fail_with_is_said_with_its_code() {
    let server = server();
    let folders = Folders::new();
    let source = folders.source("a", b"abc");
    let source = source.to_str().unwrap();
    for option in ["--if-none-match", "--if-match=abc"] {
        let arguments = ["--service=unknown", option, source, "s3://test/k"];
        let text = "is not known to keep the condition";
        assert_error(
            &on(&server, &arguments),
            2,
            &["s3://test/k: ", text, "hint: "],
        );
        let mut put = cli(&server);
        assert_error(
            &put.arg("put").args(arguments).output().unwrap(),
            2,
            &[text],
        );
        let trusted = [
            "--conditions=trust",
            "--service=unknown",
            option,
            source,
            "s3://test/k",
        ];
        assert_code(&on(&server, &trusted), 0);
    }
    folders.source("b", b"abc");
    let folder = folders.sources.to_str().unwrap();
    server.clear_log();
    let output = on(&server, &["-r", folder, "s3://nowhere/p/"]);
    let texts = ["s3://nowhere/p/a: ", "s3://nowhere/p/b: ", "NoSuchBucket"];
    assert_error(&output, 3, &texts);
    assert_eq!(printed(&output), "");
    assert_eq!(server.log_of("ListObjectsV2").len(), 1);
    assert_error(
        &on(&server, &[source, "s3://nowhere/k"]),
        3,
        &["NoSuchBucket"],
    );
}

#[test]
fn a_disk_has_no_parts_and_nothing_is_made_on_it() {
    let folders = Folders::new();
    let source = folders.source("a", b"abc");
    let uri = folders.uri("d/a");
    let output = s3_cli()
        .args(["--json", "put", "--dry-run"])
        .args([source.to_str().unwrap(), &uri])
        .output()
        .unwrap();
    let planned: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(
        planned,
        json!({
            "dry_run": true, "source": source, "uri": uri, "size": 3, "outcome": "create"
        })
    );
    assert!(folders.names().is_empty());
    let missing = folders.sources.join("missing");
    let output = run(["put", "--dry-run", missing.to_str().unwrap(), &uri]);
    assert_code(&output, 3);
}
