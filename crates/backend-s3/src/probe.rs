//! Finding out what a service does, by trying it.

use std::sync::OnceLock;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use writer_core::{Crc64Nvme, Error, ErrorKind, Result};

use crate::api::{Api, encode};
use crate::context::token;
use crate::error::from_sdk;
use crate::location::Location;
use crate::profile::ServiceProfile;
use crate::store::S3ObjectStore;

/// The smallest size of a part that all services take.
const PART: usize = 5 << 20;

/// A service that takes longer for some twenty requests is none to be judged by them.
const LIMIT: Duration = Duration::from_secs(300);

/// What a service was found to do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Probe {
    /// One for each thing that was tried, in order.
    pub findings: Vec<Finding>,
    /// What follows from them, to be given to [`S3Config::service`](crate::S3Config::service). Its
    /// name is that of a known profile, if one is the same.
    pub profile: ServiceProfile,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What it is.
    pub feature: &'static str,
    /// Whether the service does it; `None` if its answer does not tell.
    pub works: Option<bool>,
    /// What the service answered.
    pub detail: String,
}

impl S3ObjectStore {
    /// Tries on scratch objects below `prefix` (`s3://bucket/prefix`) what the service does about
    /// checksums, conditions, parts and listings, and removes them again. Sends some 40 MiB.
    ///
    /// Needs the permissions to write, read, list and delete there. What it is not allowed to do is
    /// not told.
    ///
    /// # Errors
    ///
    /// If not even a plain object can be written.
    ///
    /// # Cancellation
    ///
    /// Scratch objects whose names begin with `probe-`, or an upload of one, may stay.
    pub async fn probe(&self, prefix: &str) -> Result<Probe> {
        let mut location = Location::prefix(prefix)?;
        location.key = format!("{}probe-{}", location.key, token());
        let trial = Trial {
            api: self.api(location),
            body: Bytes::from(vec![0x5a; PART + (1 << 20)]),
            upload_id: OnceLock::new(),
        };
        let probed = tokio::time::timeout(LIMIT, trial.run()).await;
        let probed = probed.unwrap_or_else(|_elapsed| {
            let text = format!(
                "the service did not answer all within {} s",
                LIMIT.as_secs()
            );
            Err(Error::new(ErrorKind::Unavailable, text).with_retryable(true))
        });
        let removed = self.delete_scratch(&trial).await;
        let probe = probed.map_err(|error| error.with_uri(prefix))?;
        removed.map_err(|error| error.with_uri(prefix))?;
        Ok(probe)
    }

    async fn delete_scratch(&self, trial: &Trial) -> Result<()> {
        let api = &trial.api;
        if let Some(id) = trial.upload_id.get() {
            api.abort_whole(self.retries(), id).await?;
        }
        let request = api.client.delete_object();
        let request = request.bucket(&api.location.bucket).key(&api.location.key);
        let deleted = api.answered(request.send()).await?;
        deleted.map_err(|error| from_sdk("DeleteObject", error))?;
        Ok(())
    }
}

/// What is tried on one scratch object.
struct Trial {
    api: Api,
    body: Bytes,
    upload_id: OnceLock<String>,
}

/// An answer: what the service said, or the code and text of its refusal.
type Answer<T> = std::result::Result<T, String>;

impl Trial {
    async fn run(&self) -> Result<Probe> {
        let plain = self.put(1, None, None, None).await;
        let plain = plain.map_err(|error| from_sdk("PutObject", error))?;
        let mut findings = self.checksums().await;
        findings.extend(self.conditional_puts(plain).await);
        findings.extend(self.multipart().await);
        Ok(conclude(findings))
    }

    /// CRC64NVME with PutObject: taken, checked, said.
    async fn checksums(&self) -> Vec<Finding> {
        let right = crc(&self.body[..1]);
        let taken = self.put(1, Some(right), None, None).await;
        let said = taken.as_ref().ok().and_then(|(_, crc)| crc.clone());
        let wrong = self.put(1, Some(Crc64Nvme(!right.0)), None, None).await;
        vec![
            finding(TAKES_CHECKSUMS, &answer(taken)),
            Finding {
                feature: "says the CRC64NVME of what it stored",
                works: Some(said == Some(encode(right))),
                detail: said.unwrap_or_default(),
            },
            refusal("refuses a wrong CRC64NVME", wrong, |status| status == 400),
        ]
    }

    /// Conditions of PutObject, on an object that is there; `e_tag` is not its tag.
    async fn conditional_puts(&self, (e_tag, _): (Option<String>, Option<String>)) -> [Finding; 2] {
        // Another content, so that the first tag is an old one.
        let _replaced = self.put(2, None, None, None).await;
        let create_only = self.put(3, None, Some("*"), None).await;
        let if_match = self.put(3, None, None, e_tag.as_deref()).await;
        [
            refusal(IF_NONE_MATCH, create_only, |status| status == 412),
            refusal(IF_MATCH, if_match, |status| status == 412),
        ]
    }

