//! Standard error, and the progress that is shown there: lines go above it, never through it.

use std::io::{self, Write};
use std::mem;
use std::sync::{PoisonError, RwLock};

use indicatif::ProgressBar;

/// What is shown now. Locked for reading by whoever prints, so that nothing appears in the middle of
/// a line.
static SHOWN: RwLock<Shown> = RwLock::new(Shown::Nothing);

enum Shown {
    Nothing,
    Bar(ProgressBar),
    /// Nothing, for good.
    Over,
}

/// From now on, `bar` is what lines must spare; false if it is too late to show one.
pub(crate) fn show(bar: ProgressBar) -> bool {
    let mut shown = SHOWN.write().unwrap_or_else(PoisonError::into_inner);
    let may_be = !matches!(*shown, Shown::Over);
    if may_be {
        *shown = Shown::Bar(bar);
    }
    may_be
}

/// Clears what is shown, for good.
pub(crate) fn clear() {
    let mut shown = SHOWN.write().unwrap_or_else(PoisonError::into_inner);
    if let Shown::Bar(bar) = mem::replace(&mut *shown, Shown::Over) {
        bar.finish_and_clear();
    }
}

/// Prints by `print` with the progress out of the way.
pub(crate) fn aside<T>(print: impl FnOnce() -> T) -> T {
    match &*SHOWN.read().unwrap_or_else(PoisonError::into_inner) {
        Shown::Bar(bar) => bar.suspend(print),
        Shown::Nothing | Shown::Over => print(),
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
