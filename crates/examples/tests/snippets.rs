//! What the documents show is code that is compiled elsewhere.

#![allow(clippy::unwrap_used)]

use std::path::Path;

/// The lines of code that `text` has behind `heading`, up to the end of their block.
fn block<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let (_, rest) = text.split_once(heading).unwrap();
    let (_, rest) = rest.split_once("```rust\n").unwrap();
    let (code, _) = rest.split_once("```").unwrap();
    code.lines().map(str::trim).collect()
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap()
}

#[test]
fn what_is_shown_of_reading_is_compiled() {
    for (document, heading, code) in [
        ("README.md", "And reading,", "crates/backend-s3/src/lib.rs"),
        (
            "docs/migrating.md",
            "## Reading",
            "crates/backend-s3/tests/reading.rs",
        ),
    ] {
        let (text, code) = (read(document), read(code));
        let mut compiled = code.lines().map(|line| {
            let line = line.trim();
            line.strip_prefix("//!").unwrap_or(line).trim()
        });
        let lines = block(&text, heading);
        assert!(!lines.is_empty());
        for line in lines {
            assert!(compiled.any(|other| other == line), "{document}: {line}");
        }
    }
}
