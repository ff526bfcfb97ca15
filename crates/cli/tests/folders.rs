//! Folders, written to a disk.

#![cfg(feature = "fs")]
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Output;

use common::{
    Folders, assert_code, assert_error, assert_summary, assert_uploaded, bytes, s3_cli, stderr,
    stdout,
};

/// `put -r` of the folder of sources to that of objects.
fn put(folders: &Folders, options: &[&str]) -> Output {
    let mut command = s3_cli();
    command.args(["put", "-r"]).args(options);
    command.arg(&folders.sources).arg(folders.uri(""));
    command.output().unwrap()
}

fn names(all: &BTreeMap<String, Vec<u8>>) -> Vec<&str> {
    all.keys().map(String::as_str).collect()
}

#[test]
fn the_files_of_a_folder_become_objects_of_the_same_paths() {
    let folders = Folders::new();
    let mut expected = BTreeMap::new();
    // Around the size up to which a file is read at once, and of more than one page.
    let sizes = [0, 1, 5_000, 262_143, 262_144, 262_145, 1 << 20];
    for (index, size) in sizes.into_iter().enumerate() {
        let name = format!("d {index}/.e/{index}%20#");
        expected.insert(name, bytes(size));
    }
    expected.insert("top".into(), b"top".to_vec());
    for (name, data) in &expected {
        folders.source(name, data);
    }
    let output = put(&folders, &[]);
    let printed = stdout(&output);
    assert!(folders.all() == expected, "{:?}", folders.names());
    assert_eq!(printed.lines().count(), expected.len());
    for (name, data) in &expected {
        let source = folders.sources.join(name);
        let from_to = format!(", {} -> {}", source.display(), folders.uri(name));
        let line = printed.lines().find(|line| line.ends_with(&from_to));
        assert_uploaded(line.unwrap(), data.len() as u64);
    }
    let sum: usize = sizes.iter().sum::<usize>() + 3;
    assert_eq!(sum, 1_840_012);
    assert_summary(&output, "8 objects, 1.8 MiB");
}

#[test]
fn files_and_folders_go_together_and_a_trailing_slash_means_nothing() {
    let folders = Folders::new();
    let file = folders.source("file", b"1");
    folders.source("one/a", b"2");
    folders.source("two/b/c", b"3");
    let mut command = s3_cli();
    command.args(["put", "--recursive"]).arg(file);
    command.arg(format!("{}/one/", folders.sources.display()));
    command.arg(format!("file://{}/two", folders.sources.display()));
    let output = command.arg(folders.uri("")).output().unwrap();
    assert_code(&output, 0);
    assert_eq!(names(&folders.all()), ["a", "b/c", "file"]);
}

#[test]
fn the_working_directory_is_a_folder_too() {
    let folders = Folders::new();
    folders.source("a/b", b"1");
    let mut command = s3_cli();
    command.current_dir(&folders.sources);
    command.args(["put", "-r", ".", &folders.uri("below/")]);
    assert_code(&command.output().unwrap(), 0);
    assert_eq!(names(&folders.all()), ["below/a/b"]);
}

#[test]
fn a_folder_that_was_not_asked_for_is_refused() {
    let folders = Folders::new();
    folders.source("a", b"1");
    let mut command = s3_cli();
    command
        .arg("put")
        .arg(&folders.sources)
        .arg(folders.uri(""));
    assert_error(&command.output().unwrap(), 2, &["is a folder", "-r"]);
    let mut command = s3_cli();
    command.args(["put", "-r"]).arg(&folders.sources);
    let output = command.arg(folders.uri("x")).output().unwrap();
    assert_error(&output, 2, &["ends in /"]);
    assert!(folders.names().is_empty());
}

#[test]
fn an_empty_folder_is_no_error() {
    let folders = Folders::new();
    std::fs::create_dir(folders.sources.join("empty")).unwrap();
    let output = put(&folders, &[]);
    assert_eq!(stdout(&output), "");
    let said = stderr(&output);
    assert!(said.starts_with("warning: there is nothing to write: no file was found\n"));
    assert!(said.contains("Uploaded 0 objects, 0 B in "), "{said}");
    let output = put(&folders, &["--quiet"]);
    assert_eq!(stdout(&output) + &stderr(&output), "");
}