    async fn multipart(&self) -> Vec<Finding> {
        let create = self.api.client.create_multipart_upload();
        let create = create
            .bucket(&self.api.location.bucket)
            .key(&self.api.location.key)
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_type(ChecksumType::FullObject);
        let created = match create.send().await {
            Ok(created) => created,
            Err(error) => return vec![finding(MULTIPART, &answer::<(), _>(Err(error)))],
        };
        let promised = created.checksum_type() == Some(&ChecksumType::FullObject);
        let id = created.upload_id().unwrap_or_default();
        let id = self.upload_id.get_or_init(|| id.to_owned());
        let mut findings = vec![Finding {
            feature: "promises a CRC64NVME of the whole object",
            works: Some(promised),
            detail: match created.checksum_type() {
                Some(kind) => format!("checksum type {kind}"),
                None => "it says no type of checksum".to_owned(),
            },
        }];
        // Neither equal nor growing parts: 5 MiB, 6 MiB and a byte.
        let sizes = [PART, self.body.len(), 1];
        let mut parts = Vec::new();
        for (number, size) in (1..).zip(sizes) {
            match self.upload_part(id, number, size).await {
                Ok(part) => parts.push(part),
                Err(detail) => {
                    findings.push(no(MULTIPART, detail));
                    return findings;
                }
            }
        }
        findings.push(self.lists_uploads(id).await);
        findings.push(self.lists_parts(id, parts.len()).await);
        let whole = sizes[1..]
            .iter()
            .fold(crc(&self.body[..sizes[0]]), |whole, size| {
                whole.followed_by(crc(&self.body[..*size]), *size as u64)
            });
        // Each is to be refused; what is not has completed the upload.
        let mut is_complete = false;
        for (feature, none_match, if_match) in [
            (IF_MATCH_COMPLETE, None, Some("\"0123456789abcdef\"")),
            (IF_NONE_MATCH_COMPLETE, Some("*"), None),
        ] {
            if is_complete {
                findings.push(unclear(feature, "the upload was completed before"));
                continue;
            }
            let conditional = self.complete(id, &parts, whole, none_match, if_match);
            let conditional = conditional.await;
            is_complete = conditional.is_ok();
            findings.push(refusal(feature, conditional, |status| status == 412));
        }
        let completed = match is_complete {
            true => Ok(()),
            false => answer(self.complete(id, &parts, whole, None, None).await),
        };
        findings.push(finding(UNEQUAL_PARTS, &completed));
        let head = self.api.head().await;
        let found = head.as_ref().ok().and_then(|head| head.checksum);
        findings.push(Finding {
            feature: "says the CRC64NVME of the whole object",
            works: Some(found == Some(whole)),
            detail: found.map_or_else(String::new, |crc| crc.to_string()),
        });
        findings
    }

    async fn put(
        &self,
        len: usize,
        crc: Option<Crc64Nvme>,
        none_match: Option<&str>,
        if_match: Option<&str>,
    ) -> std::result::Result<
        (Option<String>, Option<String>),
        SdkError<
            impl ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
            HttpResponse,
        >,
    > {
        let output = self
            .api
            .client
            .put_object()
            .bucket(&self.api.location.bucket)
            .key(&self.api.location.key)
            .set_checksum_crc64_nvme(crc.map(encode))
            .set_if_none_match(none_match.map(str::to_owned))
            .set_if_match(if_match.map(str::to_owned))
            .body(ByteStream::from(self.body.slice(..len)))
            .send()
            .await?;
        Ok((
            output.e_tag().map(str::to_owned),
            output.checksum_crc64_nvme().map(str::to_owned),
        ))
    }

