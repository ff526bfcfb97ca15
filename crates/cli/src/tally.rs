//! Errors of many files: each is printed when it comes, and all are counted.

use std::fmt;

use crate::exit;

/// Counts errors. It keeps none of them, because there may be as many as there are files.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    quiet: bool,
    count: u64,
    /// The exit code that all have had so far.
    code: Option<u8>,
}

impl Tally {
    /// A tally that, if `quiet`, leaves out warnings.
    pub(crate) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            count: 0,
            code: None,
        }
    }

    /// Prints `error` and counts it.
    pub(crate) fn add(&mut self, error: &anyhow::Error) {
        let _one_of_many = exit::report(error);
        self.count += 1;
        let code = exit::code(error);
        self.code = Some(match self.code {
            Some(other) if other != code => 1,
            _ => code,
        });
    }

    /// Prints a warning, which does not count.
    pub(crate) fn warn(&self, text: &str) {
        if !self.quiet {
            exit::warn(text);
        }
    }

    /// Prints what is being done.
    pub(crate) fn tell(&self, text: &str) {
        if !self.quiet {
            exit::notice(text);
        }
    }

    /// How many errors there were.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The error of them all, with `text`, if there was any.
    pub(crate) fn into_result(self, text: impl Into<String>) -> anyhow::Result<()> {
        match self.code {
            None => Ok(()),
            Some(code) => {
                let text = text.into();
                Err(Several { text, code }.into())
            }
        }
    }
}

/// The end of a run with errors that were printed before.
#[derive(Debug)]
pub(crate) struct Several {
    /// Empty if there is nothing more to say.
    pub(crate) text: String,
    /// Theirs, if all had the same.
    pub(crate) code: u8,
}

impl fmt::Display for Several {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Several {}

/// `number` as people read it: `10,000`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use writer_core::{Error, ErrorKind};

    #[test]
    fn errors_of_one_code_end_with_it_and_others_with_1() {
        let add = |tally: &mut Tally, kind| tally.add(&Error::new(kind, "x").into());
        let mut tally = Tally::new(true);
        add(&mut tally, ErrorKind::AccessDenied);
        add(&mut tally, ErrorKind::AccessDenied);
        assert_eq!(tally.count(), 2);
        assert_eq!(exit::code(&tally.into_result("all").unwrap_err()), 4);

        let mut tally = Tally::new(true);
        add(&mut tally, ErrorKind::AccessDenied);
        add(&mut tally, ErrorKind::NotFound);
        add(&mut tally, ErrorKind::NotFound);
        assert_eq!(exit::code(&tally.into_result("all").unwrap_err()), 1);

        assert!(Tally::new(true).into_result("none").is_ok());
    }

    #[test]
    fn numbers_are_grouped_in_thousands() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (123_456, "123,456"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
