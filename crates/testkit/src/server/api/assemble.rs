//! Parts become an object: every rule of CompleteMultipartUpload, without I/O.

use std::time::SystemTime;

use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{ChecksumType, CompletedPart};
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::server::builder::{ETags, Options};
use crate::server::checksum::{
    Algorithm, ChecksumKind, ObjectChecksum, claimed, combine, invalid_request,
};
use crate::server::object::{Part, StoredObject, Upload};
use crate::server::receive::{hex, random_etag};

/// What the client says the object is.
#[derive(Debug)]
pub(in crate::server) struct Completion {
    pub(super) parts: Vec<CompletedPart>,
    pub(super) size: Option<i64>,
    pub(super) checksum: Option<(Algorithm, String)>,
    pub(super) kind: Option<ChecksumType>,
}

/// The object that these parts of `upload` make, if all that the client says
/// about them is true.
pub(in crate::server) fn assemble(
    upload: &Upload,
    completion: &Completion,
    options: &Options,
) -> S3Result<StoredObject> {
    let parts = chosen(upload, &completion.parts)?;
    let (_, all_but_last) = parts.split_last().ok_or(S3ErrorCode::MalformedXML)?;
    if all_but_last
        .iter()
        .any(|part| part.size < options.min_part_size)
    {
        return Err(S3Error::with_message(
            S3ErrorCode::EntityTooSmall,
            "Your proposed upload is smaller than the minimum allowed size",
        ));
    }
    let size = parts.iter().map(|part| part.size).sum();
    if completion
        .size
        .is_some_and(|claimed| claimed as u64 != size)
    {
        return Err(invalid_request(
            "The provided 'x-amz-mp-object-size' header does not match what was computed.",
        ));
    }
    Ok(StoredObject {
        size,
        etag: etag_of(&parts, options),
        checksum: checksum_of(upload, completion, &parts)?,
        attributes: upload.attributes.clone(),
        modified: SystemTime::now(),
        part_sizes: parts.iter().map(|part| part.size).collect(),
        data: parts.iter().map(|part| part.data.clone()).collect(),
    })
}

/// The parts that the client lists, which must ascend, exist, and be those that
/// it sent.
fn chosen<'a>(upload: &'a Upload, listed: &[CompletedPart]) -> S3Result<Vec<&'a Part>> {
    let mut parts = Vec::with_capacity(listed.len());
    let mut before = 0;
    for entry in listed {
        let number = entry.part_number.ok_or(S3ErrorCode::MalformedXML)?;
        if number <= before {
            return Err(S3Error::with_message(
                S3ErrorCode::InvalidPartOrder,
                "The list of parts was not in ascending order. Parts must be ordered by part number.",
            ));
        }
        before = number;
        let etag = entry.e_tag.as_ref().ok_or(S3ErrorCode::MalformedXML)?;
        let part = upload.parts.get(&number).ok_or_else(invalid_part)?;
        let claim = claimed!(entry)?;
        match (&claim, upload.kind) {
            (None, ChecksumKind::Composite) => {
                return Err(checksum_missing(upload.algorithm, number));
            }
            (None, ChecksumKind::FullObject) => {}
            (Some((algorithm, value)), _) => {
                let is_same = *algorithm == upload.algorithm
                    && part.checksum.as_ref().is_none_or(|actual| actual == value);
                if !is_same {
                    return Err(invalid_part());
                }
            }
        }
        if etag.as_strong() != Some(&part.etag) {
            return Err(invalid_part());
        }
        parts.push(part);
    }
    Ok(parts)
}

fn etag_of(parts: &[&Part], options: &Options) -> String {
    let count = parts.len();
    let md5s: Option<Vec<u8>> = parts
        .iter()
        .map(|part| from_hex(&part.etag))
        .collect::<Option<Vec<_>>>()
        .map(|md5s| md5s.concat());
    match (options.etags, md5s) {
        (ETags::Md5, Some(md5s)) if options.hashing => {
            format!("{}-{count}", hex(&Md5::checksum(&md5s)))
        }
        _ => format!("{}-{count}", random_etag()),
    }
}

fn checksum_of(
    upload: &Upload,
    completion: &Completion,
    parts: &[&Part],
) -> S3Result<Option<ObjectChecksum>> {
    if let Some(kind) = &completion.kind
        && kind.as_str() != upload.kind.name()
    {
        return Err(invalid_request(format!(
            "The upload was created using the {} checksum mode. The complete request must use the \
             same checksum mode.",
            upload.kind.name()
        )));
    }
    let values = parts
        .iter()
        .map(|part| (part.checksum.as_deref(), part.size));
    let combined = combine(upload.algorithm, upload.kind, values);
    if let Some((algorithm, claimed)) = &completion.checksum {
        if *algorithm != upload.algorithm {
            return Err(invalid_request(format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                upload.algorithm.name().to_lowercase(),
                algorithm.name().to_lowercase()
            )));
        }
        // A composite value may come with the number of parts or without.
        let is_same = |sum: &ObjectChecksum| {
            sum.value == *claimed || sum.value == format!("{claimed}-{}", parts.len())
        };
        if combined.as_ref().is_some_and(|sum| !is_same(sum)) {
            return Err(S3Error::with_message(
                S3ErrorCode::BadDigest,
                format!(
                    "The {} you specified did not match the calculated checksum.",
                    algorithm.name()
                ),
            ));
        }
    }
    Ok(combined)
}

fn invalid_part() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::InvalidPart,
        "One or more of the specified parts could not be found. The part may not have been \
         uploaded, or the specified entity tag may not match the part's entity tag.",
    )
}

fn checksum_missing(algorithm: Algorithm, number: i32) -> S3Error {
    invalid_request(format!(
        "The upload was created using a {} checksum. The complete request must include the checksum \
         for each part. It was missing for part {number} in the request.",
        algorithm.name().to_lowercase()
    ))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}
