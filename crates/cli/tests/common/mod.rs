//! Runs the binary the way a shell does.

// Each test file uses its share, and the lint looks for tests only within `#[test]`.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

#[cfg(feature = "s3")]
pub mod server;
#[cfg(feature = "s3")]
pub mod session;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// `s3-cli` in an environment of its own: nothing that the user has set for it is seen.
pub fn s3_cli() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3-cli"));
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if ["AWS_", "S3DLIO_", "S3_CLI_", "RUST_LOG"]
            .iter()
            .any(|prefix| name_text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    command.stdin(Stdio::null());
    command
}

pub fn run<I, S>(arguments: I) -> Output
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    s3_cli().args(arguments).output().unwrap()
}

/// Runs `command` with `input` on its standard input, which is a pipe.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Output {
    let mut child = piped(command);
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output()
    });
    output.unwrap()
}

/// Starts `command` with all three streams piped.
pub fn piped(command: &mut Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

pub fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Waits, but not for ever.
#[track_caller]
pub fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    panic!("does not end");
}

/// True if there is such a process, and it has not ended.
pub fn is_running(pid: &str) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())) else {
        return false;
    };
    // The state stands behind the name, which may hold anything.
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes()[0]);
    !matches!(state, None | Some(b'Z' | b'X'))
}

#[track_caller]
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// True if `child` has said what is to be done at `signal`; see proc_pid_status(5).
pub fn takes(child: &Child, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
    mask & (1 << (signal.as_raw() - 1)) != 0
}

/// What a successful run printed.
#[track_caller]
pub fn stdout(output: &Output) -> String {
    assert_code(output, 0);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a run printed, however it ended.
pub fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
pub fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
}

/// Fails unless the run ended with `code` and its errors contain all of `texts`.
#[track_caller]
pub fn assert_error(output: &Output, code: i32, texts: &[&str]) {
    assert_code(output, code);
    let errors = stderr(output);
    for text in texts {
        assert!(errors.contains(text), "no {text:?} in: {errors}");
    }
}

/// Fails unless `line` is the receipt of an object of `size` bytes.
#[track_caller]
pub fn assert_uploaded(line: &str, size: u64) {
    let start = format!("Uploaded {size} bytes");
    let rest = line.strip_prefix(&start).and_then(|rest| {
        let (place, e_tag) = rest.split_once(", ETag: ")?;
        (place.is_empty() || place.starts_with(" to ")).then_some(e_tag)
    });
    let e_tag = rest.unwrap_or_else(|| panic!("{line:?}"));
    assert!(!e_tag.is_empty() && !e_tag.contains('"'), "{line:?}");
}

/// Fails unless all that a run said on standard error is that it wrote so much.
#[track_caller]
pub fn assert_summary(output: &Output, what: &str) {
    let line = stderr(output);
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with(&format!("Uploaded {what} in ")), "{line}");
    assert!(line.contains("/s)"), "{line}");
}

/// A folder for sources and one for objects.
pub struct Folders {
    _root: TempDir,
    pub sources: PathBuf,
    pub objects: PathBuf,
}

impl Folders {
    pub fn new() -> Self {
        let root = TempDir::new().unwrap();
        let folder = |name: &str| {
            let path = root.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path
        };
        Self {
            sources: folder("sources"),
            objects: folder("objects"),
            _root: root,
        }
    }

    /// A source with `content`; the folders in its name are made.
    pub fn source(&self, name: impl AsRef<OsStr>, content: &[u8]) -> PathBuf {
        let path = self.sources.join(Path::new(name.as_ref()));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A named pipe among the sources.
    pub fn fifo(&self, name: &str) -> PathBuf {
        use rustix::fs::{CWD, FileType, Mode, mknodat};

        let path = self.sources.join(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        path
    }

    pub fn object(&self, name: &str) -> PathBuf {
        self.objects.join(name)
    }

    pub fn uri(&self, name: &str) -> String {
        format!("file://{}/{name}", self.objects.display())
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.object(name)).unwrap()
    }

    /// Every object at any depth, with its content.
    pub fn all(&self) -> BTreeMap<String, Vec<u8>> {
        let mut all = BTreeMap::new();
        let mut folders = vec![self.objects.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(&self.objects).unwrap().to_str().unwrap();
                all.insert(name.to_owned(), std::fs::read(&path).unwrap());
            }
        }
        all
    }

    /// The names of everything in the folder of objects.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.objects).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Bytes that differ at every place where a mistake could swap them.
pub fn bytes(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
