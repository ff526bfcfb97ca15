//! The S3 requests that a write is made of, each a function with our errors.

pub(crate) mod attributes;
mod look;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::interceptors::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, SdkError};
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, ServerSideEncryption,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tracing::debug;
use writer_core::{Crc64Nvme, Error, ErrorKind, IfExists, Part, Result, WriterOptions};

use crate::body::{Outgoing, Progress};
use crate::digest::PartDigest;
use crate::error::{asks_to_slow_down, code_of, from_sdk, is_refusal, unsent};
use crate::lanes::{Lane, Lanes};
use crate::location::Location;
use crate::protection::Protection;
use crate::rate::Rate;
use crate::retry::Retries;
use crate::watch::Attempt;

use self::attributes::describe;
pub(crate) use self::look::{ListedPart, Parts, Pending, encoding, listed_key};

/// Checked this often whether a request makes progress.
const PROGRESS_TICK: Duration = Duration::from_millis(500);

/// An abort is repeated this often while parts that were on their way keep arriving: "it might
/// be necessary to abort a given multipart upload multiple times"
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html>).
const ABORTS: u32 = 5;

/// Answers may take this many times as long as the progress of a body: what the kernel has
/// taken is not on the wire yet.
const ANSWER_FACTOR: u32 = 5;

/// One object on one service.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) client: Client,
    pub(crate) location: Arc<Location>,
    pub(crate) stall_timeout: Duration,
    pub(crate) lanes: Lanes,
    /// How fast bodies may leave, if they may not as fast as they can.
    pub(crate) rate: Option<Rate>,
    /// The service takes checksums.
    pub(crate) checksums: bool,
    /// What goes with every object that is made.
    pub(crate) protection: Arc<Protection>,
}

/// What the service says of a body that it stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) e_tag: Option<String>,
    pub(crate) version_id: Option<String>,
    pub(crate) crc: Option<Crc64Nvme>,
    pub(crate) encryption: Option<String>,
}

/// A part that is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredPart {
    pub(crate) number: u32,
    pub(crate) len: u64,
    pub(crate) e_tag: String,
    pub(crate) crc: Option<Crc64Nvme>,
    /// The service knows that checksum.
    pub(crate) is_known: bool,
    /// An earlier upload had stored it.
    pub(crate) is_reused: bool,
}

/// What CreateMultipartUpload gave.
pub(crate) struct NewUpload {
    pub(crate) upload_id: Arc<str>,
    /// The service will compute checksums by itself.
    pub(crate) full_object: bool,
    /// Why nothing may be sent to this upload, which is there, and to be aborted.
    pub(crate) refused: Option<Error>,
}

/// How CompleteMultipartUpload ended.
pub(crate) enum Completed {
    Done(Stored),
    /// The service does not have a part under the ETag that it once said.
    InvalidPart(Error),
}

impl Api {
    /// Counts in `lost` an upload that may have been created and of which there was no answer.
    pub(crate) async fn create(
        &self,
        options: &WriterOptions,
        lost: &AtomicUsize,
    ) -> Result<NewUpload> {
        let request = self
            .client
            .create_multipart_upload()
            .bucket(&self.location.bucket)
            .key(&self.location.key);
        let request = describe!(request, options, self.protection);
        // Declared here, or some services refuse the checksums of the parts.
        let request = if options.enable_checksums && self.checksums {
            request
                .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
                .checksum_type(ChecksumType::FullObject)
        } else {
            request
        };
        let answer = self.answered(request.send()).await;
        if answer.as_ref().map_or(true, is_lost) {
            lost.fetch_add(1, Ordering::Relaxed);
        }
        let output = answer?.map_err(|error| from_sdk("CreateMultipartUpload", error))?;
        match output.upload_id() {
            Some(id) if !id.is_empty() => {
                let encryption = name_of(output.server_side_encryption());
                Ok(NewUpload {
                    upload_id: id.into(),
                    full_object: output.checksum_type() == Some(&ChecksumType::FullObject),
                    refused: self.protection.confirm(encryption.as_deref()).err(),
                })
            }
            _ => Err(unexpected("CreateMultipartUpload gave no upload id")),
        }
    }

