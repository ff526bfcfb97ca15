//! How the service encrypts objects, and who may read them.

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_s3::types::ServerSideEncryption;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use writer_core::{Error, ErrorKind, Result};

use crate::store::S3ObjectStore;

/// How the service encrypts what it stores (SSE). Keys that the client keeps (SSE-C) are not among
/// it.
///
/// The service must say that it does: a write whose upload is created without that is refused, and
/// a small object that was stored without is an error of kind
/// [`Ambiguous`](ErrorKind::Ambiguous).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encryption {
    /// With keys that S3 manages (`AES256`).
    Aes256,
    /// With a key of the key service (`aws:kms`). Needs `kms:GenerateDataKey`, and `kms:Decrypt`
    /// for objects of several parts.
    Kms(KmsKey),
    /// Twice, with a key of the key service (`aws:kms:dsse`).
    KmsDsse(KmsKey),
}

/// A key of the key service, and how it is used.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KmsKey {
    /// The key, by its id, its ARN or an alias. Default: the account's key for S3.
    pub id: Option<String>,
    /// What must be said again to decrypt; it stands in the key service's log, in clear.
    pub context: BTreeMap<String, String>,
    /// Use one key of the bucket for many objects, which takes fewer calls of the key service.
    /// Default: as the bucket says.
    pub bucket_key: Option<bool>,
}

impl KmsKey {
    /// Sets [`id`](Self::id).
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Adds one entry of [`context`](Self::context).
    #[must_use]
    pub fn with_context(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.context.insert(key.into(), value.into());
        self
    }

    /// Sets [`bucket_key`](Self::bucket_key).
    #[must_use]
    pub fn with_bucket_key(mut self, use_it: bool) -> Self {
        self.bucket_key = Some(use_it);
        self
    }
}

impl fmt::Debug for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsKey")
            .field("id", &self.id)
            .field("context", &self.context.keys())
            .field("bucket_key", &self.bucket_key)
            .finish()
    }
}

impl S3ObjectStore {
    /// This store, but what its writers store is encrypted so.
    #[must_use]
    pub fn with_encryption(&self, encryption: Encryption) -> Self {
        self.with_mode(|mode| mode.protection.encryption = Some(encryption))
    }

    /// This store, but its writers' objects have this canned ACL, by the service's name:
    /// `bucket-owner-full-control`. Buckets that have ACLs switched off, as new ones have on AWS,
    /// refuse others than that. Needs `s3:PutObjectAcl`.
    #[must_use]
    pub fn with_acl(&self, acl: impl Into<String>) -> Self {
        self.with_mode(|mode| mode.protection.acl = Some(acl.into()))
    }
}

/// What goes with the requests that make objects, besides what is said of each object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Protection {
    pub(crate) encryption: Option<Encryption>,
    pub(crate) acl: Option<String>,
}

impl Protection {
    pub(crate) fn is_none(&self) -> bool {
        self.encryption.is_none() && self.acl.is_none()
    }

    pub(crate) fn algorithm(&self) -> Option<ServerSideEncryption> {
        self.encryption.as_ref().map(|how| match how {
            Encryption::Aes256 => ServerSideEncryption::Aes256,
            Encryption::Kms(_) => ServerSideEncryption::AwsKms,
            Encryption::KmsDsse(_) => ServerSideEncryption::AwsKmsDsse,
        })
    }

    pub(crate) fn key_id(&self) -> Option<String> {
        self.key()?.id.clone()
    }

    /// The context as the header has it: Base64 of JSON.
    pub(crate) fn context(&self) -> Option<String> {
        let context = &self.key()?.context;
        (!context.is_empty()).then(|| BASE64.encode(json(context)))
    }

    pub(crate) fn bucket_key(&self) -> Option<bool> {
        self.key()?.bucket_key
    }

    fn key(&self) -> Option<&KmsKey> {
        match self.encryption.as_ref()? {
            Encryption::Aes256 => None,
            Encryption::Kms(key) | Encryption::KmsDsse(key) => Some(key),
        }
    }

    /// Compares what was asked for with what the service `said`, by its own names.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] if it is not the same.
    pub(crate) fn confirm(&self, said: Option<&str>) -> Result<()> {
        match self.algorithm() {
            Some(asked) if said != Some(asked.as_str()) => {
                let said = match said {
                    Some(said) => format!("it says {said}"),
                    None => "it does not say that it encrypts".to_owned(),
                };
                let text = format!("the service does not encrypt with {asked}: {said}");
                Err(Error::new(ErrorKind::Unsupported, text))
            }
            _ => Ok(()),
        }
    }
}

/// `map` as a JSON object.
fn json(map: &BTreeMap<String, String>) -> String {
    let pairs = map.iter();
    let pairs = pairs.map(|(key, value)| format!("{}:{}", quoted(key), quoted(value)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

/// RFC 8259, section 7: quotation marks, backslashes and control characters must be escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\0'..='\u{1f}' => quoted += &format!("\\u{:04x}", u32::from(character)),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_base64_of_json() {
        let key = KmsKey::default()
            .with_context("team", "a\"b\\c")
            .with_context("x", "ü\n");
        let protection = Protection {
            encryption: Some(Encryption::Kms(key)),
            acl: None,
        };
        let context = BASE64.decode(protection.context().unwrap()).unwrap();
        assert_eq!(
            String::from_utf8(context).unwrap(),
            r#"{"team":"a\"b\\c","x":"ü\u000a"}"#
        );
        assert_eq!(Protection::default().context(), None);
    }

    #[test]
    fn what_was_asked_for_must_be_confirmed() {
        let asked = |encryption| Protection {
            encryption: Some(encryption),
            acl: None,
        };
        let kms = asked(Encryption::Kms(KmsKey::default()));
        assert!(kms.confirm(Some("aws:kms")).is_ok());
        assert!(asked(Encryption::Aes256).confirm(Some("AES256")).is_ok());
        assert!(Protection::default().confirm(None).is_ok());
        assert!(Protection::default().confirm(Some("AES256")).is_ok());
        for said in [None, Some("AES256"), Some("aws:kms:dsse")] {
            let error = kms.confirm(said).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.message().contains("aws:kms"), "{error}");
        }
    }
}
