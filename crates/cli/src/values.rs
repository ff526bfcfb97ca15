//! Values of options, from text.

use writer_core::ByteRange;

/// Digits that every `u64` has room for. More are no size that anybody has, and `parse_size` rounds
/// some of them to 0.
const MOST_DIGITS: usize = 19;

/// Bytes, or a number with a unit; units count in 1024s, as sizes of memory and parts do.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if digits > MOST_DIGITS {
        return Err(format!("more than {MOST_DIGITS} digits"));
    }
    let size = parse_size::Config::new().with_binary().parse_size(text);
    size.map_err(|_error| "expected bytes, or a number with a unit: 8388608, 8M, 8MiB".to_owned())
}

/// How long, or how long ago, with a unit.
pub(crate) fn parse_age(text: &str) -> Result<std::time::Duration, &'static str> {
    const EXPECTED: &str = "expected a time such as 90s, 5m, 12h, 7d or 2w";
    let span: jiff::Span = text.parse().map_err(|_error| EXPECTED)?;
    let age = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours());
    let age = age.map_err(|_error| EXPECTED)?;
    age.try_into().map_err(|_error| EXPECTED)
}

/// How long something may take: with a unit, or in seconds; not nothing at all.
#[cfg(feature = "s3")]
pub(crate) fn parse_duration(text: &str) -> Result<std::time::Duration, &'static str> {
    use std::time::Duration;

    const EXPECTED: &str = "expected a time such as 500ms, 30s, 2m or 30 (seconds)";
    let seconds = text.parse().ok().filter(|_| !text.starts_with('+'));
    let duration = match seconds {
        Some(seconds) => Duration::from_secs(seconds),
        None => parse_age(text).map_err(|_error| EXPECTED)?,
    };
    match duration.is_zero() {
        true => Err(EXPECTED),
        false => Ok(duration),
    }
}

/// `KEY=VALUE`; the value may be empty, and hold more `=`.
pub(crate) fn parse_entry(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE"),
    }
}

/// Ranges as HTTP writes them: both ends are meant.
pub(crate) fn parse_range(text: &str) -> Result<ByteRange, &'static str> {
    const EXPECTED: &str = "expected A-B, A- or -N, with numbers of bytes";
    let number = |text: &str| {
        // `parse` takes a sign as well.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u64>().ok().filter(|_| digits);
        number.ok_or(EXPECTED)
    };
    match text.split_once('-').ok_or(EXPECTED)? {
        ("", last) => Ok(ByteRange::Last(number(last)?)),
        (first, "") => Ok(ByteRange::From(number(first)?)),
        (first, last) => {
            let (start, last) = (number(first)?, number(last)?);
            if last < start {
                return Err("the range ends before it begins");
            }
            let end = last.saturating_add(1);
            Ok(ByteRange::Bounded { start, end })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_count_in_1024s() {
        for text in ["8MiB", "8M", "8m", "8MB", "8388608", "8192K"] {
            assert_eq!(parse_size(text), Ok(8 << 20), "{text}");
        }
        for text in ["", "8X", "-1", "18446744073709551615.9", "20EiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_are_those_of_http() {
        assert_eq!(
            parse_range("0-99"),
            Ok(ByteRange::Bounded { start: 0, end: 100 })
        );
        assert_eq!(parse_range("7-"), Ok(ByteRange::From(7)));
        assert_eq!(parse_range("-7"), Ok(ByteRange::Last(7)));
        for text in [
            "", "-", "7", "5-4", "a-b", "1-2-3", "1-2 ", "+1-2", "1-+2", "+1-", "-+2",
        ] {
            assert!(parse_range(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ages_have_a_unit() {
        let seconds = |text| parse_age(text).map(|age| age.as_secs());
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("7d"), Ok(7 * 86_400));
        assert_eq!(seconds("2w"), Ok(14 * 86_400));
        assert_eq!(seconds("1h 30m"), Ok(5_400));
        for text in ["", "5", "-1h", "1 month", "soon"] {
            assert!(parse_age(text).is_err(), "{text:?}");
        }
    }

    #[cfg(feature = "s3")]
    #[test]
    fn times_may_have_a_unit() {
        let millis = |text| parse_duration(text).map(|time| time.as_millis());
        assert_eq!(millis("30"), Ok(30_000));
        assert_eq!(millis("1m30s"), Ok(90_000));
        assert_eq!(millis("250ms"), Ok(250));
        for text in [
            "",
            "0",
            "0s",
            "-1",
            "-1s",
            "+1",
            "soon",
            "99999999999999999999",
        ] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn metadata_needs_a_key() {
        assert_eq!(parse_entry("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(parse_entry("a="), Ok(("a".into(), String::new())));
        assert!(parse_entry("=b").is_err());
        assert!(parse_entry("a").is_err());
    }
}
