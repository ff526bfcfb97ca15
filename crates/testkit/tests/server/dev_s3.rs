//! The server as a program of its own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{get, http_client};

/// A running `dev-s3`; killed when it drops.
struct DevS3 {
    process: Child,
    variables: BTreeMap<String, String>,
    /// Open as long as it may print.
    _output: Lines<BufReader<ChildStdout>>,
}

impl DevS3 {
    fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_dev-s3"))
            .args(["--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut variables = BTreeMap::new();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        while !variables.contains_key("AWS_REGION") {
            let line = lines.next().expect("a welcome").unwrap();
            let export = line.strip_prefix("export ");
            if let Some((name, value)) = export.and_then(|export| export.split_once('=')) {
                variables.insert(name.to_owned(), value.trim_matches('\'').to_owned());
            }
        }
        Self {
            process,
            variables,
            _output: lines,
        }
    }

    fn endpoint(&self) -> &str {
        &self.variables["AWS_ENDPOINT_URL"]
    }

    fn client(&self, ca_pem: Option<&str>) -> Client {
        let of = |name: &str| self.variables[name].clone();
        let keys = (of("AWS_ACCESS_KEY_ID"), of("AWS_SECRET_ACCESS_KEY"));
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http_client(ca_pem))
            .endpoint_url(self.endpoint())
            .region(Region::new(of("AWS_REGION")))
            .credentials_provider(Credentials::new(keys.0, keys.1, None, None, "test"))
            .force_path_style(true);
        Client::from_conf(config.build())
    }

    fn end(mut self, signal: Signal) -> ExitStatus {
        let id = Pid::from_raw(self.process.id().try_into().unwrap()).unwrap();
        kill_process(id, signal).unwrap();
        self.process.wait().unwrap()
    }
}

impl Drop for DevS3 {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn it_speaks_tls_and_writes_the_certificate_to_trust() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a certificate's file");
    let server = DevS3::start(&["--tls", "--ca-file", path.to_str().unwrap()]);
    assert!(server.endpoint().starts_with("https://127.0.0.1:"));
    let shown = server.variables["AWS_CA_BUNDLE"].replace(r"'\''", "'");
    assert_eq!(shown, path.to_str().unwrap());
    let pem = std::fs::read_to_string(path).unwrap();
    let client = server.client(Some(&pem));
    client.head_bucket().bucket("demo").send().await.unwrap();
    assert!(server.end(Signal::INT).success());
}

#[tokio::test]
async fn it_takes_the_options_of_benchmarks_and_tells_the_counters() {
    let options = "--discard --no-hashing --threads 1 --receive-buffer 100000 \
                   --stall-every 100 --stall-ms 1 --slow-every 100 --slow-bandwidth 1000 \
                   --slow-down-above 100";
    let server = DevS3::start(&options.split_whitespace().collect::<Vec<_>>());
    let client = server.client(None);
    client.head_bucket().bucket("demo").send().await.unwrap();
    let address = server.endpoint().strip_prefix("http://").unwrap();
    let stats = get(address, "/-/stats").await;
    assert!(stats.contains(r#""HeadBucket": 1"#), "{stats}");
    assert!(server.end(Signal::TERM).success());
}
