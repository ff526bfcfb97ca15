//! `s3://bucket/key`, as an argument.

use std::str::FromStr;

use anyhow::{Result, bail};
use writer_core::split_scheme;

/// The name of an object, taken literally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Uri {
    /// The bucket.
    pub bucket: String,
    /// The key, which is not empty.
    pub key: String,
}

impl FromStr for S3Uri {
    type Err = anyhow::Error;

    fn from_str(uri: &str) -> Result<Self> {
        let Some(("s3", rest)) = split_scheme(uri) else {
            bail!("expected s3://BUCKET/KEY");
        };
        match rest.split_once('/') {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => Ok(Self {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
            }),
            _ => bail!("expected s3://BUCKET/KEY"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_and_a_key_are_needed() {
        let uri: S3Uri = "s3://bucket/a/b%20c".parse().unwrap();
        assert_eq!(
            (uri.bucket.as_str(), uri.key.as_str()),
            ("bucket", "a/b%20c")
        );
        for text in [
            "",
            "/a/b",
            "file:///a",
            "s3://",
            "s3://b",
            "s3://b/",
            "s3:///k",
        ] {
            assert!(text.parse::<S3Uri>().is_err(), "{text:?}");
        }
    }
}
