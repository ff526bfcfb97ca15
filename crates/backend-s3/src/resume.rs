//! Taking up an upload where an earlier one stopped.
//!
//! No state is kept on this side: what is there, the service says. The producer writes the whole
//! object again; a part that is there already, with the same length and the same checksum, is not
//! sent. So whatever has changed since is sent, and only what was compared counts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::types::ChecksumAlgorithm;
use tracing::{info, warn};
use writer_core::{
    Crc64Nvme, Error, ErrorKind, ObjectWriter, Part, PartLimits, Result, WriterOptions,
};

use crate::api::{Parts, Pending, StoredPart};
use crate::context::Context;
use crate::digest::{PartDigest, Wanted};
use crate::location::Location;
use crate::protection::Protection;
use crate::store::S3ObjectStore;

/// An upload that was written to more recently may be somebody's who is still at it.
const MIN_IDLE: Duration = Duration::from_secs(5 * 60);

/// Which upload of an object is taken up again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resume {
    /// The upload to take up, by the service's id of it. Default: the newest of the object that
    /// has been idle for [`min_idle`](Self::min_idle).
    pub upload_id: Option<String>,
    /// How long nothing must have been stored in an upload before it is taken up without being
    /// named, because it may be somebody's who is still at it. Default 5 minutes. It is the
    /// service's clock against this machine's.
    pub min_idle: Duration,
}

impl Default for Resume {
    fn default() -> Self {
        Self {
            upload_id: None,
            min_idle: MIN_IDLE,
        }
    }
}

impl Resume {
    /// Sets [`upload_id`](Self::upload_id).
    #[must_use]
    pub fn with_upload_id(mut self, id: impl Into<String>) -> Self {
        self.upload_id = Some(id.into());
        self
    }

    /// Sets [`min_idle`](Self::min_idle).
    #[must_use]
    pub fn with_min_idle(mut self, min_idle: Duration) -> Self {
        self.min_idle = min_idle;
        self
    }
}

impl S3ObjectStore {
    /// This store, but its writers take up the uploads that earlier ones left: see
    /// [`resume`](Self::resume). They leave what they stored for a next time, too, as those of
    /// [`keeping_parts`](Self::keeping_parts) do.
    #[must_use]
    pub fn resuming(&self, resume: Resume) -> Self {
        self.with_mode(|mode| {
            mode.resume = Some(resume);
            mode.keep_parts = true;
        })
    }

    /// This store, but writers that fail, are cancelled or dropped leave the parts that they have
    /// stored, to be taken up by [`resume`](Self::resume). They are charged for until then, or
    /// until somebody aborts the upload.
    #[must_use]
    pub fn keeping_parts(&self) -> Self {
        self.with_mode(|mode| mode.keep_parts = true)
    }

    /// Opens a writer for the object at `uri` that takes up an upload which did not come to its
    /// end: of what is written to it, from the object's first byte on, only parts that the service
    /// does not have yet are sent. Each one that it has is compared, by length and CRC64NVME (or
    /// MD5, where its ETag is that), with what is written now; one that differs is sent again.
    /// Where there is no upload, one is begun.
    ///
    /// The part size is that of the upload. Its content type, metadata, tags and other attributes,
    /// its encryption and its ACL were said when it was begun, and can't change any more: a warning
    /// tells what is ignored. If the store asks for an encryption, the service must say at the end
    /// that this is the object's. The receipt's
    /// [`bytes_reused`](writer_core::ObjectMetadata::bytes_reused) says how much was there.
    ///
    /// ```no_run
    /// # async fn example(store: backend_s3::S3ObjectStore) -> writer_core::Result<()> {
    /// use std::{fs::File, sync::Arc};
    /// use backend_s3::Resume;
    /// use writer_core::{ObjectWriter, Segment, WriterOptions};
    ///
    /// let file = Arc::new(File::open("backup.tar")?);
    /// let size = file.metadata()?.len();
    /// let options = WriterOptions::default().with_expected_size(size);
    /// let mut writer = store.resume("s3://bucket/backup.tar", options, Resume::default()).await?;
    /// writer.write_owned(Segment::file(file, 0..size)).await?;
    /// let receipt = writer.finish().await?;
    /// println!("{} bytes were there already", receipt.bytes_reused.unwrap_or(0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Needs `s3:ListBucketMultipartUploads` (unless the upload is named) and
    /// `s3:ListMultipartUploadParts`.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](ErrorKind::Unavailable) if the only uploads there are may be somebody's, as
    /// long as they are not idle; [`InvalidInput`](ErrorKind::InvalidInput) if the object would be
    /// compressed; [`NotFound`](ErrorKind::NotFound) if the named
    /// upload has ended; else as [`create_writer`](writer_core::ObjectStore::create_writer).
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub async fn resume(
        &self,
        uri: &str,
        options: WriterOptions,
        resume: Resume,
    ) -> Result<Box<dyn ObjectWriter>> {
        self.resuming(resume).open(uri, options).await
    }

