//! Completion scripts and manual pages: they are made, and what they are made for takes them.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{assert_error, run, stderr, stdout};

/// Has `program` look at `path`; `None`, said aloud, if there is no such program here.
fn look(program: &str, arguments: &[&str], path: &Path) -> Option<Output> {
    match Command::new(program).args(arguments).arg(path).output() {
        Ok(output) => Some(output),
        Err(error) => {
            println!("NOT RUN: {program}: {error}");
            None
        }
    }
}

#[test]
fn shells_take_their_scripts() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, arguments) in [
        ("bash", &["-n"][..]),
        ("zsh", &["-n"]),
        ("fish", &["--no-execute"]),
        ("elvish", &["-compileonly"]),
        ("powershell", &[]),
    ] {
        let script = stdout(&run(["completions", shell]));
        for word in ["s3-cli", "put", "--", "part-size"] {
            let found = script.contains(word) || word == "--";
            assert!(found, "no {word} for {shell}");
        }
        let path = folder.path().join(shell);
        std::fs::write(&path, script).unwrap();
        // PowerShell has nothing that only looks.
        if !arguments.is_empty()
            && let Some(output) = look(shell, arguments, &path)
        {
            assert!(output.status.success(), "{shell}: {}", stderr(&output));
        }
    }
    assert_error(&run(["completions", "cmd"]), 2, &["bash", "zsh"]);
}

/// What bash offers after `words`, the last of which is not complete yet.
fn offered(script: &Path, words: &str) -> Option<String> {
    let ask = format!(
        "source \"$0\"; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
         _s3__cli s3-cli \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
         echo \"${{COMPREPLY[@]}}\""
    );
    let output = look("bash", &["-c", &ask], script)?;
    Some(stdout(&output))
}

#[test]
fn bash_completes_commands_options_and_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script");
    std::fs::write(&path, stdout(&run(["completions", "bash"]))).unwrap();
    for (words, expected) in [
        ("s3-cli ver", "verify"),
        ("s3-cli put --expect-", "--expect-checksum"),
        ("s3-cli put --progress a", "auto"),
        #[cfg(feature = "s3")]
        ("s3-cli uploads ab", "abort"),
    ] {
        if let Some(offered) = offered(&path, words) {
            assert!(offered.contains(expected), "{words}: {offered}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    stdout(&run(["man", path]));
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let page = entry.unwrap().path();
        let text = std::fs::read_to_string(&page).unwrap();
        assert!(
            text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"),
            "{text}"
        );
        let arguments = ["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"];
        if let Some(output) = look("man", &arguments, &page) {
            assert!(
                output.status.success() && output.stderr.is_empty(),
                "{}",
                stderr(&output)
            );
        }
        pages.push(page.file_name().unwrap().to_str().unwrap().to_owned());
    }
    for command in ["put", "verify", "cat", "stat", "rm", "ls", "completions"] {
        assert!(pages.contains(&format!("s3-cli-{command}.1")), "{pages:?}");
    }
    let nowhere = folder.path().join("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    assert_error(&run(["man", nowhere]), 3, &[nowhere]);
}