#[test]
fn globs_that_match_nothing_are_told() {
    let folders = Folders::new();
    folders.source("a.txt", b"1");
    for options in [
        &["--include=*.csv"][..],
        &["--exclude=*", "--json"],
        &["--include=*.csv", "--dry-run"],
    ] {
        let output = put(&folders, options);
        assert_eq!(stdout(&output), "", "{options:?}");
        let said = stderr(&output);
        let warning = "warning: there is nothing to write: no file matches the globs\n";
        assert!(said.starts_with(warning), "{options:?}: {said}");
    }
    assert!(folders.names().is_empty());
}

#[test]
fn globs_choose() {
    for (options, expected) in [
        (&["--include=*.txt"][..], &["a.txt", "x/b.txt"][..]),
        (&["--include=*.txt", "--exclude=x/*"], &["a.txt"]),
        (&["--exclude=*.txt"], &["x/y/d.md", "z.bin"]),
        (
            &["--include=x/*", "--include=z*"],
            &["x/b.txt", "x/y/d.md", "z.bin"],
        ),
        (&["--include=nothing"], &[]),
    ] {
        let folders = Folders::new();
        for name in ["a.txt", "x/b.txt", "x/y/d.md", "z.bin"] {
            folders.source(name, b"1");
        }
        assert_code(&put(&folders, options), 0);
        assert_eq!(names(&folders.all()), expected, "{options:?}");
    }
    let folders = Folders::new();
    assert_error(&put(&folders, &["--include=[a"]), 2, &["[a"]);
}

#[test]
fn links_within_the_folder_are_followed() {
    let folders = Folders::new();
    let file = folders.source("d/file", b"content");
    symlink("d/file", folders.sources.join("relative")).unwrap();
    symlink(&file, folders.sources.join("absolute")).unwrap();
    symlink("d", folders.sources.join("folder")).unwrap();
    assert_code(&put(&folders, &[]), 0);
    let all = folders.all();
    assert_eq!(
        names(&all),
        ["absolute", "d/file", "folder/file", "relative"]
    );
    assert!(all.values().all(|data| data == b"content"));
}

#[test]
fn a_folder_may_itself_be_a_link() {
    let folders = Folders::new();
    folders.source("real/a", b"1");
    symlink("real", folders.sources.join("link")).unwrap();
    let mut command = s3_cli();
    command
        .args(["put", "-r"])
        .arg(folders.sources.join("link"));
    assert_code(&command.arg(folders.uri("")).output().unwrap(), 0);
    assert_eq!(names(&folders.all()), ["a"]);
}

#[test]
fn links_that_lead_out_or_round_or_nowhere_are_all_named_before_anything_is_sent() {
    let folders = Folders::new();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), b"secret").unwrap();
    folders.source("good", b"1");
    folders.source("d/good", b"1");
    let link = |target: &str, name: &str| symlink(target, folders.sources.join(name)).unwrap();
    let secret = outside.path().join("secret");
    link(secret.to_str().unwrap(), "out-file");
    link(outside.path().to_str().unwrap(), "out-folder");
    link("..", "d/round");
    link("missing", "nowhere");
    let output = put(&folders, &[]);
    assert_error(
        &output,
        2,
        &[
            "out-file: is a symbolic link that leads out",
            "out-folder: is a symbolic link that leads out",
            "d/round: is a symbolic link that leads back",
            "nowhere: is a symbolic link that leads nowhere",
            "nothing was sent, because of 4 files or folders",
        ],
    );
    assert!(folders.names().is_empty());
    let output = put(&folders, &["--keep-going"]);
    assert_error(&output, 2, &["leads nowhere", "4 of 6 objects failed"]);
    assert_eq!(names(&folders.all()), ["d/good", "good"]);

    // What is left out does no harm.
    let left_out = ["out-*", "d/round", "nowhere"].map(|glob| format!("--exclude={glob}"));
    assert_code(&put(&folders, &left_out.each_ref().map(|s| s.as_str())), 0);
    assert_eq!(names(&folders.all()), ["d/good", "good"]);
}

