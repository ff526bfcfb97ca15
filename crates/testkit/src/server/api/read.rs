//! GetObject and HeadObject.

use std::ops::Range as Span;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName};
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result};

use super::attributes::tell_encryption;
use super::{echoed, quoted, timestamp};
use crate::server::StoredObject;
use crate::server::checksum::set_checksum;
use crate::server::shared::Shared;
use crate::server::store::precondition_failed;

/// Sets what both replies have in common.
macro_rules! describe {
    ($output:expr, $req:expr, $object:expr, $checksum_wanted:expr) => {
        let attributes = $object.attributes.clone();
        $output.accept_ranges = Some("bytes".to_owned());
        $output.e_tag = Some(quoted(&$object.etag));
        $output.last_modified = Some(timestamp($object.modified));
        $output.content_type = Some(attributes.content_type);
        $output.cache_control = attributes.cache_control;
        $output.content_encoding = attributes.content_encoding;
        $output.content_disposition = attributes.content_disposition;
        $output.content_language = attributes.content_language;
        $output.storage_class = attributes.storage_class.map(StorageClass::from);
        tell_encryption!($output, &$object.attributes);
        $output.metadata = Some(attributes.metadata.into_iter().collect());
        if let Some(sum) = $object.checksum.as_ref().filter(|_| $checksum_wanted)
            && let Some(value) = echoed(&$req, &sum.value)
        {
            set_checksum!($output, sum.algorithm, value);
            $output.checksum_type = Some(ChecksumType::from_static(sum.kind.name()));
        }
    };
}

pub(super) fn get(shared: &Shared, req: S3Request<GetObjectInput>) -> S3Result<GetObjectOutput> {
    let object = shared.store.get(&req.input.bucket, &req.input.key)?;
    check_conditions(
        &object,
        req.input.if_match.as_ref(),
        req.input.if_none_match.as_ref(),
    )?;
    let span = req
        .input
        .range
        .map(|range| satisfy(&range, object.size))
        .transpose()?;
    let Some(data) = &object.data else {
        return Err(S3Error::with_message(
            S3ErrorCode::NotImplemented,
            "This server discards the bodies of objects.",
        ));
    };
    // A checksum is of the whole object, so a range goes without.
    let checksum_wanted = wants_checksum(req.input.checksum_mode.as_ref()) && span.is_none();
    let mut output = GetObjectOutput::default();
    describe!(output, req, object, checksum_wanted);
    output.tag_count = tag_count(&object);
    output.content_range = span.as_ref().map(|span| content_range(span, object.size));
    let span = span.unwrap_or(0..object.size);
    output.content_length = Some((span.end - span.start) as i64);
    let pieces = slices(data, &span).into_iter().map(Ok::<_, std::io::Error>);
    output.body = Some(StreamingBlob::wrap(stream::iter(pieces)));
    Ok(output)
}

/// The number of tags is a header that s3s does not write for HEAD.
pub(super) fn head(
    shared: &Shared,
    req: S3Request<HeadObjectInput>,
) -> S3Result<(HeadObjectOutput, HeaderMap)> {
    let object = shared.store.get(&req.input.bucket, &req.input.key)?;
    check_conditions(
        &object,
        req.input.if_match.as_ref(),
        req.input.if_none_match.as_ref(),
    )?;
    let span = req
        .input
        .range
        .map(|range| satisfy(&range, object.size))
        .transpose()?;
    let mut output = HeadObjectOutput::default();
    describe!(
        output,
        req,
        object,
        wants_checksum(req.input.checksum_mode.as_ref())
    );
    output.content_range = span.as_ref().map(|span| content_range(span, object.size));
    let span = span.unwrap_or(0..object.size);
    output.content_length = Some((span.end - span.start) as i64);
    let count = tag_count(&object).map(|count| ("x-amz-tagging-count", count));
    let headers = count.map(|(name, count)| (HeaderName::from_static(name), count.into()));
    Ok((output, headers.into_iter().collect()))
}

pub(super) fn tags(
    shared: &Shared,
    req: S3Request<GetObjectTaggingInput>,
) -> S3Result<GetObjectTaggingOutput> {
    let object = shared.store.get(&req.input.bucket, &req.input.key)?;
    let tags = object.attributes.tags.iter();
    let tag = |(key, value): (&String, &String)| Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    Ok(GetObjectTaggingOutput {
        tag_set: tags.map(tag).collect(),
        version_id: None,
    })
}

/// How many tags there are, unless there is none.
fn tag_count(object: &StoredObject) -> Option<i32> {
    let count = object.attributes.tags.len();
    i32::try_from(count).ok().filter(|count| *count > 0)
}

fn check_conditions(
    object: &StoredObject,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let is_this = |condition: &ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == object.etag,
    };
    if if_match.is_some_and(|condition| !is_this(condition)) {
        return Err(precondition_failed());
    }
    if if_none_match.is_some_and(is_this) {
        return Err(S3ErrorCode::NotModified.into());
    }
    Ok(())
}

fn satisfy(range: &Range, size: u64) -> S3Result<Span<u64>> {
    range
        .check(size)
        .ok()
        .filter(|span| !span.is_empty())
        .ok_or_else(|| {
            S3Error::with_message(
                S3ErrorCode::InvalidRange,
                "The requested range is not satisfiable",
            )
        })
}

fn content_range(span: &Span<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", span.start, span.end - 1)
}

fn wants_checksum(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}

fn slices(data: &[Bytes], span: &Span<u64>) -> Vec<Bytes> {
    let mut at = 0;
    let mut found = Vec::new();
    for piece in data {
        let end = at + piece.len() as u64;
        let from = span.start.clamp(at, end) - at;
        let to = span.end.clamp(at, end) - at;
        if from < to {
            found.push(piece.slice(from as usize..to as usize));
        }
        at = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_may_cross_pieces() {
        let data = [Bytes::from("abc"), Bytes::new(), Bytes::from("defg")];
        let joined = |span| slices(&data, &span).concat();
        assert_eq!(joined(0..7), b"abcdefg");
        assert_eq!(joined(2..5), b"cde");
        assert_eq!(joined(3..4), b"d");
        assert_eq!(joined(7..7), b"");
    }
}
