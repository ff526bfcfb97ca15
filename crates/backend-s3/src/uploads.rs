//! Uploads that were begun and not ended: found, looked at, removed.

use std::time::SystemTime;

use writer_core::{Crc64Nvme, Result};

use crate::api::{ListedPart, Pending};
use crate::location::Location;
use crate::store::S3ObjectStore;

/// A multipart upload that was begun and neither completed nor aborted. Its parts are charged for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingUpload {
    /// The URI of the object that it would become.
    pub uri: String,
    /// The service's id of it.
    pub upload_id: String,
    /// When it was begun, by the service's clock.
    pub initiated: Option<SystemTime>,
}

/// A part of a [`PendingUpload`] that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingPart {
    /// The part's number, from 1.
    pub number: u32,
    /// Its size in bytes.
    pub size: u64,
    /// Its checksum, where the service says it.
    pub checksum: Option<Crc64Nvme>,
    /// When it was stored, by the service's clock.
    pub last_modified: Option<SystemTime>,
}

impl From<ListedPart> for PendingPart {
    fn from(part: ListedPart) -> Self {
        Self {
            number: part.stored.number,
            size: part.stored.len,
            checksum: part.stored.crc,
            last_modified: part.modified,
        }
    }
}

impl S3ObjectStore {
    /// The uploads below `prefix` (`s3://bucket/key…`, taken literally) that were begun and not
    /// ended, of whoever began them, in order of their keys. Those that are still running are
    /// among them.
    ///
    /// Needs `s3:ListBucketMultipartUploads`.
    ///
    /// # Errors
    ///
    /// [`NotFound`](writer_core::ErrorKind::NotFound) if the bucket does not exist,
    /// [`Unsupported`](writer_core::ErrorKind::Unsupported) from a service that can't list them.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub async fn uploads(&self, prefix: &str) -> Result<Vec<PendingUpload>> {
        let location = Location::prefix(prefix)?;
        let found = self.pending(&location).await;
        let found = found.map_err(|error| error.with_uri(prefix))?;
        let public = |upload: Pending| PendingUpload {
            uri: location.uri_of(&upload.key),
            upload_id: upload.upload_id,
            initiated: upload.initiated,
        };
        Ok(found.into_iter().map(public).collect())
    }

    /// The parts of `upload` that are stored, in order of their numbers.
    ///
    /// Needs `s3:ListMultipartUploadParts`.
    ///
    /// # Errors
    ///
    /// [`NotFound`](writer_core::ErrorKind::NotFound) if the upload has ended.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub async fn upload_parts(&self, upload: &PendingUpload) -> Result<Vec<PendingPart>> {
        let api = self.api(Location::object(&upload.uri)?);
        let found = self
            .retries()
            .run(|_| api.list_parts(&upload.upload_id))
            .await
            .map_err(|error| error.with_uri(&upload.uri))?;
        Ok(found.parts.into_iter().map(PendingPart::from).collect())
    }

    /// Removes `upload` with all its parts, and looks that nothing is left. That it has ended
    /// already is no error. A writer that is still at it fails.
    ///
    /// # Errors
    ///
    /// If it is there and can't be removed.
    ///
    /// # Cancellation
    ///
    /// The upload may be removed or not.
    pub async fn abort_upload(&self, upload: &PendingUpload) -> Result<()> {
        let api = self.api(Location::object(&upload.uri)?);
        api.abort_whole(self.retries(), &upload.upload_id).await
    }

    pub(crate) async fn pending(&self, location: &Location) -> Result<Vec<Pending>> {
        let api = self.api(location.clone());
        api.list_uploads(self.retries()).await
    }
}
