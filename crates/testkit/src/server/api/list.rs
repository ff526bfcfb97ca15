//! The listings, page by page: objects, parts, uploads.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as TOKEN;
use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Result};

use super::{invalid_argument, quoted, timestamp};
use crate::server::checksum::set_checksum;
use crate::server::shared::Shared;
use crate::server::store::UploadRef;
use crate::server::{PendingUpload, StoredObject};

const MAX_PAGE: i32 = 1000;

pub(super) fn objects_v2(
    shared: &Shared,
    req: S3Request<ListObjectsV2Input>,
) -> S3Result<ListObjectsV2Output> {
    let input = req.input;
    let max_keys = page_size(input.max_keys)?;
    let after = match &input.continuation_token {
        Some(token) => Some(decode_token(token)?),
        None => input.start_after.clone(),
    };
    let prefix = input.prefix.clone().unwrap_or_default();
    let all = shared.store.objects(&input.bucket, &prefix)?;
    let page = Page::of(
        &all,
        &prefix,
        input.delimiter.as_deref(),
        after.as_deref(),
        max_keys,
    );
    let name = Naming::of(input.encoding_type.as_ref());
    Ok(ListObjectsV2Output {
        key_count: Some(page.count()),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.as_ref().map(|next| TOKEN.encode(next)),
        contents: Some(page.contents(&name)),
        common_prefixes: Some(page.common_prefixes(&name)),
        name: Some(input.bucket),
        prefix: Some(name.write(&prefix)),
        max_keys: Some(max_keys),
        continuation_token: input.continuation_token,
        delimiter: input.delimiter.map(|delimiter| name.write(&delimiter)),
        start_after: input.start_after.map(|after| name.write(&after)),
        encoding_type: input.encoding_type,
        ..ListObjectsV2Output::default()
    })
}

pub(super) fn objects(
    shared: &Shared,
    req: S3Request<ListObjectsInput>,
) -> S3Result<ListObjectsOutput> {
    let input = req.input;
    let max_keys = page_size(input.max_keys)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let all = shared.store.objects(&input.bucket, &prefix)?;
    let delimiter = input.delimiter.as_deref();
    let page = Page::of(&all, &prefix, delimiter, input.marker.as_deref(), max_keys);
    let name = Naming::of(input.encoding_type.as_ref());
    Ok(ListObjectsOutput {
        is_truncated: Some(page.next.is_some()),
        // Without a delimiter the last key is the marker, and S3 sends none.
        next_marker: page
            .next
            .as_ref()
            .filter(|_| delimiter.is_some())
            .map(|next| name.write(next)),
        contents: Some(page.contents(&name)),
        common_prefixes: Some(page.common_prefixes(&name)),
        name: Some(input.bucket),
        prefix: Some(name.write(&prefix)),
        marker: Some(
            input
                .marker
                .map(|marker| name.write(&marker))
                .unwrap_or_default(),
        ),
        max_keys: Some(max_keys),
        delimiter: input.delimiter.map(|delimiter| name.write(&delimiter)),
        encoding_type: input.encoding_type,
        ..ListObjectsOutput::default()
    })
}

pub(super) fn parts(shared: &Shared, req: S3Request<ListPartsInput>) -> S3Result<ListPartsOutput> {
    let input = req.input;
    let max_parts = page_size(input.max_parts)?;
    let after = input.part_number_marker.unwrap_or(0);
    let upload = UploadRef {
        bucket: &input.bucket,
        key: &input.key,
        id: &input.upload_id,
    };
    let mut output = shared.store.with_upload(upload, |upload| {
        let mut rest = upload.parts.range(after.saturating_add(1)..);
        let listed: Vec<Part> = rest
            .by_ref()
            .take(max_parts as usize)
            .map(|(number, part)| {
                let mut listed = Part {
                    e_tag: Some(quoted(&part.etag)),
                    last_modified: Some(timestamp(part.modified)),
                    part_number: Some(*number),
                    size: Some(part.size as i64),
                    ..Part::default()
                };
                if let Some(value) = &part.checksum {
                    set_checksum!(listed, upload.algorithm, value.clone());
                }
                listed
            })
            .collect();
        ListPartsOutput {
            checksum_algorithm: Some(ChecksumAlgorithm::from_static(upload.algorithm.name())),
            checksum_type: Some(ChecksumType::from_static(upload.kind.name())),
            is_truncated: Some(rest.next().is_some()),
            next_part_number_marker: listed.last().and_then(|part| part.part_number),
            parts: Some(listed),
            ..ListPartsOutput::default()
        }
    })?;
    output.bucket = Some(input.bucket);
    output.key = Some(input.key);
    output.upload_id = Some(input.upload_id);
    output.max_parts = Some(max_parts);
    output.part_number_marker = Some(after);
    Ok(output)
}

