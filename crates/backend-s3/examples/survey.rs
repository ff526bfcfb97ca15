//! Surveys what a service does with the requests that a writer is made of, one line per feature: the
//! table in `docs/compatibility.md`. What matters to a user of a service, `s3-cli probe` finds out.
//!
//! ```text
//! cargo run -p backend-s3 --example survey -- s3://BUCKET/PREFIX/ [--create-bucket]
//! ```
//!
//! The service is the one that the AWS environment variables describe. It is asked through the SDK
//! alone, and some requests are wrong on purpose. Makes and removes objects below the prefix, and
//! sends some 100 MiB.

#![allow(clippy::print_stdout)]

mod common;

use std::process::ExitCode;

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::BeforeSerializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata};
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::CrcAlgorithm;

const MIB: usize = 1 << 20;

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let place = arguments
        .first()
        .and_then(|uri| common::bucket_and_prefix(uri));
    let Some((bucket, prefix)) = place else {
        println!("usage: survey s3://BUCKET/PREFIX/ [--create-bucket]");
        return Ok(ExitCode::from(2));
    };
    let client = common::client().await;
    if arguments.iter().any(|flag| flag == "--create-bucket") {
        client.create_bucket().bucket(&bucket).send().await?;
    }
    let probe = Probe {
        client,
        bucket,
        prefix,
    };
    probe.objects().await;
    probe.uploads().await;
    probe.upload_checksums().await;
    Ok(ExitCode::SUCCESS)
}

struct Probe {
    client: Client,
    bucket: String,
    prefix: String,
}

/// What became of a request.
enum Answer<T> {
    Taken(T),
    Refused(String),
}

impl<T> Answer<T> {
    fn of<E: ProvideErrorMetadata>(answer: Result<T, E>) -> Self {
        match answer {
            Ok(output) => Self::Taken(output),
            Err(error) => Self::Refused(error.code().unwrap_or("no code").to_owned()),
        }
    }

    fn say(self, feature: &str, taken: impl FnOnce(T) -> String) {
        match self {
            Self::Taken(output) => println!("{feature}: {}", taken(output)),
            Self::Refused(code) => println!("{feature}: refused with {code}"),
        }
    }
}

/// For requests that a strict service refuses.
fn ignored<T>(_: T) -> String {
    "taken, so it is not looked at".to_owned()
}

fn works<T>(_: T) -> String {
    "works".to_owned()
}

fn echoed(checksum: Option<&str>) -> String {
    match checksum {
        Some(_) => "taken, and echoed".to_owned(),
        None => "taken, not echoed".to_owned(),
    }
}

fn crc(bytes: &[u8]) -> String {
    let crc = crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes);
    BASE64.encode(crc.to_be_bytes())
}

fn wrong() -> String {
    BASE64.encode([7; 8])
}

/// Signs a payload as if its SHA-256 were this, or not at all.
#[derive(Debug)]
struct Sign(PayloadSigningOverride);

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Sign {
    fn name(&self) -> &'static str {
        "Sign"
    }

    fn read_before_serialization(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        cfg.interceptor_state().store_put(self.0.clone());
        Ok(())
    }
}

