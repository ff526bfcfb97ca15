//! What goes with the bytes of an object: headers, tags, the class of storage, encryption.

use std::collections::HashMap;

use writer_core::{Error, ErrorKind, Result, WriterOptions, encode_tags};

use super::owned;

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>
const MAX_TAGS: usize = 10;
const MAX_TAG_KEY: usize = 128;
const MAX_TAG_VALUE: usize = 256;

/// Sets on a request that makes an object what is kept with it.
macro_rules! describe {
    ($request:expr, $options:expr, $protection:expr) => {
        $request
            .set_content_type($options.content_type.clone())
            .set_cache_control($options.cache_control.clone())
            .set_content_disposition($options.content_disposition.clone())
            .set_content_encoding($options.content_encoding.clone())
            .set_content_language($options.content_language.clone())
            .set_storage_class($options.storage_class.as_deref().map(From::from))
            .set_tagging($crate::api::attributes::tagging_of($options))
            .set_metadata($crate::api::attributes::metadata_of($options))
            .set_server_side_encryption($protection.algorithm())
            .set_ssekms_key_id($protection.key_id())
            .set_ssekms_encryption_context($protection.context())
            .set_bucket_key_enabled($protection.bucket_key())
            .set_acl($protection.acl.as_deref().map(From::from))
    };
}

/// Takes from an answer, HEAD's or GET's, what is kept with an object.
macro_rules! tell {
    ($metadata:expr, $output:expr) => {
        let text = |value: Option<&str>| value.map(str::to_owned);
        $metadata.content_type = text($output.content_type());
        $metadata.cache_control = text($output.cache_control());
        $metadata.content_disposition = text($output.content_disposition());
        $metadata.content_encoding = $crate::api::encoding($output.content_encoding());
        $metadata.content_language = text($output.content_language());
        $metadata.storage_class = text($output.storage_class().map(|class| class.as_str()));
        $metadata.encryption = text($output.server_side_encryption().map(|how| how.as_str()));
        $metadata.encryption_key = text($output.ssekms_key_id());
        $metadata.tag_count = $output.tag_count().and_then(|count| count.try_into().ok());
    };
}

pub(crate) use {describe, tell};

/// Refuses tags that S3 does not take.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`], naming the tag and the limit.
pub(crate) fn check_tags(options: &WriterOptions) -> Result<()> {
    let refusal = |text: String| Err(Error::new(ErrorKind::InvalidInput, text));
    let count = options.tags.len();
    if count > MAX_TAGS {
        return refusal(format!("{count} tags: S3 takes {MAX_TAGS}"));
    }
    for (key, value) in &options.tags {
        for (what, text, most) in [("key", key, MAX_TAG_KEY), ("value", value, MAX_TAG_VALUE)] {
            let len = text.chars().count();
            if len > most {
                let text =
                    format!("the {what} of tag {key:?} has {len} characters: S3 takes {most}");
                return refusal(text);
            }
        }
    }
    Ok(())
}

pub(crate) fn tagging_of(options: &WriterOptions) -> Option<String> {
    (!options.tags.is_empty()).then(|| encode_tags(&options.tags))
}

pub(crate) fn metadata_of(options: &WriterOptions) -> Option<HashMap<String, String>> {
    (!options.metadata.is_empty()).then(|| options.metadata.iter().map(owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_over_a_limit_are_named_with_it() {
        let tags = |range: std::ops::Range<u32>| {
            range.fold(WriterOptions::default(), |options, n| {
                options.with_tag(format!("k{n}"), "v")
            })
        };
        let longest = tags(0..8)
            .with_tag("ü".repeat(128), "")
            .with_tag("v", "ü".repeat(256));
        assert!(check_tags(&longest).is_ok());
        for (options, expected) in [
            (tags(0..11), "11 tags: S3 takes 10"),
            (tags(0..1).with_tag("k".repeat(129), ""), "129 characters"),
            (
                tags(0..1).with_tag("long", "v".repeat(257)),
                "tag \"long\" has 257",
            ),
        ] {
            let error = check_tags(&options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.message().contains(expected), "{error}");
        }
    }
}
