//! What the program says: its help, its errors with what can be done about them, its exit codes.
//!
//! `SNAPSHOTS=overwrite cargo test -p cli --test snapshots` writes what it says now.

#![cfg(all(feature = "s3", feature = "fs"))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::process::Command;

use common::session::Session;
use testkit::server::{Builder, Fault, TestServer};

fn start(change: impl FnOnce(Builder) -> Builder) -> TestServer {
    let server = change(TestServer::builder().bucket("test"));
    server.start_on_threads(1).unwrap()
}

fn server() -> TestServer {
    start(|server| server)
}

#[test]
fn help() {
    let mut session = Session::new();
    for line in [
        "--help",
        "-h",
        "put -h",
        "put --help",
        "rm -h",
        "uploads abort --help",
    ] {
        session.about(line);
        session.run(line);
    }
    session.assert_is("help.txt");
}

#[test]
fn wrong_use() {
    let mut session = Session::new();
    session.set("AWS_REGION", "us-east-1");
    session.set("AWS_ACCESS_KEY_ID", "key");
    session.set("AWS_SECRET_ACCESS_KEY", "secret");
    session.file("file", "content");
    session.file("folder/a", "a");
    for (what, line) in [
        ("no such option", "put --part-sise 8M file object"),
        ("no destination", "put file"),
        ("a size that is none", "put --part-size 8X file object"),
        ("a time that is none", "ls --timeout soon folder/"),
        (
            "a part that is too small",
            "put --part-size 1M file s3://bucket/key",
        ),
        ("unknown scheme", "put file gopher://hole/key"),
        ("mistyped scheme", "put file s3:/bucket/key"),
        ("no key", "put file s3://bucket"),
        ("no access point", "put file s3://arn:aws:s3:::bucket/key"),
        ("a source that is a URI", "put s3://bucket/a s3://bucket/b"),
        ("a folder without -r", "put folder s3://bucket/"),
        ("several sources", "put file folder/a s3://bucket/key"),
        ("no command", "put object --"),
        ("a source besides a command", "put file object -- true"),
        (
            "several objects with one ETag",
            "put --if-match x file folder/a out/",
        ),
        ("only S3 has uploads", "uploads list folder/"),
        ("only S3 resumes", "put --resume file object"),
        (
            "options that exclude each other",
            "put --verify --no-checksum file object",
        ),
    ] {
        session.about(what);
        session.run(line);
    }
    session.assert_is("wrong_use.txt");
}

#[test]
fn what_the_environment_says() {
    let mut session = Session::new();
    session.file("file", "content");
    session.about("a wrong value, and one that the command line has, too");
    session.set("S3_CLI_PART_SIZE", "8X");
    session.run("put file object");
    session.run("put -q --part-size 8M file object");
    session.unset("S3_CLI_PART_SIZE");
    session.about("neither yes nor no");
    session.set("S3_CLI_QUIET", "perhaps");
    session.run("put file object");
    session.about("yes; and what contradicts it");
    session.set("S3_CLI_QUIET", "yes");
    session.run("put file object");
    session.run("cat -v object");
    session.unset("S3_CLI_QUIET");
    session.about("the shared variables");
    session.set("S3DLIO_PUT_INFLIGHT", "many");
    session.run("put file object");
    session.assert_is("environment.txt");
}

#[test]
fn no_service() {
    let mut session = Session::new();
    session.file("file", "content");
    session.set("AWS_REGION", "us-east-1");
    session.set("S3_CLI_MAX_ATTEMPTS", "1");
    for (what, line) in [
        ("no credentials", "put file s3://bucket/key"),
        (
            "an endpoint without http://",
            "put --endpoint-url localhost:9000 file s3://bucket/key",
        ),
        (
            "no such profile",
            "put --profile nobody file s3://bucket/key",
        ),
        (
            "no such service profile",
            "put --service swift file s3://bucket/key",
        ),
        (
            "no such CA bundle",
            "put --ca-bundle nowhere.pem file s3://bucket/key",
        ),
    ] {
        session.about(what);
        session.run(line);
    }
    session.unset("AWS_REGION");
    session.about("no region");
    session.run("put file s3://bucket/key");
    session.set("AWS_ACCESS_KEY_ID", "key");
    session.set("AWS_SECRET_ACCESS_KEY", "secret");
    session.about("nobody listens");
    session.run("put --endpoint-url http://127.0.0.1:1 file s3://bucket/key");
    session.run("stat --endpoint-url http://127.0.0.1:1 s3://bucket/key");
    session.about("no such host");
    session.run("put --endpoint-url http://nowhere.invalid file s3://bucket/key");
    session.run("cat --endpoint-url http://nowhere.invalid s3://bucket/key");
    session.assert_is("no_service.txt");
}

