//! End to end, on a file system.

#![cfg(feature = "fs")]

mod common;

use std::fs::File;
use std::io::Read as _;
use std::process::Stdio;

use common::{
    Folders, assert_code, assert_error, assert_uploaded, bytes, eventually, piped, run,
    run_with_input, s3_cli, stderr, stdout,
};

#[test]
fn a_file_becomes_an_object_in_either_order_of_arguments() {
    let folders = Folders::new();
    let data = bytes(3 << 20);
    let source = folders.source("source", &data);
    let source = source.to_str().unwrap();
    let plain = folders.object("plain");
    let plain = plain.to_str().unwrap();
    let from = format!("file://{source}");
    for (command, first, second, name) in [
        ("put", source, &*folders.uri("last"), "last"),
        ("put", &*folders.uri("first"), source, "first"),
        (
            "put-streaming",
            &*folders.uri("streaming"),
            source,
            "streaming",
        ),
        ("put", &from, &*folders.uri("two-uris"), "two-uris"),
        ("put", source, plain, "plain"),
    ] {
        let printed = stdout(&run([command, first, second]));
        assert_eq!(printed.lines().count(), 1, "{printed}");
        assert_uploaded(printed.trim_end(), data.len() as u64);
        assert!(folders.read(name) == data, "{name}");
    }
    assert_eq!(
        folders.names(),
        ["first", "last", "plain", "streaming", "two-uris"]
    );
}

#[test]
fn a_pipe_becomes_an_object() {
    let folders = Folders::new();
    // Around the size of a page and of a part, and more than the smallest budget.
    for len in [1, 262_143, 262_144, 262_145, 1 << 20, (3 << 20) + 7] {
        let data = bytes(len);
        let uri = folders.uri("piped");
        let arguments = ["put", "--part-size=1M", "--memory=2M", "-", &uri];
        let output = run_with_input(s3_cli().args(arguments), &data);
        assert_uploaded(stdout(&output).trim_end(), len as u64);
        assert!(folders.read("piped") == data, "{len}");
    }
}

#[test]
fn nothing_on_standard_input_is_an_empty_object() {
    let folders = Folders::new();
    for extra in [&[][..], &["--buffered"]] {
        let uri = folders.uri("empty");
        let mut command = s3_cli();
        command.args(["put", "-", &uri]).args(extra);
        assert_uploaded(stdout(&run_with_input(&mut command, b"")).trim_end(), 0);
        assert_eq!(folders.read("empty"), b"");
    }
}

#[test]
fn an_empty_file_is_an_empty_object() {
    let folders = Folders::new();
    let source = folders.source("empty", b"");
    let output = run([
        "put".as_ref(),
        source.as_os_str(),
        folders.object("empty").as_os_str(),
    ]);
    assert_uploaded(stdout(&output).trim_end(), 0);
    assert_eq!(folders.read("empty"), b"");
}

#[test]
fn a_redirected_file_is_read_from_where_it_stands() {
    let folders = Folders::new();
    let source = folders.source("source", b"0123456789");
    for extra in [&[][..], &["--buffered"]] {
        let mut file = File::open(&source).unwrap();
        file.read_exact(&mut [0; 4]).unwrap();
        let mut command = s3_cli();
        command.args(["put", "-", &folders.uri("rest")]).args(extra);
        let output = command.stdin(file).output().unwrap();
        assert_uploaded(stdout(&output).trim_end(), 6);
        assert_eq!(folders.read("rest"), b"456789");
    }
}

#[test]
fn a_named_pipe_becomes_an_object() {
    let folders = Folders::new();
    let fifo = folders.fifo("fifo");
    let data = bytes(1 << 20);
    let mut command = s3_cli();
    command.arg("put").arg(&fifo).arg(folders.uri(""));
    let child = piped(&mut command);
    std::fs::write(&fifo, &data).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_uploaded(stdout(&output).trim_end(), 1 << 20);
    assert!(folders.read("fifo") == data);
}

/// Such files say that they have no bytes, and have some.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_lies_about_its_size_is_read() {
    let folders = Folders::new();
    stdout(&run(["put", "/proc/version", &folders.uri("version")]));
    assert_eq!(
        folders.read("version"),
        std::fs::read("/proc/version").unwrap()
    );
}