#[test]
fn links_can_be_skipped_or_refused() {
    let folders = Folders::new();
    folders.source("a", b"1");
    symlink("a", folders.sources.join("inside")).unwrap();
    symlink("/", folders.sources.join("outside")).unwrap();
    symlink("missing", folders.sources.join("nowhere")).unwrap();
    let output = put(&folders, &["--symlinks=error"]);
    let each =
        ["inside: ", "outside: ", "nowhere: "].map(|name| format!("{name}is a symbolic link"));
    assert_error(&output, 2, &each.each_ref().map(|text| text.as_str()));
    assert!(folders.names().is_empty());
    let output = put(&folders, &["--symlinks=skip"]);
    assert_summary(&output, "1 object, 1 B");
    assert_eq!(names(&folders.all()), ["a"]);
}

/// To open a pipe would wait for good.
#[test]
fn what_is_no_regular_file_is_left_out_and_never_opened() {
    let folders = Folders::new();
    folders.source("a", b"1");
    folders.fifo("pipe");
    let _socket = UnixListener::bind(folders.sources.join("socket")).unwrap();
    symlink("pipe", folders.sources.join("link")).unwrap();
    let output = put(&folders, &[]);
    assert_code(&output, 0);
    for name in ["pipe", "socket", "link"] {
        let warning = format!("{name} is no regular file: left out\n");
        assert!(stderr(&output).contains(&warning), "{}", stderr(&output));
    }
    assert_eq!(names(&folders.all()), ["a"]);
    assert_eq!(stderr(&put(&folders, &["-q"])), "");
}

#[test]
fn names_that_are_not_utf_8_are_all_named_before_anything_is_sent() {
    let folders = Folders::new();
    folders.source("good", b"1");
    for name in [&b"bad-\xff"[..], b"d/\xfe-worse"] {
        folders.source(OsStr::from_bytes(name), b"1");
    }
    let output = put(&folders, &[]);
    assert_error(
        &output,
        2,
        &["bad-", "-worse", "not valid UTF-8", "of 2 files"],
    );
    assert!(folders.names().is_empty());
    assert_code(&put(&folders, &["--exclude=*bad-*", "--exclude=d/*"]), 0);
    assert_eq!(names(&folders.all()), ["good"]);
}

#[test]
fn objects_with_two_sources_are_all_named_before_anything_is_sent() {
    let folders = Folders::new();
    let put = || {
        let mut command = s3_cli();
        command.args(["put", "-r"]);
        command.args(["one", "two"].map(|name| folders.sources.join(name)));
        command.arg(folders.uri("")).output().unwrap()
    };
    for name in ["one/a", "two/a", "one/d/b", "two/d/b", "two/c"] {
        folders.source(name, b"1");
    }
    let output = put();
    assert_error(
        &output,
        2,
        &["one/a, ", "two/a", "one/d/b, ", "two/d/b", "of 2 files"],
    );
    assert!(folders.names().is_empty());

    for name in ["one/a", "one/d/b"] {
        std::fs::remove_file(folders.sources.join(name)).unwrap();
    }
    folders.source("one/a/file", b"1");
    assert_error(
        &put(),
        2,
        &["would be a file, and a folder because of", "one/a/file"],
    );
    assert!(folders.names().is_empty());
}

/// Where an object should go, there is a folder that keeps it from being written.
fn in_the_way(folders: &Folders, name: &str) {
    std::fs::create_dir_all(folders.object(name).join("in-the-way")).unwrap();
}