    /// The upload of `location` that `how` means; `None` if one is to be begun.
    pub(crate) async fn find_upload(
        &self,
        location: &Location,
        how: &Resume,
        options: &WriterOptions,
    ) -> Result<Option<Arc<Resumed>>> {
        let uri = location.uri();
        if options.codec_for(&uri).is_some() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "what is compressed on its way can't be resumed: switch compression off",
            ));
        }
        let api = self.api(location.clone());
        if let Some(id) = &how.upload_id {
            if self.running().has(id) {
                let text = format!("upload {id} is running, in this very program");
                return Err(Error::new(ErrorKind::InvalidInput, text));
            }
            let parts = self.retries().run(|_| api.list_parts(id)).await?;
            return Resumed::new(id, parts).map(Some);
        }
        let mut uploads = self.pending(location).await?;
        let running = self.running();
        uploads.retain(|upload| upload.key == location.key && !running.has(&upload.upload_id));
        uploads.sort_by_key(|upload| std::cmp::Reverse(upload.initiated));
        let mut refusal = None;
        for upload in uploads {
            let listed = self.retries().run(|_| api.list_parts(&upload.upload_id));
            let parts = match listed.await {
                Ok(parts) => parts,
                // It has ended since it was listed.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if parts.parts.is_empty() {
                continue;
            }
            let idle = idle(&upload, &parts, SystemTime::now());
            if idle < how.min_idle {
                refusal.get_or_insert_with(|| in_use(&upload, idle, how.min_idle));
                continue;
            }
            match Resumed::new(&upload.upload_id, parts) {
                Ok(resumed) => return Ok(Some(resumed)),
                Err(error) => warn!(%error, "not resumed"),
            }
        }
        match refusal {
            Some(refusal) => Err(refusal),
            None => {
                info!("there is no upload to resume");
                Ok(None)
            }
        }
    }
}

/// How long nothing was stored in `upload`.
fn idle(upload: &Pending, parts: &Parts, now: SystemTime) -> Duration {
    let stored = parts.parts.iter().filter_map(|part| part.modified);
    let last = stored.chain(upload.initiated).max();
    // Without a time there is no telling, and with one to come, the clocks differ.
    last.and_then(|at| now.duration_since(at).ok())
        .unwrap_or_default()
}

fn in_use(upload: &Pending, idle: Duration, min_idle: Duration) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!(
            "upload {} was written to {} s ago, and may be somebody's: resume it by its id, or \
             in {} s, if it stays idle",
            upload.upload_id,
            idle.as_secs(),
            min_idle.saturating_sub(idle).as_secs() + 1
        ),
    )
    .with_retryable(true)
}

/// An upload that is taken up again.
#[derive(Debug)]
pub(crate) struct Resumed {
    pub(crate) upload_id: Arc<str>,
    parts: HashMap<u32, Earlier>,
    /// It was begun without checksums, and takes none.
    takes_none: AtomicBool,
}

/// A part that an earlier upload stored.
#[derive(Debug)]
struct Earlier {
    stored: StoredPart,
    /// Whether it is what is written now, once that is known. A part that is late is compared
    /// twice, and counts once.
    is_same: OnceLock<bool>,
}

