//! The little that all URIs have in common.

/// Splits `s3://bucket/key` into `("s3", "bucket/key")`; `None` if there is no scheme, as in a
/// plain path.
///
/// Nothing is decoded: URIs are taken literally, so a key with `%` or `#` is written as it is.
/// A scheme is what RFC 3986 says: a letter, then letters, digits, `+`, `-` and `.`.
///
/// ```
/// assert_eq!(writer_core::split_scheme("s3://b/a%20b"), Some(("s3", "b/a%20b")));
/// assert_eq!(writer_core::split_scheme("./a://b"), None);
/// ```
#[must_use]
pub fn split_scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once("://")?;
    let mut bytes = scheme.bytes();
    let valid = bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    valid.then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_and_paths_are_told_apart() {
        assert_eq!(split_scheme("file:///a b#c"), Some(("file", "/a b#c")));
        assert_eq!(split_scheme("x+y-1.z://"), Some(("x+y-1.z", "")));
        assert_eq!(split_scheme("s3://b/k://x"), Some(("s3", "b/k://x")));
        for path in ["", "-", "/a/b", "1s://x", "://x", "a b://x", "s3:/x"] {
            assert_eq!(split_scheme(path), None, "{path}");
        }
    }
}
