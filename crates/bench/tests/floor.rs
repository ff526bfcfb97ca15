//! The programs `presign` and `floor`, on a server that keeps what it is sent.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use testkit::server::TestServer;

const SIZE: usize = 3 * 1024 * 1024 + 5;

/// A server, files next to it, and the environment of its clients.
struct Bench {
    server: TestServer,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new(tls: bool) -> Self {
        let mut builder = TestServer::builder().bucket("test");
        if tls {
            builder = builder.tls();
        }
        let bench = Self {
            server: builder.start().await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::write(bench.source(), bench::random(SIZE)).unwrap();
        std::fs::write(bench.ca(), bench.server.ca_pem().unwrap_or_default()).unwrap();
        bench
    }

    fn source(&self) -> std::path::PathBuf {
        self.folder.path().join("source")
    }

    fn ca(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn run(&self, program: &str, words: &[&str], stdin: Stdio) -> Output {
        Command::new(program)
            .args(words)
            .env("AWS_ENDPOINT_URL", self.server.endpoint())
            .env("AWS_ACCESS_KEY_ID", self.server.access_key())
            .env("AWS_SECRET_ACCESS_KEY", self.server.secret_key())
            .env("AWS_REGION", self.server.region())
            .env("AWS_CA_BUNDLE", self.ca())
            .env("RUST_BACKTRACE", "0")
            .stdin(stdin)
            .output()
            .unwrap()
    }

    fn presigned(&self, object: &str) -> String {
        let output = self.run(env!("CARGO_BIN_EXE_presign"), &[object], Stdio::null());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What `floor` prints, with `source` as its standard input.
    fn floor(&self, words: &[&str]) -> Output {
        let stdin = File::open(self.source()).unwrap().into();
        self.run(env!("CARGO_BIN_EXE_floor"), words, stdin)
    }

    /// That `key` is what `source` is, and that `output` tells its checksum.
    fn assert_stored(&self, key: &str, output: &Output) {
        assert!(output.status.success(), "{output:?}");
        let object = self.server.object(key).unwrap();
        assert_eq!(object.bytes(), bench::random(SIZE));
        let crc = object.crc64nvme().unwrap();
        let expected = format!("{SIZE} bytes, CRC64NVME {crc}\n");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_and_a_pipe_are_stored() {
    let bench = Bench::new(false).await;
    let source = bench.source();
    let url = bench.presigned("s3://test/file");
    let file = bench.floor(&["file", &url, text(&source)]);
    bench.assert_stored("file", &file);

    let url = bench.presigned("s3://test/sendfile");
    let sendfile = bench.floor(&["file", "--sendfile", &url, text(&source)]);
    bench.assert_stored("sendfile", &sendfile);

    let url = bench.presigned("s3://test/pipe");
    let pipe = bench.floor(&["pipe", "--length", &SIZE.to_string(), &url]);
    bench.assert_stored("pipe", &pipe);
    bench.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_too() {
    let bench = Bench::new(true).await;
    let url = bench.presigned("s3://test/file");
    assert!(url.starts_with("https://"), "{url}");
    let file = bench.floor(&["file", &url, text(&bench.source())]);
    bench.assert_stored("file", &file);
    bench.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_told() {
    let bench = Bench::new(false).await;
    let url = bench.presigned("s3://test/key");
    let forged = url.replace("/key?", "/other?");
    let refused = bench.floor(&["file", &forged, text(&bench.source())]);
    assert!(!refused.status.success());
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("403"), "{error}");

    let short = bench.floor(&["pipe", "--length", "4MiB", &url]);
    assert!(!short.status.success());
    let error = String::from_utf8_lossy(&short.stderr).into_owned();
    assert!(error.contains("ends 1048571 bytes too soon"), "{error}");
    assert!(bench.server.object("key").is_none());
    bench.server.shutdown().await;
}
