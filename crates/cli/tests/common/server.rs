//! The in-process S3 server, and the binary in front of it.

use std::process::Command;

use testkit::server::TestServer;

use super::s3_cli;

/// A server with a bucket `test`.
pub fn server() -> TestServer {
    let server = TestServer::builder().bucket("test");
    server.start_on_threads(1).unwrap()
}

/// `s3-cli` with what it takes to reach `server`.
pub fn cli(server: &TestServer) -> Command {
    let mut command = s3_cli();
    command
        .env("AWS_ENDPOINT_URL", server.endpoint())
        .env("AWS_ACCESS_KEY_ID", server.access_key())
        .env("AWS_SECRET_ACCESS_KEY", server.secret_key())
        .env("AWS_REGION", server.region())
        .env("S3_CLI_SERVICE", "dev-s3");
    command
}
