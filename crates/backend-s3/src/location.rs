//! `s3://bucket/key`, taken literally.

use writer_core::{Error, ErrorKind, Result, split_scheme};

/// A bucket and a key, or the beginning of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) bucket: String,
    pub(crate) key: String,
}

impl Location {
    /// The object that `uri` names.
    pub(crate) fn object(uri: &str) -> Result<Self> {
        let location = Self::prefix(uri)?;
        if location.key.is_empty() {
            return Err(invalid(uri, "it has no key"));
        }
        // https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
        if location.key.len() > 1024 {
            return Err(invalid(uri, "its key is longer than 1024 bytes of UTF-8"));
        }
        Ok(location)
    }

    /// The bucket and the beginning of keys, which may be empty, that `uri` names.
    pub(crate) fn prefix(uri: &str) -> Result<Self> {
        let Some(("s3", rest)) = split_scheme(uri) else {
            return Err(invalid(uri, "it does not begin with s3://"));
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(invalid(uri, "it has no bucket"));
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }

    /// The URI of `key` in this bucket.
    pub(crate) fn uri_of(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    pub(crate) fn uri(&self) -> String {
        self.uri_of(&self.key)
    }
}

fn invalid(uri: &str, why: &str) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        format!("this is no S3 object: {why}; expected s3://BUCKET/KEY"),
    )
    .with_uri(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_literally() {
        for key in ["k", "a/b", "/a", "a b%20#?+&", "ü/日本", "a//b/", "x://y"] {
            let location = Location::object(&format!("s3://bucket/{key}")).unwrap();
            assert_eq!(
                (location.bucket.as_str(), location.key.as_str()),
                ("bucket", key)
            );
            assert_eq!(location.uri(), format!("s3://bucket/{key}"));
        }
    }

    #[test]
    fn what_names_no_object_is_refused() {
        let long = format!("s3://b/{}", "k".repeat(1025));
        for uri in [
            "",
            "s3://",
            "s3:///k",
            "s3://b",
            "s3://b/",
            "file:///k",
            "b/k",
            &long,
        ] {
            let error = Location::object(uri).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{uri}");
        }
        assert!(Location::prefix("s3://b").is_ok());
    }
}