    async fn upload_part(&self, id: &str, number: i32, size: usize) -> Answer<CompletedPart> {
        let body = self.body.slice(..size);
        let checksum = encode(crc(&body));
        let request = self
            .api
            .client
            .upload_part()
            .bucket(&self.api.location.bucket)
            .key(&self.api.location.key)
            .upload_id(id)
            .part_number(number)
            .checksum_crc64_nvme(&checksum)
            .body(ByteStream::from(body));
        let output = answer(request.send().await)?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(output.e_tag().map(str::to_owned))
            .checksum_crc64_nvme(checksum)
            .build())
    }

    async fn lists_uploads(&self, id: &str) -> Finding {
        let listed = self
            .api
            .client
            .list_multipart_uploads()
            .bucket(&self.api.location.bucket)
            .prefix(&self.api.location.key)
            .send()
            .await;
        let has = |uploads: &[aws_sdk_s3::types::MultipartUpload]| {
            uploads.iter().any(|upload| upload.upload_id() == Some(id))
        };
        match answer(listed) {
            Ok(listed) if has(listed.uploads()) => yes(LISTS_UPLOADS),
            Ok(_) => no(LISTS_UPLOADS, "the upload is not listed".to_owned()),
            Err(detail) => no(LISTS_UPLOADS, detail),
        }
    }

    async fn lists_parts(&self, id: &str, count: usize) -> Finding {
        let feature = "lists parts, which --resume needs";
        match self.api.list_parts(id).await {
            Ok(listed) if listed.parts.len() == count => {
                let with_crc = listed.parts.iter().all(|part| part.stored.crc.is_some());
                Finding {
                    detail: format!("{} checksums", if with_crc { "with" } else { "without" }),
                    ..yes(feature)
                }
            }
            Ok(listed) => no(feature, format!("{} of {count} parts", listed.parts.len())),
            Err(error) => no(feature, error.message().to_owned()),
        }
    }

    async fn complete(
        &self,
        id: &str,
        parts: &[CompletedPart],
        whole: Crc64Nvme,
        none_match: Option<&str>,
        if_match: Option<&str>,
    ) -> std::result::Result<
        (),
        SdkError<
            impl ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
            HttpResponse,
        >,
    > {
        let list = CompletedMultipartUpload::builder().set_parts(Some(parts.to_vec()));
        let request = self
            .api
            .client
            .complete_multipart_upload()
            .bucket(&self.api.location.bucket)
            .key(&self.api.location.key)
            .upload_id(id)
            .multipart_upload(list.build())
            .checksum_type(ChecksumType::FullObject)
            .checksum_crc64_nvme(encode(whole))
            .set_if_none_match(none_match.map(str::to_owned))
            .set_if_match(if_match.map(str::to_owned));
        request.send().await.map(drop)
    }
}

const TAKES_CHECKSUMS: &str = "takes CRC64NVME";
const IF_NONE_MATCH: &str = "PutObject keeps If-None-Match";
const IF_MATCH: &str = "PutObject keeps If-Match";
const IF_NONE_MATCH_COMPLETE: &str = "CompleteMultipartUpload keeps If-None-Match";
const IF_MATCH_COMPLETE: &str = "CompleteMultipartUpload keeps If-Match";
const MULTIPART: &str = "takes multipart uploads";
const UNEQUAL_PARTS: &str = "takes parts of several sizes";
const LISTS_UPLOADS: &str = "lists uploads, which --resume needs";

/// The profile that the findings make.
fn conclude(findings: Vec<Finding>) -> Probe {
    let works = |feature| {
        let found = findings.iter().find(|finding| finding.feature == feature);
        found.is_some_and(|finding| finding.works == Some(true))
    };
    let found = ServiceProfile {
        name: "probed",
        conditional_put: works(IF_NONE_MATCH) && works(IF_MATCH),
        conditional_complete: works(IF_NONE_MATCH_COMPLETE) && works(IF_MATCH_COMPLETE),
        checksums: works(TAKES_CHECKSUMS),
        equal_parts: !works(UNEQUAL_PARTS),
        ..ServiceProfile::UNKNOWN
    };
    let mut known = ServiceProfile::ALL.into_iter();
    let profile = known.find(|known| found.does_the_same(known));
    let profile = profile.unwrap_or(found);
    Probe { findings, profile }
}

fn answer<T, E>(result: std::result::Result<T, SdkError<E, HttpResponse>>) -> Answer<T>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    result.map_err(|error| from_sdk("refused", error).message().to_owned())
}

fn finding<T>(feature: &'static str, answer: &Answer<T>) -> Finding {
    match answer {
        Ok(_) => yes(feature),
        Err(detail) => no(feature, detail.clone()),
    }
}

/// A request that the service ought to refuse, with a status that `is_right`.
fn refusal<T, E>(
    feature: &'static str,
    result: std::result::Result<T, SdkError<E, HttpResponse>>,
    is_right: impl Fn(u16) -> bool,
) -> Finding
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let Err(error) = result else {
        return no(feature, "it was ignored".to_owned());
    };
    let status = error.raw_response().map(|raw| raw.status().as_u16());
    Finding {
        feature,
        // Another error may have another reason.
        works: status.is_some_and(is_right).then_some(true),
        detail: from_sdk("refused", error).message().to_owned(),
    }
}

fn yes(feature: &'static str) -> Finding {
    Finding {
        feature,
        works: Some(true),
        detail: String::new(),
    }
}

fn unclear(feature: &'static str, detail: &str) -> Finding {
    Finding {
        feature,
        works: None,
        detail: detail.to_owned(),
    }
}

fn no(feature: &'static str, detail: String) -> Finding {
    Finding {
        feature,
        works: Some(false),
        detail,
    }
}

fn crc(bytes: &[u8]) -> Crc64Nvme {
    Crc64Nvme(crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes))
}