impl Resumed {
    fn new(upload_id: &str, listed: Parts) -> Result<Arc<Self>> {
        if let Some(algorithm) = &listed.algorithm
            && *algorithm != ChecksumAlgorithm::Crc64Nvme
        {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the parts of upload {upload_id} have {algorithm} checksums, not CRC64NVME"
                ),
            ));
        }
        let parts = listed.parts.into_iter().map(|part| part.stored);
        let earlier = |stored: StoredPart| {
            let is_same = OnceLock::new();
            (stored.number, Earlier { stored, is_same })
        };
        let parts: HashMap<u32, Earlier> = parts.map(earlier).collect();
        info!(upload_id, parts = parts.len(), "resuming");
        Ok(Arc::new(Self {
            upload_id: upload_id.into(),
            parts,
            takes_none: AtomicBool::new(false),
        }))
    }

    /// The size of the upload's parts, if those that are there tell.
    fn part_size(&self, otherwise: u64) -> u64 {
        let parts = self.parts.values().map(|part| &part.stored);
        match parts.min_by_key(|part| part.number) {
            // Any but the last part has the full size; a single one may be the last.
            Some(part) if self.parts.len() > 1 || part.number == 1 => part.len.max(1),
            Some(part) => part.len.max(otherwise),
            None => otherwise,
        }
    }

    /// `options` as this upload allows them: with its part size, if that is one.
    pub(crate) fn fit(
        &self,
        mut options: WriterOptions,
        limits: PartLimits,
        protection: &Protection,
    ) -> WriterOptions {
        let size = self.part_size(options.part_size);
        if (limits.min_part_size..=limits.max_part_size).contains(&size) {
            options.part_size = size;
        }
        let mut said = options.attributes();
        if !protection.is_none() {
            said.push("encryption and ACL");
        }
        if !said.is_empty() {
            let said = said.join(", ");
            warn!(
                upload_id = %self.upload_id,
                "these were said when the upload was begun, and do not change: {said}"
            );
        }
        options
    }

    /// `part`, if the service has it already.
    pub(crate) async fn recognise(
        &self,
        context: &Context,
        part: &Part,
    ) -> Result<Option<StoredPart>> {
        let Some(earlier) = self.parts.get(&part.number()) else {
            return Ok(None);
        };
        let stored = &earlier.stored;
        let crc = match stored.len == part.len() {
            true => crc_if_same(context, part, stored).await?,
            false => None,
        };
        let is_same = *earlier.is_same.get_or_init(|| crc.is_some());
        Ok(crc.filter(|_| is_same).map(|crc| StoredPart {
            crc: context.options.enable_checksums.then_some(crc),
            is_known: stored.crc.is_some(),
            is_reused: true,
            ..stored.clone()
        }))
    }

    /// True if parts go without their checksums, because the upload was begun without.
    pub(crate) fn takes_no_checksums(&self) -> bool {
        self.takes_none.load(Ordering::Relaxed)
    }

    /// Takes note of how the service refused a part with its checksum; true if it may take it
    /// without.
    pub(crate) fn refused_checksum(&self, error: &Error) -> bool {
        let refused = error.kind() == ErrorKind::InvalidInput;
        self.takes_none.fetch_or(refused, Ordering::Relaxed);
        refused
    }

    /// Bytes that were not sent, because they were there.
    pub(crate) fn reused(&self) -> u64 {
        self.compared(true).map(|part| part.len).sum()
    }

    /// Says what the user would not expect.
    pub(crate) fn conclude(&self) {
        let differing = self.compared(false).count();
        if differing > 0 {
            warn!(
                upload_id = %self.upload_id,
                "{differing} parts differ from what was uploaded before, and were sent again: the \
                 source has changed since"
            );
        }
    }

    fn compared(&self, same: bool) -> impl Iterator<Item = &StoredPart> {
        let parts = self.parts.values();
        parts
            .filter(move |part| part.is_same.get() == Some(&same))
            .map(|part| &part.stored)
    }
}

/// The checksum of `part`, if `listed` is the same.
async fn crc_if_same(
    context: &Context,
    part: &Part,
    listed: &StoredPart,
) -> Result<Option<Crc64Nvme>> {
    let wanted = Wanted {
        crc: true,
        sha256: false,
        md5: listed.crc.is_none(),
    };
    let digest = context.hasher.digest(part, wanted).await?;
    let is_same = match listed.crc {
        Some(_) => digest.crc == listed.crc,
        None => has_md5(&listed.e_tag, &digest),
    };
    Ok(digest.crc.filter(|_| is_same))
}

/// The ETag of a part is the MD5 of its bytes, unless it is encrypted with a key of KMS.
fn has_md5(e_tag: &str, digest: &PartDigest) -> bool {
    digest.md5.is_some_and(|md5| {
        e_tag
            .trim_matches('"')
            .eq_ignore_ascii_case(&crate::api::hex(&md5))
    })
}