#[test]
fn after_a_failure_no_object_is_begun() {
    let folders = Folders::new();
    for n in 0..1_500 {
        let name = format!("{n}");
        folders.source(&name, b"1");
        in_the_way(&folders, &name);
    }
    let output = put(&folders, &["--max-concurrency=1"]);
    let said = "error: 1 of 1,500 objects failed; 1,499 were not begun";
    assert_error(
        &output,
        2,
        &["only a regular file can be replaced", said, "--keep-going"],
    );
    let said = stderr(&output).matches("only a regular file").count();
    assert_eq!(said, 1, "{}", stderr(&output));
}

#[test]
fn keep_going_stores_what_can_be_stored() {
    let folders = Folders::new();
    for n in 0..100 {
        folders.source(format!("{n}"), b"1");
    }
    for name in ["17", "42"] {
        in_the_way(&folders, name);
    }
    let output = put(&folders, &["--keep-going"]);
    let texts = [
        "/17: ",
        "/42: ",
        "error: 2 of 100 objects failed\n",
        "Uploaded 98 objects, 98 B in ",
    ];
    assert_error(&output, 2, &texts);
    assert_eq!(
        output.stdout.iter().filter(|byte| **byte == b'\n').count(),
        98
    );
    assert_eq!(folders.all().len(), 98);
}

#[test]
fn keep_going_leaves_out_what_can_not_be_sent() {
    let folders = Folders::new();
    for name in ["one/a", "one/b", "two/b", "two/c", "file"] {
        folders.source(name, name.as_bytes());
    }
    let put = |options: &[&str]| {
        let mut command = s3_cli();
        command.current_dir(&folders.sources);
        command.args(["put", "-r"]).args(options);
        command.args(["file", "missing", "one", "two", &folders.uri("")]);
        command.output().unwrap()
    };
    let texts = ["missing: ", "two sources would become this one object: "];
    let output = put(&[]);
    assert_error(&output, 1, &texts);
    assert_error(
        &output,
        1,
        &["nothing was sent, because of 2 files or folders"],
    );
    assert!(folders.names().is_empty());
    let output = put(&["--keep-going", "--dry-run"]);
    assert_error(&output, 1, &texts);
    assert_error(&output, 1, &["2 of 5 objects could not be written"]);
    assert!(folders.names().is_empty());
    let output = put(&["--keep-going"]);
    assert_error(&output, 1, &texts);
    assert_error(
        &output,
        1,
        &["error: 2 of 5 objects failed\n", "Uploaded 3 objects"],
    );
    assert_eq!(names(&folders.all()), ["a", "c", "file"]);
}

#[test]
fn of_nothing_that_can_be_sent_nothing_is() {
    let folders = Folders::new();
    let mut command = s3_cli();
    command.current_dir(&folders.sources);
    command.args(["put", "--keep-going", "missing", "gone", &folders.uri("")]);
    let output = command.output().unwrap();
    assert_error(
        &output,
        3,
        &["missing: ", "gone: ", "2 of 2 objects failed"],
    );
    assert!(folders.names().is_empty());
}

#[test]
fn large_and_small_files_share_little_memory() {
    let folders = Folders::new();
    let mut expected = BTreeMap::new();
    for n in 0..40 {
        let len = if n % 10 == 0 { 3 << 20 } else { 100_000 };
        let name = format!("{n}");
        expected.insert(name.clone(), bytes(len));
        folders.source(&name, &expected[&name]);
    }
    let tuning = ["--memory=1M", "--part-size=256K", "--max-concurrency=8"];
    assert_code(&put(&folders, &tuning), 0);
    assert!(folders.all() == expected);
}

#[test]
fn names_ask_for_compression_in_folders_too() {
    let folders = Folders::new();
    folders.source("a.gz", &[b'a'; 100_000]);
    folders.source("b", &[b'a'; 100_000]);
    assert_code(&put(&folders, &[]), 0);
    let all = folders.all();
    assert!(all["a.gz"].starts_with(&[0x1f, 0x8b]) && all["a.gz"].len() < 1_000);
    assert_eq!(all["b"].len(), 100_000);
}
