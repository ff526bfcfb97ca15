//! Headers that go with every request of a store.

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

use crate::config::S3Config;

/// Says whose bucket it must be, and who pays.
#[derive(Debug)]
pub(crate) struct BucketHeaders {
    expected_owner: Option<String>,
    requester_pays: bool,
}

impl BucketHeaders {
    pub(crate) fn new(config: &S3Config) -> Self {
        Self {
            expected_owner: config.expected_bucket_owner.clone(),
            requester_pays: config.requester_pays,
        }
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for BucketHeaders {
    fn name(&self) -> &'static str {
        "BucketHeaders"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        if let Some(owner) = &self.expected_owner {
            headers.try_insert("x-amz-expected-bucket-owner", owner.clone())?;
        }
        if self.requester_pays {
            headers.try_insert("x-amz-request-payer", "requester")?;
        }
        Ok(())
    }
}
