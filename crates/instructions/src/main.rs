//! Runs one of the pure paths, for Valgrind to count what its CPU does: `scripts/check-instructions`.
//!
//! Counts do not depend on what else the machine does, so that they may be compared with those of
//! another day. They are not time: a cache miss is one instruction, and so is a hit.

#![forbid(unsafe_code)]
// What it prints is its output.
#![allow(clippy::print_stdout)]

mod cases;

use std::process::ExitCode;

use cases::CASES;

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1);
    let Some(wanted) = wanted else {
        for (name, _) in CASES {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    match CASES.iter().find(|(name, _)| *name == wanted) {
        Some((_, prepare)) => {
            counted(prepare());
            ExitCode::SUCCESS
        }
        None => ExitCode::from(2),
    }
}

/// The only function whose instructions, and those of what it calls, are counted. It is found by
/// its name.
#[inline(never)]
fn counted(work: Box<dyn FnOnce()>) {
    work();
}
