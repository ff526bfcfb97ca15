//! A shell session with `s3-cli`: what was typed and what came back, to compare with a file.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use testkit::server::TestServer;

use super::{printed, run_with_input, s3_cli, stderr};

/// Commands that are run one after another in a folder of their own.
pub struct Session {
    folder: TempDir,
    env: Vec<(String, String)>,
    /// What differs between machines, and what stands for it.
    names: Vec<(String, &'static str)>,
    text: String,
}

impl Session {
    /// A session that reaches no service, and has nobody's credentials.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let mut session = Self {
            names: vec![(path.display().to_string(), "[DIR]")],
            folder,
            env: Vec::new(),
            text: String::new(),
        };
        session.set("AWS_EC2_METADATA_DISABLED", "true");
        session.set("AWS_CONFIG_FILE", "/dev/null");
        session.set("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        session
    }

    /// A session with all that it takes to reach `server`.
    pub fn at(server: &TestServer) -> Self {
        let mut session = Self::new();
        session.name(server.endpoint(), "[ENDPOINT]");
        session.name(server.address().to_string(), "[ADDRESS]");
        session.set("AWS_ENDPOINT_URL", server.endpoint());
        session.set("AWS_ACCESS_KEY_ID", server.access_key());
        session.set("AWS_SECRET_ACCESS_KEY", server.secret_key());
        session.set("AWS_REGION", server.region());
        session.set("S3_CLI_SERVICE", "dev-s3");
        session.set("S3_CLI_MAX_ATTEMPTS", "2");
        session
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    pub fn unset(&mut self, name: &str) {
        self.env.retain(|(known, _)| known != name);
    }

    /// Has `what` shown as `name`.
    pub fn name(&mut self, what: impl Into<String>, name: &'static str) {
        self.names.push((what.into(), name));
    }

    /// The folder that commands are run in.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Says what the commands that come next are about.
    pub fn about(&mut self, text: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        self.text += &format!("{gap}# {text}\n");
    }

    /// Runs `s3-cli` with the words of `line`.
    pub fn run(&mut self, line: &str) {
        self.run_with_input(line, b"");
    }

    pub fn run_with_input(&mut self, line: &str, input: &[u8]) {
        let mut command: Command = s3_cli();
        command.current_dir(self.folder.path());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.args(line.split_whitespace());
        let output = run_with_input(&mut command, input);
        let mut text = format!("$ s3-cli {line}\n");
        for printed in [printed(&output), stderr(&output)] {
            text += &printed;
        }
        let code = output.status.code();
        text += &format!(
            "[exit code {}]\n",
            code.map_or("none".into(), |code| code.to_string())
        );
        self.text += &self.normal(text);
    }

    fn normal(&self, mut text: String) -> String {
        for (what, name) in &self.names {
            text = text.replace(what, name);
        }
        // Random, and what each C library has words of its own for.
        let text = replaced(text, "request id ", ')', "[ID]");
        replaced(
            text,
            "failed to lookup address information: ",
            '\n',
            "[WHY]",
        )
    }

    /// Compares all that happened with the file `name` in tests/cmd. With SNAPSHOTS=overwrite, the
    /// file is written.
    #[track_caller]
    pub fn assert_is(self, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/cmd")
            .join(name);
        let expected = snapbox::Data::read_from(&path, None);
        snapbox::Assert::new()
            .action_env("SNAPSHOTS")
            .eq(self.text, expected);
    }
}

/// `text` with `name` instead of what stands between each `before` and `after`.
fn replaced(mut text: String, before: &str, after: char, name: &str) -> String {
    let mut from = 0;
    while let Some(start) = text[from..].find(before) {
        let start = from + start + before.len();
        let end = text[start..].find(after);
        let end = end.map_or(text.len(), |end| start + end);
        text.replace_range(start..end, name);
        from = start;
    }
    text
}