impl Probe {
    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn put(
        &self,
        name: &str,
        bytes: &'static [u8],
    ) -> aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(self.key(name))
            .body(aws_sdk_s3::primitives::ByteStream::from_static(bytes))
    }

    async fn delete(&self, name: &str) {
        let request = self.client.delete_object().bucket(&self.bucket);
        let _left = request.key(self.key(name)).send().await;
    }

    /// PutObject.
    async fn objects(&self) {
        let put = Answer::of(self.put("empty", b"").send().await);
        put.say("empty object", works);
        let put = self.put("object", b"one").metadata("k", "v");
        let put = put.content_type("text/csv").send().await;
        Answer::of(put).say("PutObject", works);
        self.head("object", "PutObject").await;

        let put = self.put("object", b"two").if_none_match("*").send().await;
        Answer::of(put).say("PutObject, If-None-Match of what is there", ignored);
        let put = self.put("object", b"two").if_match("\"no\"").send().await;
        Answer::of(put).say("PutObject, If-Match of another ETag", ignored);

        let put = self.put("sum", b"abc").checksum_crc64_nvme(crc(b"abc"));
        Answer::of(put.send().await).say("PutObject, CRC64NVME", |output| {
            echoed(output.checksum_crc64_nvme())
        });
        let put = self.put("sum", b"abc").checksum_crc64_nvme(wrong());
        Answer::of(put.send().await).say("PutObject, wrong CRC64NVME", ignored);

        let unsigned = Sign(PayloadSigningOverride::unsigned_payload());
        let put = self.put("sign", b"abc").customize().interceptor(unsigned);
        Answer::of(put.send().await).say("unsigned payload over this endpoint", works);
        let other = Sign(PayloadSigningOverride::Precomputed("00".repeat(32)));
        let put = self.put("sign", b"abc").customize().interceptor(other);
        Answer::of(put.send().await).say("payload with another SHA-256 than signed", ignored);

        for name in ["empty", "object", "sum", "sign"] {
            self.delete(name).await;
        }
        let request = self.client.delete_object().bucket(&self.bucket);
        let deleted = request.key(self.key("never")).send().await;
        Answer::of(deleted).say("DeleteObject of what is not there", works);
    }

    async fn head(&self, name: &str, of: &str) {
        let request = self.client.head_object().bucket(&self.bucket);
        let request = request.key(self.key(name));
        let head = request.checksum_mode(ChecksumMode::Enabled).send().await;
        Answer::of(head).say(&format!("what HEAD says after {of}"), |output| {
            let metadata = output.metadata().and_then(|all| all.get("k"));
            format!(
                "metadata {}, media type {}, CRC64NVME {}",
                if metadata.is_some() { "kept" } else { "lost" },
                output.content_type().unwrap_or("lost"),
                output.checksum_crc64_nvme().map_or("none", |_| "said"),
            )
        });
    }

    async fn create(&self, name: &str) -> Option<(String, Option<ChecksumType>)> {
        let request = self.client.create_multipart_upload().bucket(&self.bucket);
        let request = request
            .key(self.key(name))
            .metadata("k", "v")
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_type(ChecksumType::FullObject);
        match request.content_type("text/csv").send().await {
            Ok(output) => Some((
                output.upload_id()?.to_owned(),
                output.checksum_type().cloned(),
            )),
            Err(error) => {
                println!("CreateMultipartUpload: {:?}", error.code());
                None
            }
        }
    }

    fn part(
        &self,
        name: &str,
        id: &str,
        number: i32,
        bytes: Vec<u8>,
    ) -> aws_sdk_s3::operation::upload_part::builders::UploadPartFluentBuilder {
        self.client
            .upload_part()
            .bucket(&self.bucket)
            .key(self.key(name))
            .upload_id(id)
            .part_number(number)
            .body(bytes.into())
    }

    /// Sends parts of these sizes; those that were stored.
    async fn parts(&self, name: &str, id: &str, sizes: &[usize]) -> Vec<CompletedPart> {
        let mut parts = Vec::new();
        for (number, size) in (1..).zip(sizes) {
            let bytes = vec![7; *size];
            let sum = crc(&bytes);
            let request = self.part(name, id, number, bytes);
            match request.checksum_crc64_nvme(&sum).send().await {
                Ok(output) => parts.push(
                    CompletedPart::builder()
                        .part_number(number)
                        .set_e_tag(output.e_tag().map(str::to_owned))
                        .checksum_crc64_nvme(sum)
                        .build(),
                ),
                Err(error) => println!("UploadPart of {size} bytes: {:?}", error.code()),
            }
        }
        parts
    }

    fn complete(
        &self,
        name: &str,
        id: &str,
        parts: Vec<CompletedPart>,
    ) -> aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder
    {
        let list = CompletedMultipartUpload::builder().set_parts(Some(parts));
        self.client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(self.key(name))
            .upload_id(id)
            .multipart_upload(list.build())
    }

    async fn abort(&self, name: &str, id: &str) -> Answer<()> {
        let request = self.client.abort_multipart_upload().bucket(&self.bucket);
        let request = request.key(self.key(name)).upload_id(id);
        Answer::of(request.send().await.map(drop))
    }

    async fn list_parts(&self, name: &str, id: &str) -> Answer<usize> {
        let request = self.client.list_parts().bucket(&self.bucket);
        let request = request.key(self.key(name)).upload_id(id);
        Answer::of(request.send().await.map(|output| output.parts().len()))
    }

    /// Uploads of several parts.
    async fn uploads(&self) {
        let name = "upload";
        let Some((id, _)) = self.create(name).await else {
            return;
        };
        let parts = self.parts(name, &id, &[6 * MIB, 5 * MIB, 1]).await;
        let request = self.client.list_multipart_uploads().bucket(&self.bucket);
        let listed = request.prefix(&self.prefix).send().await;
        Answer::of(listed).say("ListMultipartUploads", |output| {
            format!("lists {}", output.uploads().len())
        });
        let listed = self.list_parts(name, &id).await;
        listed.say("ListParts of 3 parts", |parts| format!("lists {parts}"));
        let completed = self.complete(name, &id, parts).send().await;
        Answer::of(completed).say("parts of 6 MiB, 5 MiB and 1 byte", works);
        self.head(name, "an upload").await;

        for (condition, feature) in [
            ("none", "Complete, If-None-Match of what is there"),
            ("match", "Complete, If-Match of another ETag"),
        ] {
            let Some((id, _)) = self.create(name).await else {
                return;
            };
            let parts = self.parts(name, &id, &[5 * MIB, 1]).await;
            let request = self.complete(name, &id, parts);
            let request = match condition {
                "none" => request.if_none_match("*"),
                _ => request.if_match("\"no\""),
            };
            Answer::of(request.send().await).say(feature, ignored);
            let _gone = self.abort(name, &id).await;
        }
        self.two_uploads(name).await;
        self.aborted(name).await;
        self.delete(name).await;
    }

    async fn two_uploads(&self, name: &str) {
        let (one, two) = (self.create(name).await, self.create(name).await);
        let (Some((one, _)), Some((two, _))) = (one, two) else {
            return;
        };
        let parts = self.parts(name, &one, &[5 * MIB, 1]).await;
        let others = self.parts(name, &two, &[5 * MIB, 2]).await;
        let _newer = self.complete(name, &two, others).send().await;
        let older = self.complete(name, &one, parts).send().await;
        Answer::of(older).say(
            "an upload, after a newer one of the object completed",
            works,
        );
    }

    async fn aborted(&self, name: &str) {
        let Some((id, _)) = self.create(name).await else {
            return;
        };
        let _parts = self.parts(name, &id, &[5 * MIB]).await;
        let aborted = self.abort(name, &id).await;
        aborted.say("AbortMultipartUpload", works);
        let listed = self.list_parts(name, &id).await;
        listed.say("ListParts after an abort", |parts| format!("lists {parts}"));
        let again = self.abort(name, &id).await;
        again.say("AbortMultipartUpload again", works);
    }

    /// Checksums of parts and wholes.
    async fn upload_checksums(&self) {
        let name = "sums";
        let Some((id, said)) = self.create(name).await else {
            return;
        };
        let said = said.map_or("says none".to_owned(), |said| format!("says {said:?}"));
        println!("type of checksum, after it was declared: {said}");
        let bytes = vec![7; 5 * MIB];
        let part = self.part(name, &id, 1, bytes.clone());
        let part = part.checksum_crc64_nvme(crc(&bytes)).send().await;
        Answer::of(part).say("UploadPart, CRC64NVME", |output| {
            echoed(output.checksum_crc64_nvme())
        });
        let part = self.part(name, &id, 1, bytes.clone());
        let part = part.checksum_crc64_nvme(wrong()).send().await;
        Answer::of(part).say("UploadPart, wrong CRC64NVME", ignored);
        let part = self.part(name, &id, 1, bytes.clone()).send().await;
        Answer::of(part).say(
            "UploadPart, no CRC64NVME though declared",
            |output| match output.checksum_crc64_nvme() {
                Some(_) => "taken, and its checksum is said".to_owned(),
                None => "taken, no checksum is said".to_owned(),
            },
        );
        let _gone = self.abort(name, &id).await;

        let sizes = [5 * MIB, 1];
        let whole = vec![7; 5 * MIB + 1];
        for (sum, size, feature) in [
            (
                wrong(),
                whole.len(),
                "Complete, wrong CRC64NVME of the whole",
            ),
            (crc(&whole), 3, "Complete, wrong size of the whole"),
            (crc(&whole), whole.len(), "Complete, CRC64NVME of the whole"),
        ] {
            let Some((id, _)) = self.create(name).await else {
                return;
            };
            let parts = self.parts(name, &id, &sizes).await;
            let request = self.complete(name, &id, parts);
            let request = request
                .checksum_crc64_nvme(sum)
                .checksum_type(ChecksumType::FullObject)
                .mpu_object_size(size as i64);
            let is_right = feature.starts_with("Complete, CRC");
            Answer::of(request.send().await).say(feature, |output| {
                if is_right {
                    echoed(output.checksum_crc64_nvme())
                } else {
                    ignored(output)
                }
            });
            let _gone = self.abort(name, &id).await;
        }
        self.head(name, "an upload with checksums").await;
        self.delete(name).await;
    }
}
