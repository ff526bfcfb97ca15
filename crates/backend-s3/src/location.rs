//! `s3://bucket/key`, taken literally; instead of a bucket, the ARN of an access point.

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
        let (bucket, key) = split(rest);
        if bucket.is_empty() {
            return Err(invalid(uri, "it has no bucket"));
        }
        if bucket.starts_with(ARN) && !is_access_point(bucket) {
            return Err(invalid(uri, "its ARN is not that of an access point"));
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

const ARN: &str = "arn:";

/// How many bytes of UTF-8 the key, or the beginning of keys, has that `uri` (`s3://BUCKET/KEY`)
/// names. Instead of a bucket, it may name the ARN of an access point, which has slashes itself.
///
/// ```
/// assert_eq!(backend_s3::key_len("s3://bucket/a/b"), 3);
/// let arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine";
/// assert_eq!(backend_s3::key_len(&format!("s3://{arn}/a/b")), 3);
/// ```
#[must_use]
pub fn key_len(uri: &str) -> usize {
    split_scheme(uri).map_or(0, |(_, rest)| split(rest).1.len())
}

/// What stands for the bucket, and the key.
fn split(rest: &str) -> (&str, &str) {
    let slashes = match rest.starts_with(ARN) {
        // Its resource: accesspoint/NAME, accesspoint:NAME, outpost/ID/accesspoint/NAME.
        true => match rest.splitn(6, ':').nth(5) {
            Some(resource) if resource.starts_with("accesspoint/") => 1,
            Some(resource) if resource.starts_with("outpost/") => 3,
            _ => 0,
        },
        false => 0,
    };
    match rest.match_indices('/').nth(slashes) {
        Some((end, _)) => (&rest[..end], &rest[end + 1..]),
        None => (rest, ""),
    }
}

/// As <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-naming.html> has them.
fn is_access_point(arn: &str) -> bool {
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, service, _, _, resource] = fields[..] else {
        return false;
    };
    let words: Vec<&str> = resource.split(['/', ':']).collect();
    match (service, &words[..]) {
        ("s3" | "s3-object-lambda", ["accesspoint", name]) => !name.is_empty(),
        ("s3-outposts", ["outpost", id, "accesspoint", name]) => !id.is_empty() && !name.is_empty(),
        _ => false,
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
    fn an_access_point_stands_for_a_bucket() {
        for arn in [
            "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine",
            "arn:aws:s3:eu-west-1:123456789012:accesspoint:mine",
            "arn:aws-cn:s3::123456789012:accesspoint/many.mrap",
            "arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/mine",
            "arn:aws:s3-outposts:eu-west-1:123456789012:outpost/op-1/accesspoint/mine",
        ] {
            let uri = format!("s3://{arn}/a/b:c");
            let location = Location::object(&uri).unwrap();
            assert_eq!((&*location.bucket, &*location.key), (arn, "a/b:c"));
            assert_eq!(location.uri(), uri);
            assert_eq!(key_len(&uri), 5);
            assert_eq!(Location::prefix(&format!("s3://{arn}")).unwrap().key, "");
        }
        for arn in [
            "arn:aws:s3:::bucket",
            "arn:aws:sqs:eu-west-1:123456789012:queue",
            "arn:aws:s3:eu-west-1:123456789012:accesspoint/",
            "arn:aws:s3:eu-west-1",
        ] {
            let error = Location::object(&format!("s3://{arn}/key")).unwrap_err();
            assert!(error.message().contains("access point"), "{error}");
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