pub(super) fn uploads(
    shared: &Shared,
    req: S3Request<ListMultipartUploadsInput>,
) -> S3Result<ListMultipartUploadsOutput> {
    let input = req.input;
    if input.delimiter.is_some() {
        return Err(S3ErrorCode::NotImplemented.into());
    }
    let max_uploads = page_size(input.max_uploads)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let is_after = |upload: &PendingUpload| match (&input.key_marker, &input.upload_id_marker) {
        (None, _) => true,
        (Some(key), None) => upload.key > *key,
        (Some(key), Some(id)) => (&upload.key, &upload.upload_id) > (key, id),
    };
    let all = shared.store.uploads(&input.bucket)?;
    let mut rest = all
        .into_iter()
        .filter(|upload| upload.key.starts_with(&prefix))
        .filter(is_after);
    let listed: Vec<PendingUpload> = rest.by_ref().take(max_uploads as usize).collect();
    let last = listed.last().filter(|_| rest.next().is_some());
    let name = Naming::of(input.encoding_type.as_ref());
    Ok(ListMultipartUploadsOutput {
        is_truncated: Some(last.is_some()),
        next_key_marker: last.map(|upload| name.write(&upload.key)),
        next_upload_id_marker: last.map(|upload| upload.upload_id.clone()),
        uploads: Some(
            listed
                .iter()
                .map(|upload| listed_upload(upload, &name))
                .collect(),
        ),
        bucket: Some(input.bucket),
        prefix: Some(name.write(&prefix)),
        key_marker: Some(
            input
                .key_marker
                .map(|marker| name.write(&marker))
                .unwrap_or_default(),
        ),
        upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
        max_uploads: Some(max_uploads),
        encoding_type: input.encoding_type,
        ..ListMultipartUploadsOutput::default()
    })
}

fn listed_upload(upload: &PendingUpload, name: &Naming) -> MultipartUpload {
    MultipartUpload {
        checksum_algorithm: upload
            .declared
            .map(|a| ChecksumAlgorithm::from_static(a.name())),
        checksum_type: upload
            .declared
            .map(|_| ChecksumType::from_static(upload.checksum_kind.name())),
        initiated: Some(timestamp(upload.initiated)),
        key: Some(name.write(&upload.key)),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        upload_id: Some(upload.upload_id.clone()),
        ..MultipartUpload::default()
    }
}

/// One page of a listing of objects.
struct Page<'a> {
    entries: Vec<Entry<'a>>,
    /// The name of the last entry, if more follow.
    next: Option<String>,
}

enum Entry<'a> {
    Object(&'a str, &'a StoredObject),
    /// The keys up to and including a delimiter, rolled up.
    CommonPrefix(&'a str),
}

impl<'a> Page<'a> {
    /// The entries after `after` of `all`, which start with `prefix` and ascend.
    fn of<T: AsRef<StoredObject>>(
        all: &'a [(String, T)],
        prefix: &str,
        delimiter: Option<&str>,
        after: Option<&str>,
        max: i32,
    ) -> Self {
        let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty());
        let mut page = Page {
            entries: Vec::new(),
            next: None,
        };
        for (key, object) in all {
            let rolled_up = delimiter.and_then(|delimiter| {
                let at = key[prefix.len()..].find(delimiter)?;
                Some(&key[..prefix.len() + at + delimiter.len()])
            });
            let name = rolled_up.unwrap_or(key);
            let seen = page.entries.last().is_some_and(|last| last.name() == name);
            if seen || after.is_some_and(|after| name <= after) {
                continue;
            }
            if page.entries.len() == max as usize {
                page.next = page.entries.last().map(|last| last.name().to_owned());
                break;
            }
            page.entries.push(match rolled_up {
                Some(prefix) => Entry::CommonPrefix(prefix),
                None => Entry::Object(key, object.as_ref()),
            });
        }
        page
    }

    fn count(&self) -> i32 {
        i32::try_from(self.entries.len()).unwrap_or(i32::MAX)
    }

    fn contents(&self, name: &Naming) -> Vec<Object> {
        self.entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Object(key, object) => Some(listed_object(name.write(key), object)),
                Entry::CommonPrefix(_) => None,
            })
            .collect()
    }

    fn common_prefixes(&self, name: &Naming) -> Vec<CommonPrefix> {
        self.entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Object(..) => None,
                Entry::CommonPrefix(prefix) => Some(CommonPrefix {
                    prefix: Some(name.write(prefix)),
                }),
            })
            .collect()
    }
}

impl<'a> Entry<'a> {
    fn name(&self) -> &'a str {
        match self {
            Entry::Object(key, _) => key,
            Entry::CommonPrefix(prefix) => prefix,
        }
    }
}

fn listed_object(key: String, object: &StoredObject) -> Object {
    let class = object.attributes.storage_class.clone();
    Object {
        checksum_algorithm: object
            .checksum
            .as_ref()
            .map(|sum| vec![ChecksumAlgorithm::from_static(sum.algorithm.name())]),
        checksum_type: object
            .checksum
            .as_ref()
            .map(|sum| ChecksumType::from_static(sum.kind.name())),
        e_tag: Some(quoted(&object.etag)),
        key: Some(key),
        last_modified: Some(timestamp(object.modified)),
        size: Some(object.size as i64),
        storage_class: Some(ObjectStorageClass::from(
            class.unwrap_or_else(|| "STANDARD".to_owned()),
        )),
        ..Object::default()
    }
}

/// How keys are written: as they are, or with `encoding-type=url`, for keys
/// that XML cannot carry.
struct Naming {
    url: bool,
}

impl Naming {
    fn of(encoding: Option<&EncodingType>) -> Self {
        Self {
            url: encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL),
        }
    }

    fn write(&self, name: &str) -> String {
        if !self.url {
            return name.to_owned();
        }
        let mut encoded = String::with_capacity(name.len());
        for byte in name.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                    encoded.push(char::from(byte));
                }
                _ => encoded.push_str(&format!("%{byte:02X}")),
            }
        }
        encoded
    }
}

fn page_size(asked: Option<i32>) -> S3Result<i32> {
    match asked {
        None => Ok(MAX_PAGE),
        Some(size) if size < 0 => Err(invalid_argument("The maximum must not be negative")),
        Some(size) => Ok(size.min(MAX_PAGE)),
    }
}

fn decode_token(token: &str) -> S3Result<String> {
    let decoded = TOKEN
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.ok_or_else(|| invalid_argument("The continuation token provided is incorrect"))
}
