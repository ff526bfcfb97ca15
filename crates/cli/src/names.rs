//! What the names of objects may be.

use writer_core::split_scheme;

/// The longest key that S3 takes, in bytes of UTF-8
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).
pub(crate) const MAX_KEY_LEN: usize = 1024;

/// True if `uri` is one of S3's.
pub(crate) fn is_s3(uri: &str) -> bool {
    split_scheme(uri).is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("s3"))
}

/// How many bytes may be appended to `uri`; `None` if those that it has are too many. What file
/// systems take, they say.
pub(crate) fn room(uri: &str) -> Option<usize> {
    match is_s3(uri) {
        #[cfg(feature = "s3")]
        true => MAX_KEY_LEN.checked_sub(backend_s3::key_len(uri)),
        _ => Some(usize::MAX),
    }
}

/// True if a shell would take a name in `uri` for a pattern, and not for a name.
pub(crate) fn has_wildcard(uri: &str) -> bool {
    uri.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "s3")]
    #[test]
    fn a_key_is_what_follows_the_bucket() {
        let long = |len| format!("s3://bucket/{}", "x".repeat(len));
        assert_eq!(room("s3://bucket/"), Some(1024));
        assert_eq!(room("S3://bucket/ab/"), Some(1021));
        assert_eq!(room(&long(1024)), Some(0));
        assert_eq!(room(&long(1025)), None);
        let arn = "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/mine/ab/";
        assert_eq!(room(arn), Some(1021));
    }

    #[test]
    fn what_disks_take_they_say() {
        for uri in ["file:///d/", "d/"] {
            assert_eq!(room(uri), Some(usize::MAX));
        }
    }
}
