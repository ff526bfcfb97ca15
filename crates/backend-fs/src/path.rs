//! Which file a URI names.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use writer_core::{Result, file_path, split_scheme};

use crate::error::invalid;
use crate::staging;

/// The path that `uri` names: what follows `file://` or `file://localhost`, or all of a plain path;
/// nothing is decoded.
///
/// # Errors
///
/// `InvalidInput` for the URI of another scheme.
pub(crate) fn from_uri(uri: &str) -> Result<&str> {
    file_path(uri).ok_or_else(|| {
        let scheme = split_scheme(uri).map_or("", |(scheme, _)| scheme);
        let text = format!("{scheme}:// is not a file system: expected file:// or a plain path");
        invalid(text).with_uri(uri)
    })
}

/// The path of the object that `uri` names.
///
/// # Errors
///
/// `InvalidInput` if it names none.
pub(crate) fn object_from_uri(uri: &str) -> Result<PathBuf> {
    let path = Path::new(from_uri(uri)?);
    check_object(path).map_err(|error| error.with_uri(uri))?;
    Ok(path.to_owned())
}

/// The URI of `path`. Where the path is not UTF-8 it is only close, and good for messages.
pub(crate) fn to_uri(path: &Path) -> String {
    // Or that name would be the host's.
    let at = if path.starts_with("localhost") {
        "./"
    } else {
        ""
    };
    format!("file://{at}{}", path.display())
}

/// Checks that `path` can be the name of an object.
///
/// # Errors
///
/// `InvalidInput` that says why not.
pub(crate) fn check_object(path: &Path) -> Result<()> {
    // `Path::file_name` would pass over a final `/` or `.`, so the bytes decide.
    let bytes = path.as_os_str().as_bytes();
    let name = bytes.rsplit(|byte| *byte == b'/').next().unwrap_or(bytes);
    if bytes.is_empty() {
        return Err(invalid("the name is empty: expected the path of a file"));
    }
    if bytes.contains(&0) {
        return Err(invalid("the name holds a NUL byte, which no file can have"));
    }
    if name.is_empty() {
        return Err(invalid(
            "the name ends in '/', so it names a directory: expected the path of a file",
        ));
    }
    if name == b"." || name == b".." {
        return Err(invalid(
            "the name ends in '.' or '..', so it names a directory: expected the path of a file",
        ));
    }
    if staging::is_staging_name(OsStr::from_bytes(name)) {
        return Err(invalid(format!(
            "names of the form .*.<16 hex digits>{} are kept for staging files",
            staging::SUFFIX
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use writer_core::ErrorKind;

    #[test]
    fn paths_are_taken_literally() {
        for (uri, path) in [
            ("file:///a b%20c#d?e", "/a b%20c#d?e"),
            ("file://rel/path", "rel/path"),
            ("FILE:///x", "/x"),
            ("file://localhost/x", "/x"),
            ("file://localhosts/x", "localhosts/x"),
            ("file://./localhost/x", "./localhost/x"),
            ("localhost/x", "localhost/x"),
            ("/plain/ü", "/plain/ü"),
            ("../x", "../x"),
            ("s3:/x", "s3:/x"),
            ("dir/..x", "dir/..x"),
        ] {
            let found = object_from_uri(uri).unwrap();
            assert_eq!(found.to_str(), Some(path), "{uri}");
            let again = object_from_uri(&to_uri(&found)).unwrap();
            assert!(again.ends_with(&found), "{uri}: {}", again.display());
        }
    }

    #[test]
    fn what_names_no_file_is_refused_and_says_why() {
        for (uri, why) in [
            ("s3://bucket/key", "s3://"),
            ("", "empty"),
            ("file://", "empty"),
            ("file:///", "ends in '/'"),
            ("/a/b/", "ends in '/'"),
            ("/a/.", "'.'"),
            ("..", "'..'"),
            ("/a\0b", "NUL"),
            ("/a/.b.0123456789abcdef.s3dlio-staging", "staging"),
        ] {
            let error = object_from_uri(uri).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert_eq!(error.uri(), Some(uri));
            assert!(error.message().contains(why), "{error}");
        }
    }
}