#[test]
fn several_sources_go_into_a_prefix() {
    let folders = Folders::new();
    let a = folders.source("a", b"first");
    let b = folders.source("b", b"2nd");
    let mut command = s3_cli();
    command.arg("put").args([&a, &b]).arg(folders.uri(""));
    let printed = stdout(&command.output().unwrap());
    let mut lines: Vec<&str> = printed.lines().collect();
    // In the order of completion.
    lines.sort();
    assert_eq!(lines.len(), 2, "{printed}");
    for (line, size, source, name) in [(lines[0], 3, &b, "b"), (lines[1], 5, &a, "a")] {
        assert_uploaded(line, size);
        let from_to = format!(", {} -> {}", source.display(), folders.uri(name));
        assert!(line.ends_with(&from_to), "{line}");
    }
    assert_eq!(folders.read("a"), b"first");
    assert_eq!(folders.read("b"), b"2nd");
}

#[test]
fn sources_are_read_side_by_side() {
    let folders = Folders::new();
    let (first, second) = (folders.fifo("first"), folders.fifo("second"));
    let mut command = s3_cli();
    command
        .arg("put")
        .args([&first, &second])
        .arg(folders.uri(""));
    let child = piped(&mut command);
    // To open a pipe waits for its reader, so this ends only if nobody waits for the first.
    std::fs::write(&second, b"2").unwrap();
    eventually("the second object is there", || {
        folders.names() == ["second"]
    });
    std::fs::write(&first, b"1").unwrap();
    assert_code(&child.wait_with_output().unwrap(), 0);
    assert_eq!(folders.names(), ["first", "second"]);
}

#[test]
fn a_missing_source_among_several_stops_all_before_any() {
    let folders = Folders::new();
    let a = folders.source("a", b"first");
    let missing = folders.sources.join("missing");
    let mut command = s3_cli();
    command.arg("put").args([&a, &missing]).arg(folders.uri(""));
    assert_code(&command.output().unwrap(), 3);
    assert!(folders.names().is_empty());
}

#[test]
fn buffered_stores_the_same() {
    let folders = Folders::new();
    let data = bytes((5 << 20) + 1);
    let source = folders.source("source", &data);
    let arguments = ["put", "--buffered", "--part-size=1M", "--memory=2M"];
    let mut command = s3_cli();
    command
        .args(arguments)
        .arg(&source)
        .arg(folders.uri("file"));
    assert_uploaded(
        stdout(&command.output().unwrap()).trim_end(),
        data.len() as u64,
    );
    let mut command = s3_cli();
    command.args(arguments).arg("-").arg(folders.uri("pipe"));
    let output = run_with_input(&mut command, &data);
    assert_uploaded(stdout(&output).trim_end(), data.len() as u64);
    assert!(folders.read("file") == data && folders.read("pipe") == data);
}

#[test]
fn names_are_taken_literally() {
    let folders = Folders::new();
    for name in [
        "a b",
        "100%",
        "a%20b",
        "a#b",
        "a?b",
        "naïve-日本",
        "a+b&c=d",
        "-x",
    ] {
        let data = name.as_bytes();
        let source = folders.source(name, data);
        let uri = folders.uri("");
        let mut command = s3_cli();
        command.arg("put").arg(&source).arg(&uri);
        assert_uploaded(
            stdout(&command.output().unwrap()).trim_end(),
            data.len() as u64,
        );
        assert_eq!(folders.read(name), data);
        let printed = run(["cat", &folders.uri(name)]);
        assert_eq!(stdout(&printed), name);
    }
    assert_eq!(folders.names().len(), 8);
}

#[test]
fn a_folder_is_no_destination_unless_it_is_named_as_one() {
    let folders = Folders::new();
    let source = folders.source("a", b"abc");
    let mut command = s3_cli();
    command.arg("put").arg(&source).arg(&folders.objects);
    assert_error(&command.output().unwrap(), 2, &["is a folder"]);
    assert!(folders.names().is_empty());
}

#[test]
fn create_only_is_5_and_keeps_the_old_object() {
    let folders = Folders::new();
    let source = folders.source("new", b"new");
    std::fs::write(folders.object("there"), b"old").unwrap();
    for option in ["--if-none-match", "--no-clobber"] {
        let mut command = s3_cli();
        command.args(["put", option]).arg(&source);
        let output = command.arg(folders.uri("there")).output().unwrap();
        assert_error(&output, 5, &["error: ", "there", "hint: "]);
        assert_eq!(folders.read("there"), b"old");
        assert_eq!(folders.names(), ["there"]);
    }
    let mut command = s3_cli();
    command.args(["put", "--if-none-match"]).arg(&source);
    let output = command.arg(folders.uri("free")).output().unwrap();
    assert_code(&output, 0);
    assert_eq!(folders.read("free"), b"new");
}

