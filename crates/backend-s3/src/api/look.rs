//! The requests that look at what is there, and change nothing.

use std::time::SystemTime;

use aws_sdk_s3::operation::list_parts::builders::ListPartsFluentBuilder;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, EncodingType, MultipartUpload, Part};
use percent_encoding::percent_decode_str;
use writer_core::{ErrorKind, ObjectMetadata, Result};

use super::attributes::tell;
use super::{Api, StoredPart, decode, owned, unexpected, unquoted, unsigned};
use crate::error::{code_of, from_sdk};
use crate::retry::Retries;

/// The parts of an upload that is not completed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) parts: Vec<ListedPart>,
    /// What its checksums are made with, where the service says it.
    pub(crate) algorithm: Option<ChecksumAlgorithm>,
}

/// A part as the service lists it.
#[derive(Clone, Debug)]
pub(crate) struct ListedPart {
    pub(crate) stored: StoredPart,
    pub(crate) modified: Option<SystemTime>,
}

/// An upload that was begun and not ended.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) key: String,
    pub(crate) upload_id: String,
    pub(crate) initiated: Option<SystemTime>,
}

/// Where a listing of uploads goes on: a key, and an upload of it.
type Marker = (String, Option<String>);

impl Api {
    /// The parts that the service has.
    pub(crate) async fn list_parts(&self, upload_id: &str) -> Result<Parts> {
        let mut found = Parts::default();
        let mut pages = self.parts_of(upload_id).into_paginator().send();
        while let Some(page) = self.answered(pages.next()).await? {
            let page = page.map_err(|error| from_sdk("ListParts", error))?;
            found.algorithm = page.checksum_algorithm().cloned().or(found.algorithm);
            for part in page.parts() {
                found.parts.push(listed(part)?);
            }
        }
        Ok(found)
    }

    /// True if nothing of the upload is left, as far as the credentials let one see.
    pub(crate) async fn is_gone(&self, upload_id: &str) -> Result<bool> {
        let request = self.parts_of(upload_id).max_parts(1);
        match self.answered(request.send()).await? {
            // Some services list no part of an upload that they no longer have.
            Ok(output) => Ok(output.parts().is_empty()),
            Err(error) if code_of(&error) == Some("NoSuchUpload") => Ok(true),
            Err(error) => match from_sdk("ListParts", error) {
                error if error.kind() == ErrorKind::NotFound => Ok(true),
                // Credentials that may only write can't look; the abort was confirmed.
                error if error.kind() == ErrorKind::AccessDenied => Ok(true),
                error => Err(error),
            },
        }
    }

    fn parts_of(&self, upload_id: &str) -> ListPartsFluentBuilder {
        self.client
            .list_parts()
            .bucket(&self.location.bucket)
            .key(&self.location.key)
            .upload_id(upload_id)
    }

    /// The uploads of keys that begin with this one.
    pub(crate) async fn list_uploads(&self, retries: &Retries) -> Result<Vec<Pending>> {
        let (mut found, mut from) = (Vec::new(), None);
        loop {
            let page = retries.run(|_| self.page_of_uploads(from.clone()));
            let (uploads, next) = page.await?;
            found.extend(uploads);
            match next {
                Some(next) if from.as_ref() == Some(&next) => {
                    return Err(unexpected("a listing that does not go on"));
                }
                Some(next) => from = Some(next),
                None => return Ok(found),
            }
        }
    }

