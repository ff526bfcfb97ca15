//! What the store keeps, and how a test sees it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use s3s::crypto::{Checksum as _, Md5};

use super::builder::{ETags, Options};
use super::checksum::{Algorithm, ChecksumKind, ObjectChecksum};
use super::receive::{hex, random_etag};

/// The headers that are kept with an object and given back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attributes {
    /// `Content-Type`; `binary/octet-stream` if the client named none, as AWS does.
    pub content_type: String,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Encoding`, without `aws-chunked`.
    pub content_encoding: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `x-amz-storage-class`.
    pub storage_class: Option<String>,
    /// `x-amz-server-side-encryption`.
    pub encryption: Option<String>,
    /// `x-amz-server-side-encryption-aws-kms-key-id`.
    pub encryption_key: Option<String>,
    /// `x-amz-server-side-encryption-context`, in Base64 as it came.
    pub encryption_context: Option<String>,
    /// `x-amz-server-side-encryption-bucket-key-enabled`.
    pub bucket_key: Option<bool>,
    /// `x-amz-acl`.
    pub acl: Option<String>,
    /// The tags of `x-amz-tagging`.
    pub tags: BTreeMap<String, String>,
    /// The `x-amz-meta-*` headers, without that prefix.
    pub metadata: BTreeMap<String, String>,
}

/// An object, seen from behind the protocol.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoredObject {
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag, without quotes.
    pub etag: String,
    /// Its checksum; `None` only when hashing is off and the client sent none.
    pub checksum: Option<ObjectChecksum>,
    /// The headers kept with it.
    pub attributes: Attributes,
    /// When it became visible.
    pub modified: SystemTime,
    /// The sizes of the parts it was uploaded in; empty after `PutObject`.
    pub part_sizes: Vec<u64>,
    pub(super) data: Option<Vec<Bytes>>,
}

impl StoredObject {
    /// What a `PutObject` of `data` without any header makes.
    pub(super) fn of(data: Bytes, options: &Options) -> Self {
        let algorithm = Algorithm::Crc64Nvme;
        Self {
            size: data.len() as u64,
            etag: match options.etags {
                ETags::Md5 => hex(&Md5::checksum(&data)),
                ETags::Random => random_etag(),
            },
            checksum: Some(ObjectChecksum {
                algorithm,
                kind: ChecksumKind::FullObject,
                value: algorithm.of(&data),
            }),
            attributes: Attributes {
                content_type: "binary/octet-stream".to_owned(),
                ..Attributes::default()
            },
            modified: SystemTime::now(),
            part_sizes: Vec::new(),
            data: (!options.discard).then(|| vec![data]),
        }
    }

    /// Its bytes in one piece.
    ///
    /// # Panics
    /// If the server discards bodies.
    pub fn bytes(&self) -> Bytes {
        match self.data.as_deref() {
            Some([]) => Bytes::new(),
            Some([one]) => one.clone(),
            Some(several) => several.concat().into(),
            None => panic!("this server discards the bodies of objects"),
        }
    }

    /// Its CRC64NVME in base64: the stored value, else computed from the bytes.
    pub fn crc64nvme(&self) -> Option<String> {
        match &self.checksum {
            Some(sum) if sum.algorithm == Algorithm::Crc64Nvme => Some(sum.value.clone()),
            _ => {
                let mut digest = Algorithm::Crc64Nvme.digest();
                self.data
                    .as_ref()?
                    .iter()
                    .for_each(|piece| digest.update(piece));
                Some(digest.finish())
            }
        }
    }
}

/// A multipart upload that is neither completed nor aborted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PendingUpload {
    /// The bucket it is for.
    pub bucket: String,
    /// The key it is for.
    pub key: String,
    /// Its id.
    pub upload_id: String,
    /// When it was created.
    pub initiated: SystemTime,
    /// The algorithm that CreateMultipartUpload declared, if any.
    pub declared: Option<Algorithm>,
    /// How the parts' checksums will be put together.
    pub checksum_kind: ChecksumKind,
    /// The parts received so far, in ascending order.
    pub parts: Vec<PendingPart>,
}

/// A part of a [`PendingUpload`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PendingPart {
    /// From 1 to 10,000.
    pub number: i32,
    /// In bytes.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// In base64.
    pub checksum: Option<String>,
}

/// A multipart upload, as the store keeps it.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) initiated: SystemTime,
    pub(super) declared: Option<Algorithm>,
    pub(super) algorithm: Algorithm,
    pub(super) kind: ChecksumKind,
    pub(super) attributes: Attributes,
    pub(super) parts: BTreeMap<i32, Part>,
}

/// A part, as the store keeps it.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) data: Option<Bytes>,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) checksum: Option<String>,
    pub(super) modified: SystemTime,
}
