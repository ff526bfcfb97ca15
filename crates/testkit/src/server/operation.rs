//! Which operation of S3 a request is, from its head alone.

use http::{HeaderMap, Method, Uri};

/// The names of the operations that faults, holds, denials and the log know.
pub const OPERATIONS: &[&str] = &[
    "ListBuckets",
    "CreateBucket",
    "HeadBucket",
    "DeleteBucket",
    "GetBucketLocation",
    "ListObjects",
    "ListObjectsV2",
    "ListMultipartUploads",
    "DeleteObjects",
    "PutObject",
    "CopyObject",
    "GetObject",
    "HeadObject",
    "GetObjectTagging",
    "DeleteObject",
    "CreateMultipartUpload",
    "UploadPart",
    "UploadPartCopy",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
    "ListParts",
    OTHER,
];

const OTHER: &str = "Other";

/// The name as [`OPERATIONS`] has it, so that a misspelt one fails at once
/// instead of matching nothing.
///
/// # Panics
/// If there is no such operation.
pub(super) fn known(operation: &str) -> &'static str {
    OPERATIONS
        .iter()
        .find(|name| **name == operation)
        .unwrap_or_else(|| {
            panic!("no operation is called {operation:?}; those known: {OPERATIONS:?}")
        })
}

/// What a request asks for, of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) operation: &'static str,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) part_number: Option<i32>,
}

impl Target {
    pub(super) fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let path = uri.path().strip_prefix('/').unwrap_or_default();
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let query = Query(uri.query().unwrap_or_default());
        let operation = match (bucket.is_empty(), key.is_empty()) {
            (true, _) => match *method {
                Method::GET => "ListBuckets",
                _ => OTHER,
            },
            (false, true) => of_bucket(method, &query),
            (false, false) => of_object(method, &query, headers.contains_key("x-amz-copy-source")),
        };
        Self {
            operation,
            bucket: percent_decoded(bucket),
            key: percent_decoded(key),
            part_number: query
                .get("partNumber")
                .and_then(|number| number.parse().ok()),
        }
    }

    /// Whether it brings data in: a part, or an object of one part.
    pub(super) fn is_part(&self) -> bool {
        matches!(self.operation, "UploadPart" | "PutObject")
    }
}

fn of_bucket(method: &Method, query: &Query<'_>) -> &'static str {
    match *method {
        Method::GET if query.has("uploads") => "ListMultipartUploads",
        Method::GET if query.has("location") => "GetBucketLocation",
        Method::GET if query.get("list-type") == Some("2") => "ListObjectsV2",
        Method::GET if query.is_subresource() => OTHER,
        Method::GET => "ListObjects",
        Method::HEAD => "HeadBucket",
        Method::POST if query.has("delete") => "DeleteObjects",
        Method::PUT if !query.is_subresource() => "CreateBucket",
        Method::DELETE if !query.is_subresource() => "DeleteBucket",
        _ => OTHER,
    }
}

fn of_object(method: &Method, query: &Query<'_>, copies: bool) -> &'static str {
    match *method {
        Method::PUT if query.has("partNumber") && copies => "UploadPartCopy",
        Method::PUT if query.has("partNumber") => "UploadPart",
        Method::PUT if query.is_subresource() => OTHER,
        Method::PUT if copies => "CopyObject",
        Method::PUT => "PutObject",
        Method::GET if query.has("uploadId") => "ListParts",
        Method::GET if query.has("tagging") => "GetObjectTagging",
        Method::GET if query.is_subresource() => OTHER,
        Method::GET => "GetObject",
        Method::HEAD => "HeadObject",
        Method::POST if query.has("uploads") => "CreateMultipartUpload",
        Method::POST if query.has("uploadId") => "CompleteMultipartUpload",
        Method::DELETE if query.has("uploadId") => "AbortMultipartUpload",
        Method::DELETE if !query.is_subresource() => "DeleteObject",
        _ => OTHER,
    }
}

struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    fn has(&self, name: &str) -> bool {
        self.pairs().any(|(n, _)| n == name)
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.pairs()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value)
    }

    /// Whether it asks for `?acl`, `?tagging` and the like, which are other
    /// operations, none of them ours.
    fn is_subresource(&self) -> bool {
        const SUBRESOURCES: [&str; 12] = [
            "acl",
            "attributes",
            "cors",
            "encryption",
            "legal-hold",
            "lifecycle",
            "policy",
            "retention",
            "tagging",
            "torrent",
            "versioning",
            "versions",
        ];
        SUBRESOURCES.iter().any(|name| self.has(name))
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: Method, uri: &'static str) -> Target {
        Target::of(&method, &Uri::from_static(uri), &HeaderMap::new())
    }

    #[test]
    fn a_part_has_its_key_and_number() {
        let part = target(
            Method::PUT,
            "/b/a%20dir/k%C3%A9y?partNumber=7&uploadId=x&x-id=UploadPart",
        );
        assert_eq!(
            part,
            Target {
                operation: "UploadPart",
                bucket: "b".into(),
                key: "a dir/kéy".into(),
                part_number: Some(7),
            }
        );
    }

    #[test]
    fn operations_are_told_apart() {
        for (method, uri, operation) in [
            (Method::GET, "/?x-id=ListBuckets", "ListBuckets"),
            (Method::GET, "/b?list-type=2&prefix=acl", "ListObjectsV2"),
            (Method::GET, "/b/?uploads", "ListMultipartUploads"),
            (Method::PUT, "/b", "CreateBucket"),
            (Method::POST, "/b/k?uploads=", "CreateMultipartUpload"),
            (Method::POST, "/b/k?uploadId=1", "CompleteMultipartUpload"),
            (Method::DELETE, "/b/k?uploadId=1", "AbortMultipartUpload"),
            (Method::GET, "/b/k?uploadId=1", "ListParts"),
            (Method::PUT, "/b/k?acl", "Other"),
            (Method::PUT, "/b/k", "PutObject"),
        ] {
            assert_eq!(target(method, uri).operation, operation, "{uri}");
        }
    }
}
