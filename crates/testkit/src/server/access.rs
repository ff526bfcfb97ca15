//! Who may do what: credentials that may be renewed, one region, and denied operations.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use http::header;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::shared::{Shared, lock};

/// The pairs of keys, the last of which is in force.
#[derive(Debug)]
pub(super) struct Keys(Mutex<Vec<(String, String)>>);

impl Keys {
    pub(super) fn new(access_key: &str, secret_key: &str) -> Self {
        Self(Mutex::new(vec![(
            access_key.to_owned(),
            secret_key.to_owned(),
        )]))
    }

    /// Puts another pair in force; those before have expired.
    pub(super) fn renew(&self, access_key: &str, secret_key: &str) {
        lock(&self.0).push((access_key.to_owned(), secret_key.to_owned()));
    }

    fn secret_of(&self, access_key: &str) -> S3Result<SecretKey> {
        let pairs = lock(&self.0);
        match pairs.iter().rev().position(|(key, _)| key == access_key) {
            Some(0) => Ok(pairs[pairs.len() - 1].1.as_str().into()),
            Some(_) => Err(S3Error::with_message(
                S3ErrorCode::ExpiredToken,
                "The provided token has expired.",
            )),
            None => Err(S3Error::with_message(
                S3ErrorCode::InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records.",
            )),
        }
    }
}

/// Who signs.
pub(super) struct Auth(Arc<Shared>);

impl Auth {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

#[async_trait]
impl S3Auth for Auth {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        self.0.keys.secret_of(access_key)
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
