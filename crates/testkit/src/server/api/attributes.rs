//! What a request says about the object that it writes, and what answers say of it.

use std::collections::BTreeMap;

use http::HeaderMap;
use s3s::dto::Metadata;
use s3s::{S3Error, S3ErrorCode, S3Result};
use writer_core::decode_tags;

use super::invalid_argument;
use crate::server::Attributes;
use crate::server::builder::Options;

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>
const MAX_TAGS: usize = 10;
const MAX_TAG_KEY: usize = 128;
const MAX_TAG_VALUE: usize = 256;

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
const STORAGE_CLASSES: [&str; 8] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
];
const ENCRYPTIONS: [&str; 3] = ["AES256", "aws:kms", "aws:kms:dsse"];
const ACLS: [&str; 7] = [
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
];

/// Sets what an answer says of the encryption of an object.
macro_rules! tell_encryption {
    ($output:expr, $attributes:expr) => {
        let attributes: &$crate::server::Attributes = $attributes;
        $output.server_side_encryption = attributes.encryption.clone().map(From::from);
        $output.ssekms_key_id = attributes.encryption_key.clone();
        $output.bucket_key_enabled = attributes.bucket_key;
    };
}

pub(super) use tell_encryption;

impl Attributes {
    /// What a request says about the object it writes.
    pub(super) fn of(
        headers: &HeaderMap,
        metadata: Option<Metadata>,
        options: &Options,
    ) -> S3Result<Self> {
        /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>
        const MAX_METADATA: usize = 2048;
        let metadata = metadata.unwrap_or_default();
        if metadata
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>()
            > MAX_METADATA
        {
            return Err(S3ErrorCode::MetadataTooLarge.into());
        }
        let text = |name: &str| {
            let value = headers.get(name)?.to_str().ok()?;
            (!value.is_empty()).then(|| value.to_owned())
        };
        let one_of = |name: &str, known: &[&str], refusal: fn() -> S3Error| match text(name) {
            Some(value) if !known.contains(&value.as_str()) => Err(refusal()),
            value => Ok(value),
        };
        let sse = "x-amz-server-side-encryption";
        let encryption = one_of(sse, &ENCRYPTIONS, || {
            invalid_argument("The encryption method specified is not supported")
        })?;
        let encryption_key = text("x-amz-server-side-encryption-aws-kms-key-id");
        let is_kms = encryption.as_ref().is_some_and(|how| how != "AES256");
        if encryption_key.is_some() && !is_kms {
            return Err(invalid_argument(
                "Server Side Encryption with AWS KMS managed key requires HTTP header \
                 x-amz-server-side-encryption : aws:kms",
            ));
        }
        let keeps = |value: Option<String>| value.filter(|_| !options.ignore_encryption);
        Ok(Self {
            encryption: keeps(encryption),
            encryption_key: keeps(encryption_key),
            encryption_context: keeps(text("x-amz-server-side-encryption-context")),
            bucket_key: keeps(text("x-amz-server-side-encryption-bucket-key-enabled"))
                .map(|enabled| enabled == "true"),
            acl: one_of("x-amz-acl", &ACLS, || invalid_argument("Invalid ACL"))?,
            tags: tags_of(text("x-amz-tagging"))?,
            content_type: text("content-type").unwrap_or_else(|| "binary/octet-stream".to_owned()),
            cache_control: text("cache-control"),
            content_encoding: text("content-encoding").and_then(without_aws_chunked),
            content_disposition: text("content-disposition"),
            content_language: text("content-language"),
            storage_class: one_of("x-amz-storage-class", &STORAGE_CLASSES, || {
                S3ErrorCode::InvalidStorageClass.into()
            })?
            .filter(|class| class != "STANDARD"),
            metadata: metadata.into_iter().collect(),
        })
    }
}

/// Keys and values are as long as S3 takes them, and no more than it takes.
fn tags_of(header: Option<String>) -> S3Result<BTreeMap<String, String>> {
    let refusal = |text: &'static str| S3Error::with_message(S3ErrorCode::InvalidTag, text);
    let tags = decode_tags(&header.unwrap_or_default())
        .ok_or_else(|| invalid_argument("The header 'x-amz-tagging' shall be encoded as UTF-8"))?;
    if tags.len() > MAX_TAGS {
        return Err(refusal("Object tags cannot be greater than 10"));
    }
    for (key, value) in &tags {
        if !(1..=MAX_TAG_KEY).contains(&key.chars().count()) {
            return Err(refusal("The TagKey you have provided is invalid"));
        }
        if value.chars().count() > MAX_TAG_VALUE {
            return Err(refusal("The TagValue you have provided is invalid"));
        }
    }
    Ok(tags)
}

/// `aws-chunked` is about the transfer and not kept with the object.
fn without_aws_chunked(encodings: String) -> Option<String> {
    let kept: Vec<_> = encodings
        .split(',')
        .map(str::trim)
        .filter(|e| *e != "aws-chunked")
        .collect();
    (!kept.is_empty()).then(|| kept.join(","))
}
