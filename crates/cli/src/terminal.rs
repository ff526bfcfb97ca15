//! Standard error, and the progress that is shown there: lines go above it, never through it.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::ProgressBar;

/// What is shown now.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// From now on, `bar` is what lines must spare.
pub(crate) fn show(bar: ProgressBar) {
    *shown() = Some(bar);
}

/// Clears what is shown, for good.
pub(crate) fn clear() {
    let bar = shown().take();
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

/// Prints by `print` with the progress out of the way.
pub(crate) fn aside<T>(print: impl FnOnce() -> T) -> T {
    // Not under the lock: whoever prints may have to wait for a reader.
    let bar = shown().clone();
    match bar {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// Prints `text` on standard error.
pub(crate) fn to_stderr(text: &str) {
    // There is nowhere left to say that standard error is closed.
    let _ = aside(|| io::stderr().lock().write_all(text.as_bytes()));
}

/// Standard error for whoever writes whole lines at once.
#[derive(Debug)]
pub(crate) struct Lines;

impl Write for Lines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        aside(|| io::stderr().lock().write_all(lines)).map(|()| lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

fn shown() -> MutexGuard<'static, Option<ProgressBar>> {
    // A handle is whole at any time.
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}
