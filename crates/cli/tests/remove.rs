//! `rm` of much, and `ls` of nothing.

#![cfg(all(feature = "s3", feature = "fs"))]
#![allow(clippy::unwrap_used)]

mod common;

use common::server::{cli, server};
use common::{Folders, assert_code, assert_error, run, stderr, stdout};
use testkit::server::{Fault, TestServer};

fn filled() -> TestServer {
    let server = server();
    for key in ["p/a.txt", "p/d/b.tmp", "p/d/c.txt", "p2/x", "q"] {
        server.insert(key, key);
    }
    server
}

fn on(server: &TestServer, arguments: &[&str]) -> std::process::Output {
    cli(server).args(arguments).output().unwrap()
}

#[test]
fn only_what_is_below_is_removed() {
    for uri in ["s3://test/p", "s3://test/p/"] {
        let server = filled();
        let output = on(&server, &["rm", "-r", uri]);
        assert_eq!(stdout(&output), "");
        assert_eq!(stderr(&output), "3 objects removed\n");
        assert_eq!(server.keys(), ["p2/x", "q"]);
    }
}

#[test]
fn globs_choose_what_is_removed() {
    let server = filled();
    let output = on(
        &server,
        &[
            "rm",
            "-r",
            "--include=*.txt",
            "--exclude=d/*",
            "s3://test/p",
        ],
    );
    assert_code(&output, 0);
    assert_eq!(server.keys(), ["p/d/b.tmp", "p/d/c.txt", "p2/x", "q"]);
}

#[test]
fn a_dry_run_says_what_would_be_removed_and_removes_nothing() {
    let server = filled();
    let output = on(&server, &["rm", "-r", "--dry-run", "s3://test/p"]);
    let said = stdout(&output);
    assert_eq!(
        said,
        "Would remove s3://test/p/a.txt\nWould remove s3://test/p/d/b.tmp\n\
         Would remove s3://test/p/d/c.txt\n"
    );
    let output = on(
        &server,
        &["rm", "--dry-run", "s3://test/q", "s3://test/missing"],
    );
    assert_eq!(stdout(&output), "Would remove s3://test/q\n");
    assert_eq!(server.keys().len(), 5);
}

#[test]
fn what_can_not_be_removed_is_told_and_the_rest_goes() {
    let server = filled();
    let _denied = server.inject(
        Fault::on("DeleteObject")
            .key("p/d/b.tmp")
            .always()
            .respond(403, "AccessDenied"),
    );
    let output = on(&server, &["rm", "-r", "s3://test/p"]);
    assert_error(&output, 4, &["p/d/b.tmp", "1 of 3 objects are left"]);
    assert_eq!(server.keys(), ["p/d/b.tmp", "p2/x", "q"]);
}

/// On S3, a prefix is no object, and its removal would do nothing.
#[test]
fn a_prefix_is_not_taken_for_an_object() {
    let server = filled();
    let output = on(&server, &["rm", "s3://test/p/"]);
    assert_error(&output, 2, &["objects below it", "rm -r"]);
    assert_eq!(server.keys().len(), 5);
    assert_code(&on(&server, &["rm", "s3://test/nothing/"]), 0);
    // Some programs make such objects, to be seen as folders.
    server.insert("p/", "");
    assert_code(&on(&server, &["rm", "s3://test/p/"]), 0);
    assert_eq!(server.keys().len(), 5);
}

/// Wildcards are for globs, and URIs have none.
#[test]
fn wildcards_that_match_nothing_are_told() {
    let server = filled();
    for (arguments, hint) in [
        (&["rm", "s3://test/*"][..], "`rm -r PREFIX --include GLOB`"),
        (
            &["rm", "-r", "s3://test/*"],
            "`rm -r PREFIX --include GLOB`",
        ),
        (
            &["rm", "-r", "s3://test/p?"],
            "`rm -r PREFIX --include GLOB`",
        ),
        (&["ls", "s3://test/p/*"], "`ls PREFIX`"),
    ] {
        let output = on(&server, arguments);
        assert_code(&output, 0);
        let said = stderr(&output);
        assert!(said.starts_with("warning: s3://test/"), "{said}");
        for text in ["names are taken as they are", hint] {
            assert!(said.contains(text), "{arguments:?}: {said}");
        }
    }
    for command in ["stat", "cat"] {
        let output = on(&server, &[command, "s3://test/p/*"]);
        assert_error(&output, 3, &["hint: names are taken as they are"]);
    }
    assert_eq!(server.keys().len(), 5);
    server.insert("p/*", "named so");
    let output = on(&server, &["rm", "s3://test/p/*"]);
    assert_eq!(stderr(&output), "");
    assert_eq!(server.keys().len(), 5);
}

/// An empty variable of the shell is no place.
#[test]
fn everything_is_not_a_place() {
    for uri in [
        "",
        "/",
        "//",
        ".",
        "../..",
        "file://",
        "file:///",
        "file://localhost/",
        "s3://",
        "s3:///",
    ] {
        let output = run(["rm", "-r", "--dry-run", uri]);
        assert_error(&output, 2, &[&format!("{uri:?}"), "names no bucket"]);
        assert!(output.stdout.is_empty());
    }
}

/// What was set for `put -r` removes nothing.
#[test]
fn the_variables_of_other_commands_do_not_choose_what_goes() {
    let server = filled();
    let mut rm = cli(&server);
    rm.args(["rm", "s3://test/p"]).env("S3_CLI_RECURSIVE", "1");
    assert_code(&rm.output().unwrap(), 0);
    assert_eq!(server.keys().len(), 5);
    let mut rm = cli(&server);
    rm.args(["rm", "-r", "s3://test/p"]);
    rm.env("S3_CLI_INCLUDE", "*.tmp")
        .env("S3_CLI_RM_EXCLUDE", "*.tmp");
    assert_code(&rm.output().unwrap(), 0);
    assert_eq!(server.keys(), ["p/d/b.tmp", "p2/x", "q"]);
}

#[test]
fn files_below_a_folder_are_removed_and_listed_in_order() {
    let folders = Folders::new();
    for name in ["d/b", "d/a/x", "d/a.txt", "e"] {
        let path = folders.object(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }
    let listed = stdout(&run(["ls", &folders.uri("d/")]));
    let names: Vec<&str> = listed
        .lines()
        .map(|line| line.rsplit_once("/objects/").unwrap().1)
        .collect();
    assert_eq!(names, ["d/a.txt", "d/a/x", "d/b"]);
    assert_code(&run(["rm", "-r", &folders.uri("d")]), 0);
    assert_eq!(folders.all().keys().collect::<Vec<_>>(), ["e"]);
}

#[test]
fn a_folder_that_is_not_there_is_not_an_empty_one() {
    let folders = Folders::new();
    assert_eq!(stdout(&run(["ls", &folders.uri("")])), "");
    assert_eq!(stdout(&run(["ls", &folders.uri("begins-with")])), "");
    let missing = folders.uri("missing/");
    assert_error(&run(["ls", &missing]), 3, &[&missing, "no such folder"]);
    let path = folders.object("missing/x");
    assert_error(&run(["ls", path.to_str().unwrap()]), 3, &["no such folder"]);
}