#[test]
fn a_service_that_refuses() {
    let server = start(|server| server.region("eu-central-1"));
    let mut session = Session::at(&server);
    session.file("file", "content");
    session.about("access denied");
    server.inject(Fault::on("PutObject").respond(403, "AccessDenied"));
    session.run("put file s3://test/key");
    session.about("no such bucket");
    session.run("put file s3://nowhere/key");
    session.run("ls s3://nowhere/");
    session.about("no such object");
    session.run("stat s3://test/key");
    session.run("cat s3://test/key");
    session.about("nobody may do that without credentials");
    session.run("put --no-sign-request file s3://test/key");
    session.about("wrong region");
    session.run("put --region us-east-1 file s3://test/key");
    session.about("the clock is wrong");
    server.inject(Fault::on("PutObject").respond(403, "RequestTimeTooSkewed"));
    session.run("put file s3://test/key");
    session.about("it has too much to do");
    server.inject(Fault::on("PutObject").times(2).respond(503, "SlowDown"));
    session.run("put file s3://test/key");
    session.about("it fails");
    server.inject(
        Fault::on("ListObjectsV2")
            .times(2)
            .respond(500, "InternalError"),
    );
    session.run("ls s3://test/");
    session.about("unknown credentials, and a wrong secret");
    session.set("AWS_ACCESS_KEY_ID", "somebody");
    session.run("put file s3://test/key");
    session.set("AWS_ACCESS_KEY_ID", server.access_key());
    session.set("AWS_SECRET_ACCESS_KEY", "wrong");
    session.run("put file s3://test/key");
    session.assert_is("refusals.txt");
}

#[test]
fn tls() {
    let (secure, plain) = (start(Builder::tls), server());
    let mut session = Session::at(&secure);
    session.name(plain.address().to_string(), "[PLAIN]");
    session.file("file", "content");
    session.about("a certificate that nobody knows");
    session.run("put file s3://test/key");
    session.run("stat s3://test/key");
    session.about("it is taken all the same");
    session.run("put --no-verify-ssl file s3://test/key");
    session.run("cat --no-verify-ssl s3://test/key");
    session.about("the authority is known");
    session.file("ca.pem", secure.ca_pem().unwrap());
    session.run("put --ca-bundle ca.pem file s3://test/key");
    session.about("http:// where https:// is spoken");
    let http = format!("http://{}", secure.address());
    session.run(&format!("put --endpoint-url {http} file s3://test/key"));
    session.run(&format!("stat --endpoint-url {http} s3://test/key"));
    session.about("https:// where http:// is spoken");
    let https = format!("https://{}", plain.address());
    session.run(&format!("put --endpoint-url {https} file s3://test/key"));
    session.run(&format!("stat --endpoint-url {https} s3://test/key"));
    session.assert_is("tls.txt");
}

#[test]
fn conditions_and_contents() {
    let server = server();
    let mut session = Session::at(&server);
    session.file("file", "content");
    session.about("the destination may come first");
    session.run("put s3://test/key file");
    session.about("there is one already");
    session.run("put --if-none-match file s3://test/key");
    session.about("another one is there");
    session.run("put --if-match 0123 file s3://test/key");
    session.about("other content than was said");
    session.run_with_input("put --exact-size 8 - s3://test/other", b"content");
    session.run_with_input("put --exact-size 6 - s3://test/other", b"content");
    session.run("put --expect-checksum crc64nvme:0000000000000000 file s3://test/other");
    session.file("another", "another");
    session.run("verify another s3://test/key");
    session.about("the same content");
    session.run("verify file s3://test/key");
    session.run("put --verify file s3://test/key");
    session.about("nothing to take up");
    session.run("put --resume file s3://test/key");
    session.about("no condition is known to be kept");
    session.set("S3_CLI_SERVICE", "garage");
    session.run("put --if-none-match file s3://test/key");
    session.about("more than memory has room for");
    session.file("large", vec![b'x'; 6 << 20]);
    session.run("put --memory 1M --part-size 5M --max-concurrency 1 large s3://test/key");
    session.run("put --memory 64K file s3://test/key");
    session.assert_is("contents.txt");
}

#[test]
fn commands() {
    let mut session = Session::new();
    session.file("folder/a", "a");
    for line in [
        "put object -- false",
        "put object -- no-such-command",
        "put object -- ./folder",
        "put object -- folder/a",
        "put no-such-file object",
    ] {
        session.run(line);
    }
    session.assert_is("commands.txt");
}

#[test]
fn lists() {
    let mut session = Session::new();
    for name in ["a", "d/b", "d/e/c", "@x"] {
        session.file(name, name);
    }
    session.file("list", "a\n\nd/b\n./d/e/c\n");
    session.file("list0", "a\0d/b\0");
    session.file("wrong", "a\nd/e\nmissing\n./a\n..\n");
    session.about("a list in a file, on standard input, and with NUL bytes");
    session.run("put -q @list out/");
    session.run("cat out/d/e/c");
    session.run_with_input("put -q @- stdin/", b"d/b\n@x\n");
    session.run("cat stdin/@x");
    session.run("put -q -0 @list0 zeros/");
    session.run("cat zeros/d/b");
    session.about("a file whose name begins with @");
    session.run("put -q ./@x object");
    session.run("cat object");
    session.about("all that is wrong is said before anything is sent");
    session.run("put @wrong refused/");
    session.run("ls refused/");
    session.about("wrong use");
    session.run("put @list object");
    session.run("put @nowhere out/");
    session.run_with_input("put @- - out/", b"a\n");
    session.about("an empty list is none");
    session.run_with_input("put @- out/", b"");
    session.assert_is("lists.txt");
}

/// What is in the way differs between disks; this is one that is full.
#[test]
fn a_full_disk() {
    let mut session = Session::new();
    session.file("file", vec![b'x'; 2 << 20]);
    let disk = session.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "none"])
        .arg(&disk)
        .output();
    if !mount.is_ok_and(|mount| mount.status.success()) {
        println!("NOT RUN: nothing can be mounted here, so no disk is full");
        return;
    }
    session.run("put file disk/object");
    session.run("put --buffered file disk/object");
    let unmounted = Command::new("umount").arg(&disk).status().unwrap();
    assert!(unmounted.success());
    session.assert_is("full_disk.txt");
}
