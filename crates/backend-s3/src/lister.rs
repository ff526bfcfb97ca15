//! The objects below a prefix, page by page.

use async_trait::async_trait;
use aws_sdk_s3::types::{EncodingType, Object};
use writer_core::{ObjectLister, ObjectMetadata, Result};

use crate::api::{Api, listed_key, unquoted, unsigned};
use crate::error::from_sdk;
use crate::retry::Retries;

#[derive(Debug)]
pub(crate) struct S3Lister {
    api: Api,
    retry: Retries,
    /// The page that was fetched to see that the bucket is there.
    first: Option<Vec<ObjectMetadata>>,
    next: Next,
}

#[derive(Clone, Debug)]
enum Next {
    Page(String),
    End,
}

impl S3Lister {
    pub(crate) async fn open(api: Api, retry: Retries) -> Result<Self> {
        let (first, next) = retry.run(|_| page(&api, None)).await?;
        Ok(Self {
            api,
            retry,
            first: Some(first),
            next,
        })
    }
}

#[async_trait]
impl ObjectLister for S3Lister {
    async fn next_batch(&mut self) -> Result<Option<Vec<ObjectMetadata>>> {
        if let Some(first) = self.first.take()
            && !first.is_empty()
        {
            return Ok(Some(first));
        }
        while let Next::Page(token) = self.next.clone() {
            let (objects, next) = self
                .retry
                .run(|_| page(&self.api, Some(&token)))
                .await
                .map_err(|error| error.with_uri(self.api.location.uri()))?;
            self.next = next;
            if !objects.is_empty() {
                return Ok(Some(objects));
            }
        }
        Ok(None)
    }
}

async fn page(api: &Api, token: Option<&str>) -> Result<(Vec<ObjectMetadata>, Next)> {
    let request = api
        .client
        .list_objects_v2()
        .bucket(&api.location.bucket)
        .prefix(&api.location.key)
        .encoding_type(EncodingType::Url)
        .set_continuation_token(token.map(str::to_owned));
    let output = api
        .answered(request.send())
        .await?
        .map_err(|error| from_sdk("ListObjectsV2", error))?;
    let objects = output
        .contents()
        .iter()
        .filter_map(|object| entry(api, object, output.encoding_type()));
    let objects = objects.collect::<Result<_>>()?;
    let next = match output.next_continuation_token() {
        Some(token) if output.is_truncated() == Some(true) => Next::Page(token.to_owned()),
        _ => Next::End,
    };
    Ok((objects, next))
}

fn entry(
    api: &Api,
    object: &Object,
    names: Option<&EncodingType>,
) -> Option<Result<ObjectMetadata>> {
    let uri = match listed_key(object.key()?, names) {
        Ok(key) => api.location.uri_of(&key),
        Err(error) => return Some(Err(error)),
    };
    let size = match unsigned(object.size().unwrap_or_default()) {
        Ok(size) => size,
        Err(error) => return Some(Err(error)),
    };
    let mut metadata = ObjectMetadata::new(uri, size);
    metadata.e_tag = object.e_tag().map(unquoted);
    metadata.last_modified = object.last_modified().and_then(|at| (*at).try_into().ok());
    metadata.storage_class = object
        .storage_class()
        .map(|class| class.as_str().to_owned());
    Some(Ok(metadata))
}