    /// Sends a part with its `digest`, or hashes it on its way; gives what was sent.
    pub(crate) async fn upload_part(
        &self,
        upload_id: &str,
        part: &Part,
        digest: Option<PartDigest>,
        attempt: Attempt,
    ) -> Result<(Stored, PartDigest)> {
        let lane = self.lanes.enter().await;
        attempt.begin();
        let outgoing = Outgoing::new(part, digest.is_none(), self.rate.clone(), attempt);
        let sent = digest.unwrap_or_default();
        let request = self
            .client
            .upload_part()
            .bucket(&self.location.bucket)
            .key(&self.location.key)
            .upload_id(upload_id)
            .part_number(number(part.number())?)
            .content_length(signed(part.len())?)
            .set_checksum_crc64_nvme(self.encode(sent.crc))
            .body(outgoing.sdk_body().into())
            .customize()
            .interceptor(SendPart::new(&outgoing, &sent));
        let output = self.moving(outgoing.progress(), request.send()).await?;
        heed(&lane, &output);
        let output = output.map_err(|error| from_sdk("UploadPart", error))?;
        let stored = Stored {
            e_tag: output.e_tag().map(str::to_owned),
            version_id: None,
            crc: decode(output.checksum_crc64_nvme())?,
            encryption: None,
        };
        let crc = sent.crc.or_else(|| outgoing.crc());
        Ok((stored, PartDigest { crc, ..sent }))
    }

    pub(crate) async fn put_object(
        &self,
        part: &Part,
        digest: &PartDigest,
        options: &WriterOptions,
        attempt: Attempt,
    ) -> Result<Stored> {
        let lane = self.lanes.enter().await;
        attempt.begin();
        let outgoing = Outgoing::new(part, false, self.rate.clone(), attempt);
        let request = self
            .client
            .put_object()
            .bucket(&self.location.bucket)
            .key(&self.location.key)
            .content_length(signed(part.len())?)
            .set_if_none_match(none_match(options))
            .set_if_match(quoted_match(options))
            .set_checksum_crc64_nvme(self.encode(digest.crc))
            .body(outgoing.sdk_body().into());
        let request = describe!(request, options, self.protection)
            .customize()
            .interceptor(SendPart::new(&outgoing, digest));
        let output = self.moving(outgoing.progress(), request.send()).await;
        if let Ok(output) = &output {
            heed(&lane, output);
        }
        let output = output.and_then(|output| {
            output.map_err(|error| {
                let code = code_of(&error).map(str::to_owned);
                conditional(from_sdk("PutObject", error), code.as_deref(), options)
            })
        });
        let output = output.map_err(|error| {
            if outgoing.progress().is_sent() {
                error
            } else {
                unsent(error)
            }
        })?;
        Ok(Stored {
            e_tag: output.e_tag().map(unquoted),
            version_id: output.version_id().map(str::to_owned),
            crc: decode(output.checksum_crc64_nvme())?,
            encryption: name_of(output.server_side_encryption()),
        })
    }

    /// `parts` are in order of their numbers.
    pub(crate) async fn complete(
        &self,
        upload_id: &str,
        parts: &[StoredPart],
        whole: Option<Crc64Nvme>,
        options: &WriterOptions,
    ) -> Result<Completed> {
        let size = parts.iter().map(|part| part.len).sum();
        let mut list = CompletedMultipartUpload::builder();
        for part in parts {
            list = list.parts(
                CompletedPart::builder()
                    .part_number(number(part.number)?)
                    .e_tag(&part.e_tag)
                    .set_checksum_crc64_nvme(
                        self.encode(part.crc.filter(|_| part.is_known && whole.is_some())),
                    )
                    .build(),
            );
        }
        let output = self
            .client
            .complete_multipart_upload()
            .bucket(&self.location.bucket)
            .key(&self.location.key)
            .upload_id(upload_id)
            .multipart_upload(list.build())
            .mpu_object_size(signed(size)?)
            .set_checksum_type(self.encode(whole).map(|_| ChecksumType::FullObject))
            .set_checksum_crc64_nvme(self.encode(whole))
            .set_if_none_match(none_match(options))
            .set_if_match(quoted_match(options))
            .send();
        let output = match self.answered(output).await? {
            Ok(output) => output,
            Err(error) => {
                let code = code_of(&error).map(str::to_owned);
                let error = from_sdk("CompleteMultipartUpload", error);
                return match code.as_deref() {
                    Some("InvalidPart") => Ok(Completed::InvalidPart(error)),
                    code => Err(conditional(error, code, options)),
                };
            }
        };
        Ok(Completed::Done(Stored {
            e_tag: known(output.e_tag()),
            version_id: output.version_id().map(str::to_owned),
            crc: decode(output.checksum_crc64_nvme())?,
            encryption: name_of(output.server_side_encryption()),
        }))
    }

