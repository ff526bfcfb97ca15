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

/// The path on a disk that `uri` names: what follows `file://`, or all of what has no scheme; `None`
/// if the scheme is another.
///
/// The host that RFC 8089 lets stand before an absolute path may be `localhost`, whose files are those
/// here. Any other name there is the first of a relative path. Nothing is decoded.
///
/// ```
/// use writer_core::file_path;
///
/// assert_eq!(file_path("file:///data/x"), Some("/data/x"));
/// assert_eq!(file_path("file://localhost/data/x"), Some("/data/x"));
/// assert_eq!(file_path("file://data/x"), Some("data/x"));
/// assert_eq!(file_path("data/x"), Some("data/x"));
/// assert_eq!(file_path("s3://data/x"), None);
/// ```
#[must_use]
pub fn file_path(uri: &str) -> Option<&str> {
    match split_scheme(uri) {
        None => Some(uri),
        Some((scheme, path)) if scheme.eq_ignore_ascii_case("file") => {
            let here = path.strip_prefix("localhost");
            Some(here.filter(|path| path.starts_with('/')).unwrap_or(path))
        }
        Some(_) => None,
    }
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