#[test]
fn quiet_prints_no_receipt() {
    let folders = Folders::new();
    let source = folders.source("a", b"abc");
    let mut command = s3_cli();
    command.args(["put", "--quiet"]).arg(&source);
    let output = command.arg(folders.uri("a")).output().unwrap();
    assert_eq!(stdout(&output), "");
    assert_eq!(stderr(&output), "");
    assert_eq!(folders.read("a"), b"abc");
}

#[test]
fn verbose_speaks_on_standard_error_only() {
    let folders = Folders::new();
    let source = folders.source("a", b"abc");
    let mut command = s3_cli();
    command.args(["-v", "put"]).arg(&source);
    let output = command.arg(folders.uri("a")).output().unwrap();
    assert_uploaded(stdout(&output).trim_end(), 3);
    assert!(stderr(&output).contains("uploaded"), "{}", stderr(&output));
}

#[test]
fn too_few_bytes_for_the_size_that_was_said_store_nothing() {
    let folders = Folders::new();
    for (option, said, sent) in [
        ("--expected-size", "4", &b"abc"[..]),
        ("--exact-size", "4", b"abc"),
        ("--exact-size", "2", b"abc"),
    ] {
        let uri = folders.uri("sized");
        let mut command = s3_cli();
        command.args(["put", option, said, "-", &uri]);
        let output = run_with_input(&mut command, sent);
        assert_error(&output, 7, &["error: "]);
        assert!(folders.names().is_empty(), "{:?}", folders.names());
    }
}

#[test]
fn cat_prints_objects_and_ranges() {
    let folders = Folders::new();
    let data = bytes(1 << 20);
    std::fs::write(folders.object("big"), &data).unwrap();
    std::fs::write(folders.object("ten"), b"0123456789").unwrap();
    let output = run(["cat", &folders.uri("big")]);
    assert_code(&output, 0);
    assert!(output.stdout == data);
    for (range, expected) in [("2-4", "234"), ("7-", "789"), ("-2", "89"), ("8-99", "89")] {
        let output = run(["cat", &folders.uri("ten"), "--range", range]);
        assert_eq!(stdout(&output), expected, "{range}");
    }
    let output = run(["cat", &folders.uri("ten"), "--range", "10-"]);
    assert_error(&output, 2, &["error: "]);
    assert_error(&run(["cat", &folders.uri("missing")]), 3, &["missing"]);
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let folders = Folders::new();
    std::fs::write(folders.object("big"), bytes(4 << 20)).unwrap();
    let uri = folders.uri("big");
    let mut child = piped(s3_cli().args(["cat", &uri]));
    let mut pipe = child.stdout.take().unwrap();
    pipe.read_exact(&mut [0; 10]).unwrap();
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    assert_code(&output, 0);
    assert_eq!(stderr(&output), "");
}

#[test]
fn an_upload_does_not_depend_on_who_reads_of_it() {
    let folders = Folders::new();
    let source = folders.source("a", b"abc");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let b = folders.source("b", b"b");
    let mut command = s3_cli();
    command.arg("put").args([&source, &b]).arg(folders.uri(""));
    let output = command
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_code(&output, 0);
    assert_eq!(folders.names(), ["a", "b"]);
}

#[test]
fn stat_ls_and_rm_know_what_was_put() {
    let folders = Folders::new();
    let source = folders.source("a", b"abc");
    let uri = folders.uri("a");
    let mut command = s3_cli();
    let put = stdout(&command.arg("put").arg(&source).arg(&uri).output().unwrap());

    let stat = stdout(&run(["stat", &uri]));
    let value = |key: &str| {
        let mut lines = stat.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(name, _)| *name == key).map(|(_, value)| value)
    };
    assert_eq!(value("size"), Some("3"));
    assert_eq!(value("etag"), put.trim_end().rsplit(": ").next());
    let modified = value("last-modified").unwrap();
    assert!(
        modified.len() == 20 && modified.ends_with('Z'),
        "{modified}"
    );

    let listed = stdout(&run(["ls", &folders.uri("")]));
    let words: Vec<&str> = listed.split_whitespace().collect();
    assert_eq!(words, ["3", modified, &uri]);

    assert_eq!(stdout(&run(["rm", &uri, &folders.uri("missing")])), "");
    assert!(folders.names().is_empty());
    assert_error(&run(["stat", &uri]), 3, &["error: "]);
}
