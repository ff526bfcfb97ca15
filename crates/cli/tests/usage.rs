//! Help, wrong use, and what the environment says: all that needs no backend.

mod common;

use common::{Folders, assert_code, assert_error, run, s3_cli, stdout};

#[test]
fn help_names_every_command_and_every_exit_code() {
    let help = stdout(&run(["--help"]));
    for word in [
        "put",
        "put-streaming",
        "verify",
        "cat",
        "stat",
        "rm",
        "ls",
        "bench",
    ] {
        let named = help.lines().any(|line| {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '-');
            words.any(|other| other == word)
        });
        assert!(named, "no {word} in {help}");
    }
    for code in [0, 1, 2, 3, 4, 5, 6, 126, 127, 130, 143] {
        let code = format!("{code} ");
        let listed = help
            .lines()
            .any(|line| line.trim_start().starts_with(&code));
        assert!(listed, "no {code} in {help}");
    }
}

#[test]
fn the_help_of_every_command_has_an_example_of_it() {
    for command in ["put", "verify", "cat", "stat", "rm", "ls", "bench"] {
        let help = stdout(&run([command, "--help"]));
        let (_, examples) = help.split_once("\nExample").expect(command);
        assert!(examples.contains(&format!("  s3-cli {command} ")), "{help}");
    }
}

#[test]
fn help_of_put_names_the_environment_variables() {
    let help = stdout(&run(["put-streaming", "--help"]));
    for name in ["PART_SIZE", "INFLIGHT", "MEMORY", "BUFFER_CAPACITY"] {
        assert!(help.contains(&format!("S3DLIO_PUT_{name}")), "{help}");
    }
}

#[test]
fn wrong_use_is_2() {
    for arguments in [
        &[][..],
        &["put", "a"],
        &["put", "a", "b", "--part-size", "8X"],
        &["put", "a", "b", "--max-concurrency", "0"],
        &["put", "a", "b", "--max-concurrency", "1025"],
        &["put", "a", "b", "--metadata", "novalue"],
        &["put", "a", "b", "s3://bucket/key"],
        &["put", "-", "s3://bucket/prefix/"],
        &["put", "s3://bucket/a", "s3://bucket/b"],
        &["put", "--", "true"],
        &["put", "s3://bucket/key", "--"],
        &["put", "a", "s3://bucket/key", "--", "true"],
        &["put", "s3://bucket/prefix/", "--", "true"],
        &["put", "-r", "s3://bucket/key", "--", "true"],
        &["put", "a", "b", "--expect-checksum", "md5:0"],
        &["put", "a", "b", "--verify", "--no-checksum"],
        &["put", "a", "b", "--if-match", ""],
        &["put", "a", "b", "--if-match", "x", "--if-none-match"],
        &["verify", "a"],
        &["cat", "a", "--range", "5-4"],
        &["stat"],
        &["-q", "-v", "stat", "a"],
    ] {
        assert_code(&run(arguments), 2);
    }
}

#[test]
fn a_scheme_that_nobody_knows_is_named() {
    let output = run(["put", "-", "gopher://hole/key"]);
    assert_error(&output, 2, &["gopher://", "unknown scheme"]);
    let known = common::stderr(&output);
    assert_eq!(known.contains("s3://"), cfg!(feature = "s3"), "{known}");
    assert_eq!(known.contains("file://"), cfg!(feature = "fs"), "{known}");
}

#[cfg(not(feature = "s3"))]
#[test]
fn a_build_without_s3_says_so() {
    let text = "this build has no backend for s3://: rebuild with --features s3";
    assert_error(&run(["put", "-", "s3://bucket/key"]), 2, &[text]);
    assert_error(&run(["stat", "s3://bucket/key"]), 2, &[text]);
}

#[cfg(not(feature = "fs"))]
#[test]
fn a_build_without_the_file_system_says_so() {
    let text = "this build has no backend for file://: rebuild with --features fs";
    assert_error(&run(["put", "-", "file:///tmp/key"]), 2, &[text]);
    assert_error(&run(["stat", "/tmp/key"]), 2, &[text]);
}

#[test]
fn a_wrong_environment_variable_is_named() {
    for (name, value) in [
        ("S3DLIO_PUT_PART_SIZE", "8MB"),
        ("S3DLIO_PUT_INFLIGHT", "0"),
        ("S3DLIO_PUT_BUFFER_CAPACITY", "-1"),
    ] {
        let mut command = s3_cli();
        command
            .args(["put", "-", "/nowhere/object"])
            .env(name, value);
        assert_error(&command.output().unwrap(), 2, &[name, value]);
    }
}

#[cfg(feature = "fs")]
#[test]
fn a_wrong_memory_variable_is_named() {
    let mut command = s3_cli();
    command.args(["put", "-", "/nowhere/object"]);
    command.env("S3DLIO_PUT_MEMORY", "lots");
    assert_error(
        &command.output().unwrap(),
        2,
        &["S3DLIO_PUT_MEMORY", "lots"],
    );
}

#[cfg(feature = "fs")]
#[test]
fn options_come_before_variables() {
    let folders = Folders::new();
    let source = folders.source("a", b"abc");
    let mut command = s3_cli();
    command
        .args(["put", "--part-size", "1M", "--memory", "4M"])
        .args(["--max-concurrency", "2", "--buffer-capacity", "0"])
        .args([&source, &folders.object("a")]);
    for name in ["PART_SIZE", "INFLIGHT", "MEMORY", "BUFFER_CAPACITY"] {
        command.env(format!("S3DLIO_PUT_{name}"), "wrong");
    }
    assert_code(&command.output().unwrap(), 0);
    assert_eq!(folders.read("a"), b"abc");
}

#[test]
fn a_source_that_is_not_there_is_3_and_a_folder_is_2() {
    let folders = Folders::new();
    let missing = folders.sources.join("missing");
    let output = run(["put".as_ref(), missing.as_os_str(), "s3://b/k".as_ref()]);
    assert_error(&output, 3, &["error: ", "missing"]);
    let folder = folders.sources.as_os_str();
    let output = run(["put".as_ref(), folder, "s3://b/k".as_ref()]);
    assert_error(&output, 2, &["is a folder: ", &folder.to_string_lossy()]);
}
