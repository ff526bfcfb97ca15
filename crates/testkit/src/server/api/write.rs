//! PutObject and the two ways to delete.

use std::time::SystemTime;

use s3s::dto::*;
use s3s::{S3Request, S3Result};

use super::attributes::tell_encryption;
use super::{echoed, said};
use crate::server::checksum::set_checksum;
use crate::server::receive::{Announced, Claim, receive};
use crate::server::service::FlipBit;
use crate::server::shared::Shared;
use crate::server::store::Condition;
use crate::server::{Algorithm, Attributes, ChecksumKind, ObjectChecksum, StoredObject};

pub(super) async fn put(
    shared: &Shared,
    mut req: S3Request<PutObjectInput>,
) -> S3Result<PutObjectOutput> {
    shared.store.check_bucket(&req.input.bucket)?;
    let condition = Condition::of_write(req.input.if_match.take(), req.input.if_none_match.take())?
        .unless(shared.options.ignore_conditions);
    let attributes = Attributes::of(&req.headers, req.input.metadata.take(), &shared.options)?;
    let announced = Announced {
        length: req.input.content_length,
        content_md5: req.input.content_md5.take(),
        claim: Claim::of(&req.headers)?,
        trailers: req.trailing_headers.take(),
        flip_bit_at: req.extensions.get().map(|FlipBit(at)| *at),
    };
    let algorithm = announced.claim.algorithm.unwrap_or(Algorithm::Crc64Nvme);
    let body = req.input.body.take();
    let received = receive(&shared.options, body, announced, algorithm).await?;

    let mut output = PutObjectOutput {
        e_tag: said(&req, &received.etag),
        ..PutObjectOutput::default()
    };
    tell_encryption!(output, &attributes);
    let checksum = received.checksum.map(|value| ObjectChecksum {
        algorithm,
        kind: ChecksumKind::FullObject,
        value,
    });
    if let Some(value) = checksum.as_ref().and_then(|sum| echoed(&req, &sum.value)) {
        set_checksum!(output, algorithm, value);
        output.checksum_type = Some(ChecksumType::from_static(ChecksumKind::FullObject.name()));
    }
    let object = StoredObject {
        size: received.size,
        etag: received.etag,
        checksum,
        attributes,
        modified: SystemTime::now(),
        part_sizes: Vec::new(),
        data: received.data.map(|data| vec![data]),
    };
    shared
        .store
        .put(&req.input.bucket, &req.input.key, object, &condition)?;
    Ok(output)
}

pub(super) fn delete(
    shared: &Shared,
    mut req: S3Request<DeleteObjectInput>,
) -> S3Result<DeleteObjectOutput> {
    let condition = Condition::of_write(req.input.if_match.take(), None)?;
    shared
        .store
        .delete(&req.input.bucket, &req.input.key, &condition)?;
    Ok(DeleteObjectOutput::default())
}

pub(super) fn delete_many(
    shared: &Shared,
    req: S3Request<DeleteObjectsInput>,
) -> S3Result<DeleteObjectsOutput> {
    let mut deleted = Vec::new();
    for object in req.input.delete.objects {
        shared
            .store
            .delete(&req.input.bucket, &object.key, &Condition::default())?;
        deleted.push(DeletedObject {
            key: Some(object.key),
            ..DeletedObject::default()
        });
    }
    let quiet = req.input.delete.quiet.unwrap_or(false);
    Ok(DeleteObjectsOutput {
        deleted: (!quiet).then_some(deleted),
        ..DeleteObjectsOutput::default()
    })
}
