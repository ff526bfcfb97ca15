//! Runs the conformance suite on a service that the AWS environment variables describe.
//!
//! ```text
//! cargo run -p backend-s3 --example conformance -- s3://BUCKET/PREFIX/ [FLAG...]
//! ```
//!
//! Flags say what the service does differently:
//!
//! - `--conditions-ignored`: it ignores conditions
//! - `--conditions-ignored-by-complete`: it keeps those of PutObject only
//! - `--no-if-match`: it ignores, or refuses, `If-Match`
//! - `--conditions-race`: it does not keep apart conditional writers that publish at one moment
//! - `--stale-checksums`: it says the checksum of an old object after an upload has replaced it
//! - `--short-suffixes`: it fails where more last bytes are asked for than there are
//! - `--no-headers`: it does not keep what is said to caches, browsers and readers of a language
//! - `--service=NAME`: its profile, so that what it is known to ignore is refused
//! - `--no-tags`: it does not keep tags
//! - `--no-storage-classes`: it ignores storage classes
//! - `--one-upload-wins`: it drops an upload when another of the same object completes
//! - `--uploads-in=FOLDER`: it does not list uploads, whose files are in this folder and have names
//!   that begin with `.upload`
//!
//! and `--create-bucket` makes the bucket first.
//!
//! Makes and removes objects below the prefix, and sends some hundreds of MiB. What is left over
//! is looked for with ListMultipartUploads.

#![allow(clippy::print_stdout)]

mod common;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use aws_sdk_s3::Client;
use backend_s3::{Conditions, S3Config, S3ObjectStore, ServiceProfile};
use testkit::conformance::{Profile, Subject, attempt};

const MEMORY: u64 = 256 << 20;
const PART: u64 = 5 << 20;

const USAGE: &str = "usage: conformance s3://BUCKET/PREFIX/ [FLAG...]; the flags are at the top of \
    crates/backend-s3/examples/conformance.rs";

#[tokio::main]
async fn main() -> writer_core::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let prefix = arguments.next().unwrap_or_default();
    let mut profile = Profile::default();
    let mut folder = None;
    let mut service = None;
    let mut create = false;
    let mut usage = common::bucket_and_prefix(&prefix).is_none();
    for flag in arguments {
        match flag.split_once('=').unwrap_or((&flag, "")) {
            ("--conditions-ignored", "") => {
                profile = profile.with_create_only(false).with_if_match(false);
            }
            ("--conditions-ignored-by-complete", "") => {
                profile = profile.with_conditional_parts(false);
            }
            ("--no-if-match", "") => profile = profile.with_if_match(false),
            ("--conditions-race", "") => profile = profile.with_atomic_conditions(false),
            ("--stale-checksums", "") => profile = profile.with_fresh_checksums(false),
            ("--short-suffixes", "") => profile = profile.with_long_suffixes(false),
            ("--service", name) => service = Some(ServiceProfile::by_name(name)?),
            ("--no-headers", "") => profile = profile.with_headers(false),
            ("--no-tags", "") => profile = profile.with_tags(false),
            ("--no-storage-classes", "") => profile = profile.with_storage_class(false),
            ("--one-upload-wins", "") => profile = profile.with_concurrent_uploads(false),
            ("--uploads-in", path) => folder = Some(PathBuf::from(path)),
            ("--create-bucket", "") => create = true,
            _ => usage = true,
        }
    }
    let place = common::bucket_and_prefix(&prefix).filter(|_| !usage);
    let Some((bucket, below)) = place else {
        println!("{USAGE}");
        return Ok(ExitCode::from(2));
    };
    let look = Arc::new(Look {
        bucket,
        prefix: below,
        folder,
        client: common::client().await,
    });
    if create {
        look.create_bucket().await;
    }
    // Whether they are kept is what is tried.
    let mut config = S3Config::default()
        .with_memory(MEMORY)
        .with_conditions(Conditions::Trust);
    config.service = service;
    let store = S3ObjectStore::connect(config).await?;
    let leftovers = Arc::clone(&look);
    let subject = Subject::new(Arc::new(store), prefix, PART)
        .with_memory_budget(MEMORY)
        .with_profile(profile)
        .with_leftovers(move || {
            let look = Arc::clone(&leftovers);
            async move { look.left().await }
        })
        .with_arrived(move |uri: &str| {
            let (look, uri) = (Arc::clone(&look), uri.to_owned());
            async move { look.arrived(&uri).await }
        });
    let report = attempt(&subject).await;
    println!("{report}");
    Ok(ExitCode::from(u8::from(!report.failed.is_empty())))
}

/// A look behind the store, with the SDK alone, or at the disk of the service.
struct Look {
    bucket: String,
    prefix: String,
    folder: Option<PathBuf>,
    client: Client,
}

impl Look {
    async fn create_bucket(&self) {
        let created = self.client.create_bucket().bucket(&self.bucket).send();
        created.await.expect("the bucket is made");
    }

    /// Names what unfinished writes left.
    async fn left(&self) -> Vec<String> {
        match &self.folder {
            Some(folder) => uploads_in(folder)
                .into_iter()
                .map(|(name, _)| name)
                .collect(),
            None => self
                .uploads()
                .await
                .into_iter()
                .map(|(key, _)| key)
                .collect(),
        }
    }

    /// Key and id of every upload below the prefix.
    async fn uploads(&self) -> Vec<(String, String)> {
        let listed = self
            .client
            .list_multipart_uploads()
            .bucket(&self.bucket)
            .prefix(&self.prefix)
            .send()
            .await
            .expect("ListMultipartUploads is needed to see what is left over");
        let pairs = listed.uploads().iter().map(|upload| {
            let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
            (text(upload.key()), text(upload.upload_id()))
        });
        pairs.collect()
    }

    /// Bytes of the parts that are stored of the object at `uri`.
    async fn arrived(&self, uri: &str) -> u64 {
        if let Some(folder) = &self.folder {
            let files = uploads_in(folder).into_iter();
            let parts = files.filter(|(name, _)| name.contains(".part-"));
            return parts.map(|(_, size)| size).sum();
        }
        let uploads = self.uploads().await;
        let Some((key, id)) = uploads.iter().find(|(key, _)| uri.ends_with(key)) else {
            return 0;
        };
        let request = self.client.list_parts().bucket(&self.bucket).key(key);
        let Ok(parts) = request.upload_id(id).send().await else {
            return 0;
        };
        let sizes = parts.parts().iter().filter_map(|part| part.size());
        sizes.filter_map(|size| u64::try_from(size).ok()).sum()
    }
}

/// Names and sizes of the files in `folder` that belong to uploads; one upload runs at a time.
fn uploads_in(folder: &Path) -> Vec<(String, u64)> {
    let files = std::fs::read_dir(folder).expect("the folder of the uploads is readable");
    let files = files.filter_map(|file| {
        let file = file.ok()?;
        let name = file.file_name().into_string().ok()?;
        let size = file.metadata().ok()?.len();
        name.starts_with(".upload").then_some((name, size))
    });
    files.collect()
}
