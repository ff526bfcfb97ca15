//! Nothing that the program prints gives credentials away, however much it is told to say.

#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used)]

mod common;

use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use common::server::{cli, server};
use common::{Folders, assert_code, bytes, piped, send};
use rustix::process::Signal;
use testkit::server::TestServer;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLETOKEN+/1234567890abcdef==";

/// How loud the program can be made.
const LOUD: [(&str, &str); 4] = [
    ("-vv", ""),
    ("-vvv", ""),
    ("-v", "trace"),
    (
        "-v",
        "trace,aws_smithy_runtime=trace,aws_sigv4::http_request=trace,aws_runtime=trace,\
         backend_s3=trace,hyper=trace",
    ),
];

fn loud(mut command: Command, (verbose, rust_log): (&str, &str)) -> Command {
    command.arg(verbose).env("AWS_SESSION_TOKEN", TOKEN);
    if !rust_log.is_empty() {
        command.env("RUST_LOG", rust_log);
    }
    command
}

/// Fails if a secret, or a header that shows who somebody is, was printed; returns all that was.
#[track_caller]
fn assert_silent(output: &Output, secrets: &[&str], what: &str) -> String {
    let printed = [&output.stdout[..], &output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).to_lowercase();
    let headers = ["signature=", "x-amz-security-token", "x-amz-signature"];
    for secret in secrets.iter().chain(&headers) {
        let secret = secret.to_lowercase();
        let found = printed.lines().find(|line| line.contains(&secret));
        assert_eq!(found, None, "{what}");
    }
    printed
}

/// Writes, looks at, reads and removes an object, with one part and with several.
fn succeed(server: &TestServer, level: (&str, &str)) {
    let folders = Folders::new();
    let uri = "s3://test/key";
    let mut printed = String::new();
    for len in [100, 6 << 20] {
        let file = folders.source("file", &bytes(len));
        let file = file.to_str().unwrap();
        for arguments in [
            &["put", "--verify", "--part-size=5M", file, uri][..],
            &["verify", "--download", file, uri],
            &["stat", uri],
            &["ls", "s3://test/"],
            &["rm", uri],
        ] {
            let output = loud(cli(server), level).args(arguments).output().unwrap();
            common::assert_code(&output, 0);
            let secrets = [server.secret_key(), TOKEN];
            printed += &assert_silent(&output, &secrets, &format!("{level:?} {arguments:?}"));
        }
    }
    assert!(printed.contains("s3://test/key"), "{level:?}");
    assert!(printed.contains(" debug "), "{level:?}");
}

#[test]
fn success_says_no_secret() {
    thread::scope(|scope| {
        for level in LOUD {
            scope.spawn(move || succeed(&server(), level));
        }
    });
}

#[test]
fn a_refusal_says_no_secret() {
    let server = server();
    let folders = Folders::new();
    let file = folders.source("file", &bytes(6 << 20));
    let file = file.to_str().unwrap();
    server.deny("UploadPart");
    server.deny("HeadObject");
    for level in LOUD {
        for arguments in [
            &["put", "--part-size=5M", file, "s3://test/key"][..],
            &["stat", "s3://test/key"],
        ] {
            for secret in [server.secret_key(), SECRET] {
                let mut command = loud(cli(&server), level);
                command.args(arguments).env("AWS_SECRET_ACCESS_KEY", secret);
                let output = command.output().unwrap();
                common::assert_code(&output, 4);
                let what = format!("{level:?} {arguments:?}");
                let printed = assert_silent(&output, &[secret, TOKEN], &what);
                assert!(printed.contains("error: s3://test/key"), "{printed}");
            }
        }
    }
}

/// It would be tried for a while; the first attempts are enough.
#[test]
fn a_service_that_is_not_there_gets_no_secret_printed() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let server = server();
    thread::scope(|scope| {
        // To look a name up may take longer than this waits.
        for (endpoint, expected) in [
            (&*refused, "trying again"),
            ("http://no-such-host.invalid", " debug "),
        ] {
            for level in [LOUD[1], LOUD[3]] {
                let server = &server;
                scope.spawn(move || {
                    let mut command = loud(cli(server), level);
                    command.env("AWS_ENDPOINT_URL", endpoint);
                    command.env("AWS_SECRET_ACCESS_KEY", SECRET);
                    let child = piped(command.args(["put", "Cargo.toml", "s3://test/key"]));
                    thread::sleep(Duration::from_secs(2));
                    send(&child, Signal::INT);
                    let output = child.wait_with_output().unwrap();
                    let what = format!("{level:?} {endpoint}");
                    let printed = assert_silent(&output, &[SECRET, TOKEN], &what);
                    assert!(printed.contains(expected), "{printed}");
                });
            }
        }
    });
}

/// What is stored, and what is said of it, is nobody's business either.
#[test]
fn no_content_is_printed() {
    let server = server();
    let folders = Folders::new();
    let file = folders.source("source", b"what-is-in-it");
    let private = ["a-private-value", "a-wrong-key", "what-is-in-it"];
    for (secret, code) in [(server.secret_key(), 0), ("a-wrong-key", 4)] {
        let output = cli(&server)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .args(["-vvv", "put", "--metadata", "k=a-private-value"])
            .arg(&file)
            .arg("s3://test/logged")
            .output()
            .unwrap();
        assert_code(&output, code);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("s3://test/logged"), "{errors}");
        for text in private.iter().copied().chain([server.secret_key()]) {
            assert!(!errors.contains(text), "{text:?} in: {errors}");
        }
    }
}
