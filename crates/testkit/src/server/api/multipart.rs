//! The life of a multipart upload; how its end is checked is in `assemble`.

use std::time::SystemTime;

use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Result};

use super::assemble::Completion;
use super::attributes::tell_encryption;
use super::{echoed, invalid_argument, said};
use crate::server::checksum::{claimed, invalid_request, set_checksum};
use crate::server::object::{Part, Upload};
use crate::server::receive::{Announced, Claim, receive};
use crate::server::service::FlipBit;
use crate::server::shared::Shared;
use crate::server::store::{Condition, UploadRef};
use crate::server::{Algorithm, Attributes, ChecksumKind, Unasked};

pub(super) fn create(
    shared: &Shared,
    mut req: S3Request<CreateMultipartUploadInput>,
) -> S3Result<CreateMultipartUploadOutput> {
    let input = &mut req.input;
    let declared = match &input.checksum_algorithm {
        Some(algorithm) => Some(Algorithm::parse(algorithm.as_str())?),
        None => None,
    };
    let asked = input.checksum_type.as_ref().map(ChecksumType::as_str);
    let kind = match (declared, asked) {
        (Some(algorithm), asked) => ChecksumKind::choose(algorithm, asked)?,
        (None, None) => ChecksumKind::FullObject,
        (None, Some(_)) => {
            return Err(invalid_request(
                "The x-amz-checksum-type header can only be used with the \
                 x-amz-checksum-algorithm header.",
            ));
        }
    };
    let attributes = Attributes::of(&req.headers, input.metadata.take(), &shared.options)?;
    let mut output = CreateMultipartUploadOutput::default();
    tell_encryption!(output, &attributes);
    let upload = Upload::new(declared, kind, attributes);
    let upload_id = shared
        .store
        .create_upload(&input.bucket, &input.key, upload)?;
    Ok(CreateMultipartUploadOutput {
        checksum_algorithm: input.checksum_algorithm.take(),
        checksum_type: declared
            .filter(|_| shared.options.promises_full_object)
            .map(|_| ChecksumType::from_static(kind.name())),
        upload_id: Some(upload_id),
        bucket: Some(std::mem::take(&mut input.bucket)),
        key: Some(std::mem::take(&mut input.key)),
        ..output
    })
}

pub(super) async fn upload_part(
    shared: &Shared,
    mut req: S3Request<UploadPartInput>,
) -> S3Result<UploadPartOutput> {
    let number = req.input.part_number;
    if !(1..=10_000).contains(&number) {
        return Err(invalid_argument(
            "Part number must be an integer between 1 and 10000, inclusive",
        ));
    }
    let claim = Claim::of(&req.headers)?;
    let algorithm = shared.store.with_upload(at(&req.input), |upload| {
        agree(upload, &claim, shared.options.unasked)
    })??;
    let is_silent = claim.algorithm.is_none() && shared.options.unasked == Unasked::Silent;
    let announced = Announced {
        length: req.input.content_length,
        content_md5: req.input.content_md5.take(),
        claim,
        trailers: req.trailing_headers.take(),
        flip_bit_at: req.extensions.get().map(|FlipBit(at)| *at),
    };
    let body = req.input.body.take();
    let received = receive(&shared.options, body, announced, algorithm).await?;

    let mut output = UploadPartOutput {
        e_tag: said(&req, &received.etag),
        ..UploadPartOutput::default()
    };
    if let Some(value) = received
        .checksum
        .as_ref()
        .filter(|_| !is_silent)
        .and_then(|value| echoed(&req, value))
    {
        set_checksum!(output, algorithm, value);
    }
    let part = Part {
        data: received.data,
        size: received.size,
        etag: received.etag,
        checksum: received.checksum,
        modified: SystemTime::now(),
    };
    // The upload may have ended while the part came in.
    shared
        .store
        .with_upload(at(&req.input), |upload| upload.parts.insert(number, part))?;
    Ok(output)
}

/// The algorithm for a part: the upload's. A part that claims another one is
/// refused, as is a part without a checksum where the sum of sums needs it.
fn agree(upload: &Upload, claim: &Claim, unasked: Unasked) -> S3Result<Algorithm> {
    let fits = match (upload.declared, claim.algorithm) {
        (declared, Some(claimed)) => declared == Some(claimed),
        (Some(_), None) => upload.kind == ChecksumKind::FullObject && unasked != Unasked::Refused,
        (None, None) => true,
    };
    if fits {
        return Ok(upload.algorithm);
    }
    let name = |algorithm: Option<Algorithm>| {
        algorithm.map_or("null".to_owned(), |a| a.name().to_lowercase())
    };
    Err(invalid_request(format!(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        name(upload.declared),
        name(claim.algorithm)
    )))
}

pub(super) fn complete(
    shared: &Shared,
    mut req: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<CompleteMultipartUploadOutput> {
    let condition = Condition::of_write(req.input.if_match.take(), req.input.if_none_match.take())?
        .unless(shared.options.ignore_conditions);
    let parts = req
        .input
        .multipart_upload
        .take()
        .and_then(|upload| upload.parts);
    let parts = parts
        .filter(|parts| !parts.is_empty())
        .ok_or(S3ErrorCode::MalformedXML)?;
    let completion = Completion {
        parts,
        size: req.input.mpu_object_size,
        checksum: claimed!(req.input)?,
        kind: req.input.checksum_type.take(),
    };
    let upload = UploadRef {
        bucket: &req.input.bucket,
        key: &req.input.key,
        id: &req.input.upload_id,
    };
    let object = shared
        .store
        .complete(upload, &completion, &condition, &shared.options)?;
    let mut output = CompleteMultipartUploadOutput {
        e_tag: said(&req, &object.etag),
        location: Some(format!("/{}/{}", req.input.bucket, req.input.key)),
        bucket: Some(req.input.bucket.clone()),
        key: Some(req.input.key.clone()),
        ..CompleteMultipartUploadOutput::default()
    };
    tell_encryption!(output, &object.attributes);
    if let Some(sum) = &object.checksum
        && let Some(value) = echoed(&req, &sum.value)
    {
        set_checksum!(output, sum.algorithm, value);
        output.checksum_type = Some(ChecksumType::from_static(sum.kind.name()));
    }
    Ok(output)
}

pub(super) fn abort(
    shared: &Shared,
    req: S3Request<AbortMultipartUploadInput>,
) -> S3Result<AbortMultipartUploadOutput> {
    shared.store.abort(UploadRef {
        bucket: &req.input.bucket,
        key: &req.input.key,
        id: &req.input.upload_id,
    })?;
    Ok(AbortMultipartUploadOutput::default())
}

fn at(input: &UploadPartInput) -> UploadRef<'_> {
    UploadRef {
        bucket: &input.bucket,
        key: &input.key,
        id: &input.upload_id,
    }
}
