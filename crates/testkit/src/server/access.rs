//! Who may do what: fixed credentials, one region, and denied operations.

use std::sync::Arc;

use async_trait::async_trait;
use http::header;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::shared::Shared;

/// The one pair of keys.
pub(super) struct Keys(Arc<Shared>);

impl Keys {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

#[async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key != self.0.options.access_key {
            return Err(S3Error::with_message(
                S3ErrorCode::InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records.",
            ));
        }
        Ok(self.0.options.secret_key.as_str().into())
    }
}

/// Which of the signed requests are allowed.
pub(super) struct Access(Arc<Shared>);

impl Access {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

#[async_trait]
impl S3Access for Access {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        if cx.credentials().is_none() || self.0.denies(cx.s3_op().name()) {
            return Err(S3Error::with_message(
                S3ErrorCode::AccessDenied,
                "Access Denied",
            ));
        }
        let expected = &self.0.options.region;
        match signed_region(cx) {
            Some(region) if region != expected => Err(S3Error::with_message(
                S3ErrorCode::AuthorizationHeaderMalformed,
                format!(
                    "The authorization header is malformed; the region '{region}' is wrong; \
                     expecting '{expected}'"
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// The region in `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/s3/aws4_request, …`.
fn signed_region<'a>(cx: &'a S3AccessContext<'_>) -> Option<&'a str> {
    let authorization = cx.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = authorization.split_once("Credential=")?;
    let scope = credential.split(',').next()?;
    scope.rsplit('/').nth(2)
}
