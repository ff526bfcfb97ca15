//! What a program asked of the kernel, and what it is told instead.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::child;

/// A call to the kernel; begin and end are lines of the log, which are in the order of time.
#[derive(Clone, Debug)]
pub struct Call {
    pub text: String,
    pub begin: usize,
    pub end: usize,
}

impl Call {
    /// The name of the call.
    pub fn name(&self) -> &str {
        self.text.split('(').next().unwrap_or_default()
    }

    /// What it returned, if it did not fail.
    pub fn result(&self) -> Option<u64> {
        let result = self.text.rsplit_once(" = ")?.1;
        let digits = result.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    }

    /// Its arguments, as they are in the log.
    pub fn arguments(&self) -> Vec<&str> {
        let text = self.text.rsplit_once(" = ").map_or(&*self.text, |t| t.0);
        let from = text.find('(').map_or(text.len(), |at| at + 1);
        let to = text.rfind(')').unwrap_or(text.len());
        text[from..to].split(", ").map(str::trim).collect()
    }

    /// The strings among its arguments.
    pub fn strings(&self) -> Vec<&str> {
        self.text.split('"').skip(1).step_by(2).collect()
    }
}

/// The calls that `strace -f` has logged, in the order of their beginning.
pub fn calls(log: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut unfinished: Vec<(&str, usize)> = Vec::new();
    for (line, text) in log.lines().enumerate() {
        let Some((process, text)) = text.split_once(' ') else {
            continue;
        };
        let text = text.trim_start();
        if let Some((_, rest)) = text.split_once(" resumed>") {
            let at = unfinished.iter().position(|(other, _)| *other == process);
            let (_, call) = unfinished.swap_remove(at.unwrap());
            calls[call].text.push_str(rest);
            calls[call].end = line;
            continue;
        }
        let begun = text.strip_suffix("<unfinished ...>");
        if begun.is_some() {
            unfinished.push((process, calls.len()));
        }
        calls.push(Call {
            text: begun.unwrap_or(text).to_owned(),
            begin: line,
            end: line,
        });
    }
    calls
}

/// True if calls can be traced here; says why not.
pub fn works() -> bool {
    let works = Command::new("strace").args(["-f", "-qq", "true"]).output();
    let works_here = works.as_ref().is_ok_and(|output| output.status.success());
    if !works_here {
        println!("skipped: strace does not work here: {works:?}");
    }
    works_here
}

/// Runs `test` in a process of its own, in `mode`, where `inject` is done to the calls that are
/// traced, and returns the log; `None` if strace does not work here.
pub fn traced(
    test: &str,
    mode: &str,
    directory: &Path,
    trace: &str,
    inject: &[&str],
) -> Option<String> {
    if !works() {
        return None;
    }
    let log = directory.with_extension("log");
    let program = child(test, directory);
    let output = Command::new("strace")
        .args(["-f", "-y", "-qq", "-s", "0", "-o"])
        .arg(&log)
        .args(["-e", &format!("trace={trace}")])
        .args(inject)
        .arg(program.get_program())
        .args(program.get_args())
        .env("CHILD_OF", directory)
        .env("CHILD_MODE", mode)
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    let log = fs::read_to_string(&log).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{test} failed\n{said}\n{log}");
    Some(log)
}
