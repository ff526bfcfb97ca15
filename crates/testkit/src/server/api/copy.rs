//! CopyObject, within the server.

use std::time::SystemTime;

use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Result};

use super::{echoed, quoted, timestamp};
use crate::server::Attributes;
use crate::server::checksum::set_checksum;
use crate::server::shared::Shared;
use crate::server::store::Condition;

pub(super) fn copy(
    shared: &Shared,
    mut req: S3Request<CopyObjectInput>,
) -> S3Result<CopyObjectOutput> {
    let CopySource::Bucket { bucket, key, .. } = &req.input.copy_source else {
        return Err(S3ErrorCode::NotImplemented.into());
    };
    let source = shared.store.get(bucket, key)?;
    let mut object = (*source).clone();
    object.modified = SystemTime::now();
    let replaces = req
        .input
        .metadata_directive
        .as_ref()
        .is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
    if replaces {
        object.attributes =
            Attributes::of(&req.headers, req.input.metadata.take(), &shared.options)?;
    }
    let mut result = CopyObjectResult {
        e_tag: Some(quoted(&object.etag)),
        last_modified: Some(timestamp(object.modified)),
        ..CopyObjectResult::default()
    };
    if let Some(sum) = &object.checksum
        && let Some(value) = echoed(&req, &sum.value)
    {
        set_checksum!(result, sum.algorithm, value);
        result.checksum_type = Some(ChecksumType::from_static(sum.kind.name()));
    }
    shared.store.put(
        &req.input.bucket,
        &req.input.key,
        object,
        &Condition::default(),
    )?;
    Ok(CopyObjectOutput {
        copy_object_result: Some(result),
        ..CopyObjectOutput::default()
    })
}
