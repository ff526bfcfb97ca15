//! Buckets: as much as clients need to find their way.

use s3s::dto::*;
use s3s::{S3Request, S3Result};

use super::timestamp;
use crate::server::shared::Shared;

pub(super) fn list(
    shared: &Shared,
    _req: S3Request<ListBucketsInput>,
) -> S3Result<ListBucketsOutput> {
    let buckets = shared
        .store
        .buckets()
        .into_iter()
        .map(|(name, created)| Bucket {
            creation_date: Some(timestamp(created)),
            name: Some(name),
            ..Bucket::default()
        });
    Ok(ListBucketsOutput {
        buckets: Some(buckets.collect()),
        owner: Some(Owner {
            display_name: None,
            id: Some("testkit".to_owned()),
        }),
        ..ListBucketsOutput::default()
    })
}

pub(super) fn create(
    shared: &Shared,
    req: S3Request<CreateBucketInput>,
) -> S3Result<CreateBucketOutput> {
    shared.store.create_bucket(&req.input.bucket)?;
    Ok(CreateBucketOutput {
        location: Some(format!("/{}", req.input.bucket)),
    })
}

pub(super) fn head(shared: &Shared, req: S3Request<HeadBucketInput>) -> S3Result<HeadBucketOutput> {
    shared.store.check_bucket(&req.input.bucket)?;
    Ok(HeadBucketOutput {
        bucket_region: Some(shared.options.region.clone()),
        ..HeadBucketOutput::default()
    })
}

pub(super) fn delete(
    shared: &Shared,
    req: S3Request<DeleteBucketInput>,
) -> S3Result<DeleteBucketOutput> {
    shared.store.delete_bucket(&req.input.bucket)?;
    Ok(DeleteBucketOutput::default())
}

pub(super) fn location(
    shared: &Shared,
    req: S3Request<GetBucketLocationInput>,
) -> S3Result<GetBucketLocationOutput> {
    shared.store.check_bucket(&req.input.bucket)?;
    // AWS names every region but its first.
    let region = Some(shared.options.region.clone()).filter(|region| region != "us-east-1");
    Ok(GetBucketLocationOutput {
        location_constraint: region.map(BucketLocationConstraint::from),
    })
}