    async fn page_of_uploads(
        &self,
        from: Option<Marker>,
    ) -> Result<(Vec<Pending>, Option<Marker>)> {
        let (key, id) = from.unzip();
        let request = self
            .client
            .list_multipart_uploads()
            .bucket(&self.location.bucket)
            .prefix(&self.location.key)
            .encoding_type(EncodingType::Url)
            .set_key_marker(key)
            .set_upload_id_marker(id.flatten());
        let page = self
            .answered(request.send())
            .await?
            .map_err(|error| from_sdk("ListMultipartUploads", error))?;
        let names = page.encoding_type();
        let next = match page.next_key_marker() {
            _ if page.is_truncated() != Some(true) => None,
            Some(key) => {
                let id = page.next_upload_id_marker().map(str::to_owned);
                Some((listed_key(key, names)?, id))
            }
            None => return Err(unexpected("a listing that goes on, and not where")),
        };
        let uploads = page.uploads().iter();
        let uploads = uploads.filter_map(|upload| pending(upload, names));
        Ok((uploads.collect::<Result<_>>()?, next))
    }

    pub(crate) async fn head(&self) -> Result<ObjectMetadata> {
        let request = self
            .client
            .head_object()
            .bucket(&self.location.bucket)
            .key(&self.location.key)
            .checksum_mode(ChecksumMode::Enabled);
        let output = self
            .answered(request.send())
            .await?
            .map_err(|error| from_sdk("HeadObject", error))?;
        let size = unsigned(output.content_length().unwrap_or_default())?;
        let mut metadata = ObjectMetadata::new(self.location.uri(), size);
        metadata.e_tag = output.e_tag().map(unquoted);
        metadata.version_id = output.version_id().map(str::to_owned);
        metadata.checksum = decode(output.checksum_crc64_nvme())?;
        metadata.last_modified = output.last_modified().and_then(|at| (*at).try_into().ok());
        tell!(metadata, output);
        metadata.metadata = output.metadata().into_iter().flatten().map(owned).collect();
        Ok(metadata)
    }
}

/// A Content-Encoding, if it is one, and without `aws-chunked`: that is about the request which
/// stored the object, and some services keep it.
pub(crate) fn encoding(header: Option<&str>) -> Option<String> {
    let codings = header?.split(',').map(str::trim);
    let codings: Vec<&str> = codings
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    (!codings.is_empty()).then(|| codings.join(", "))
}

fn listed(part: &Part) -> Result<ListedPart> {
    Ok(ListedPart {
        stored: StoredPart {
            number: u32::try_from(part.part_number().unwrap_or_default())
                .map_err(|_| unexpected("a part number below 0"))?,
            len: unsigned(part.size().unwrap_or_default())?,
            e_tag: part.e_tag().unwrap_or_default().to_owned(),
            crc: decode(part.checksum_crc64_nvme())?,
            is_known: true,
            is_reused: false,
        },
        modified: part.last_modified().and_then(|at| (*at).try_into().ok()),
    })
}

fn pending(upload: &MultipartUpload, names: Option<&EncodingType>) -> Option<Result<Pending>> {
    let (key, upload_id) = (upload.key()?, upload.upload_id()?);
    Some(listed_key(key, names).map(|key| Pending {
        key,
        upload_id: upload_id.to_owned(),
        initiated: upload.initiated().and_then(|at| (*at).try_into().ok()),
    }))
}

/// The key that an answer names. Listings are asked for in the encoding of URLs, because XML can't
/// hold every character that a key may have; some services don't know of it.
pub(crate) fn listed_key(name: &str, encoding: Option<&EncodingType>) -> Result<String> {
    if encoding != Some(&EncodingType::Url) {
        return Ok(name.to_owned());
    }
    // A space may be `+`, as in forms; a plus never is.
    let name = name.replace('+', " ");
    let key = percent_decode_str(&name).decode_utf8();
    key.map(Into::into)
        .map_err(|_| unexpected("a key that is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_request_was_sent_is_no_encoding_of_the_object() {
        assert_eq!(encoding(Some("gzip,aws-chunked")).as_deref(), Some("gzip"));
        assert_eq!(encoding(Some("gzip, zstd")).as_deref(), Some("gzip, zstd"));
        for none in [None, Some(""), Some("aws-chunked")] {
            assert_eq!(encoding(none), None);
        }
    }
}