    /// Aborts until nothing is left.
    pub(crate) async fn abort_whole(&self, retries: &Retries, upload_id: &str) -> Result<()> {
        let aborted = async {
            for round in 1..=ABORTS {
                retries.run(|_| self.abort(upload_id)).await?;
                if retries.run(|_| self.is_gone(upload_id)).await? {
                    debug!(upload_id, "aborted");
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(100) * round).await;
            }
            Err(Error::new(
                ErrorKind::Unavailable,
                "parts remain after it was aborted",
            ))
        };
        aborted.await.map_err(|error: Error| {
            Error::new(
                error.kind(),
                format!("upload {upload_id} is left on the service, which charges for it: {error}"),
            )
            .with_uri(self.location.uri())
            .with_source(error)
        })
    }

    /// Aborts; gives false if there is no such upload any more, which is success, too.
    pub(crate) async fn abort(&self, upload_id: &str) -> Result<bool> {
        let request = self
            .client
            .abort_multipart_upload()
            .bucket(&self.location.bucket)
            .key(&self.location.key)
            .upload_id(upload_id);
        match self.answered(request.send()).await? {
            Ok(_) => Ok(true),
            Err(error) if code_of(&error) == Some("NoSuchUpload") => Ok(false),
            Err(error) => Err(from_sdk("AbortMultipartUpload", error)),
        }
    }

    /// A checksum as S3 has it, for a service that takes them.
    fn encode(&self, crc: Option<Crc64Nvme>) -> Option<String> {
        crc.filter(|_| self.checksums).map(encode)
    }

    /// Waits for an answer, for as long as an answer may take.
    pub(crate) async fn answered<T>(&self, request: impl Future<Output = T>) -> Result<T> {
        let limit = self.stall_timeout * ANSWER_FACTOR;
        tokio::time::timeout(limit, request)
            .await
            .map_err(|_elapsed| stalled(&format!("no answer for {} s", limit.as_secs())))
    }

    /// Waits for an answer for as long as the body moves: the time-out measures progress, so a
    /// slow line may take as long as it needs.
    async fn moving<T>(&self, progress: &Progress, request: impl Future<Output = T>) -> Result<T> {
        let mut request = std::pin::pin!(request);
        loop {
            if let Ok(output) = tokio::time::timeout(PROGRESS_TICK, &mut request).await {
                return Ok(output);
            }
            let limit = if progress.is_sent() {
                self.stall_timeout * ANSWER_FACTOR
            } else {
                self.stall_timeout
            };
            if progress.idle() > limit {
                let text = format!("nothing has moved for {} s", limit.as_secs());
                return Err(stalled(&text));
            }
        }
    }
}

/// Gives the signer the SHA-256 that was computed with the CRC, or none: by itself it would hash
/// a body in memory once more, and not sign a stream. Gives our HTTP client the part itself.
#[derive(Debug)]
struct SendPart {
    signing: PayloadSigningOverride,
    outgoing: Outgoing,
}

impl SendPart {
    fn new(outgoing: &Outgoing, digest: &PartDigest) -> Self {
        Self {
            signing: match digest.sha256 {
                Some(sha256) => PayloadSigningOverride::Precomputed(hex(&sha256)),
                None => PayloadSigningOverride::unsigned_payload(),
            },
            outgoing: outgoing.clone(),
        }
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for SendPart {
    fn name(&self) -> &'static str {
        "SendPart"
    }

    fn read_before_serialization(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        cfg.interceptor_state().store_put(self.signing.clone());
        Ok(())
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        context.request_mut().add_extension(self.outgoing.clone());
        Ok(())
    }
}

/// True if the service may have done what there was no answer to, or a broken one.
fn is_lost<T, E>(output: &std::result::Result<T, SdkError<E, HttpResponse>>) -> bool {
    let Err(error) = output else { return false };
    let status = error.raw_response().map(|raw| raw.status().as_u16());
    status.is_none_or(|status| !is_refusal(status))
}

/// Tells the lanes how it went.
fn heed<T, E>(lane: &Lane, output: &std::result::Result<T, SdkError<E, HttpResponse>>) {
    match output {
        Ok(_) => lane.went_well(),
        Err(error) if asks_to_slow_down(error) => lane.was_too_much(),
        Err(_) => {}
    }
}

fn stalled(text: &str) -> Error {
    Error::new(ErrorKind::Unavailable, text).with_retryable(true)
}

fn unexpected(text: &str) -> Error {
    Error::new(
        ErrorKind::Other,
        format!("the service's answer is not valid: {text}"),
    )
}

/// What a failed condition means to whoever set it.
fn conditional(error: Error, code: Option<&str>, options: &WriterOptions) -> Error {
    let failed = error.kind() == ErrorKind::PreconditionFailed;
    if failed && options.if_exists == IfExists::Fail {
        exists_already().with_source(error)
    } else if options.if_match.is_some() && code == Some("NoSuchKey") {
        nothing_to_replace().with_source(error)
    } else if options.if_match.is_some() && failed {
        replaced().with_source(error)
    } else if code == Some("ConditionalRequestConflict") {
        error.with_note("another write of the object came in between: write it anew")
    } else {
        error
    }
}

pub(crate) fn exists_already() -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        "the object exists already, and was to be created only",
    )
}

pub(crate) fn nothing_to_replace() -> Error {
    Error::new(
        ErrorKind::PreconditionFailed,
        "there is no object that could be replaced",
    )
}

pub(crate) fn replaced() -> Error {
    Error::new(
        ErrorKind::PreconditionFailed,
        "the object is no longer the one that was to be replaced",
    )
}

fn quoted_match(options: &WriterOptions) -> Option<String> {
    let e_tag = options.if_match.as_ref()?;
    Some(format!("\"{e_tag}\""))
}

fn none_match(options: &WriterOptions) -> Option<String> {
    (options.if_exists == IfExists::Fail).then(|| "*".to_owned())
}

fn name_of(encryption: Option<&ServerSideEncryption>) -> Option<String> {
    encryption.map(|how| how.as_str().to_owned())
}

fn owned((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

pub(crate) fn unquoted(e_tag: &str) -> String {
    e_tag.trim_matches('"').to_owned()
}

/// The ETag, if it is one: Ceph 16 answers CompleteMultipartUpload with an empty one.
fn known(e_tag: Option<&str>) -> Option<String> {
    e_tag.map(unquoted).filter(|e_tag| !e_tag.is_empty())
}

fn number(part: u32) -> Result<i32> {
    i32::try_from(part).map_err(|_| unexpected("part number out of range"))
}

fn signed(len: u64) -> Result<i64> {
    i64::try_from(len).map_err(|_| Error::new(ErrorKind::LimitExceeded, "larger than 8 EiB"))
}

pub(crate) fn unsigned(len: i64) -> Result<u64> {
    u64::try_from(len).map_err(|_| unexpected("a length below 0"))
}

pub(crate) fn encode(crc: Crc64Nvme) -> String {
    BASE64.encode(crc.0.to_be_bytes())
}

pub(crate) fn decode(crc: Option<&str>) -> Result<Option<Crc64Nvme>> {
    let Some(text) = crc else { return Ok(None) };
    let bytes = BASE64.decode(text).ok();
    let bytes: Option<[u8; 8]> = bytes.and_then(|bytes| bytes.try_into().ok());
    match bytes {
        Some(bytes) => Ok(Some(Crc64Nvme(u64::from_be_bytes(bytes)))),
        None => Err(unexpected("a CRC64NVME that is not 8 bytes of Base64")),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_e_tag_is_none() {
        assert_eq!(known(Some("\"a-2\"")).as_deref(), Some("a-2"));
        for none in [None, Some(""), Some("\"\"")] {
            assert_eq!(known(none), None);
        }
    }
}
