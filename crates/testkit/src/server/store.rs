//! Buckets, objects and uploads in memory. One lock, held for no longer than a
//! look or a change takes, so every condition and every commit is atomic.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use s3s::dto::ETagCondition;
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::api::assemble::{Completion, assemble};
use super::builder::Options;
use super::checksum::{Algorithm, ChecksumKind};
use super::object::{Part, PendingPart, PendingUpload, StoredObject, Upload};
use super::shared::lock;

/// Everything a server keeps.
#[derive(Debug)]
pub(super) struct Store {
    state: Mutex<State>,
    repeat_complete: bool,
}

#[derive(Debug, Default)]
struct State {
    buckets: BTreeMap<String, Bucket>,
    uploads_created: u64,
    /// What became of completed uploads, by their id.
    completed: HashMap<String, Arc<StoredObject>>,
}

#[derive(Debug)]
struct Bucket {
    created: SystemTime,
    objects: BTreeMap<String, Arc<StoredObject>>,
    /// By key and id; ids ascend in the order of creation.
    uploads: BTreeMap<(String, String), Upload>,
}

/// What `If-Match` and `If-None-Match` ask of the object that is there.
#[derive(Debug, Default)]
pub(super) struct Condition {
    pub(super) must_match: Option<ETagCondition>,
    pub(super) must_not_exist: bool,
}

/// Names one multipart upload.
#[derive(Clone, Copy, Debug)]
pub(super) struct UploadRef<'a> {
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
    pub(super) id: &'a str,
}

impl Condition {
    /// For writes, where S3 knows `If-None-Match` with `*` only.
    pub(super) fn of_write(
        must_match: Option<ETagCondition>,
        must_not_match: Option<ETagCondition>,
    ) -> S3Result<Self> {
        if must_not_match.as_ref().is_some_and(|c| !c.is_any()) {
            return Err(S3Error::with_message(
                S3ErrorCode::NotImplemented,
                "A header you provided implies functionality that is not implemented",
            ));
        }
        Ok(Self {
            must_match,
            must_not_exist: must_not_match.is_some(),
        })
    }

    /// No condition, if they are `ignored`.
    pub(super) fn unless(self, ignored: bool) -> Self {
        if ignored { Self::default() } else { self }
    }

    fn check(&self, existing: Option<&Arc<StoredObject>>) -> S3Result<()> {
        if self.must_not_exist && existing.is_some() {
            return Err(precondition_failed());
        }
        match (&self.must_match, existing) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(no_such_key()),
            (Some(ETagCondition::Any), Some(_)) => Ok(()),
            (Some(ETagCondition::ETag(etag)), Some(object))
                if etag.as_strong() == Some(&object.etag) =>
            {
                Ok(())
            }
            _ => Err(precondition_failed()),
        }
    }
}

impl Store {
    pub(super) fn new(repeat_complete: bool) -> Self {
        Self {
            state: Mutex::default(),
            repeat_complete,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(super) fn ensure_bucket(&self, name: &str) {
        self.state()
            .buckets
            .entry(name.to_owned())
            .or_insert_with(Bucket::new);
    }

    pub(super) fn create_bucket(&self, name: &str) -> S3Result<()> {
        let mut state = self.state();
        if state.buckets.contains_key(name) {
            return Err(S3ErrorCode::BucketAlreadyOwnedByYou.into());
        }
        state.buckets.insert(name.to_owned(), Bucket::new());
        Ok(())
    }

    pub(super) fn delete_bucket(&self, name: &str) -> S3Result<()> {
        let mut state = self.state();
        if !state.bucket(name)?.objects.is_empty() {
            return Err(S3ErrorCode::BucketNotEmpty.into());
        }
        state.buckets.remove(name);
        Ok(())
    }

    pub(super) fn check_bucket(&self, name: &str) -> S3Result<()> {
        self.state().bucket(name).map(|_| ())
    }

    pub(super) fn buckets(&self) -> Vec<(String, SystemTime)> {
        let state = self.state();
        state
            .buckets
            .iter()
            .map(|(name, b)| (name.clone(), b.created))
            .collect()
    }

    /// Makes an object visible, if the condition holds.
    pub(super) fn put(
        &self,
        bucket: &str,
        key: &str,
        object: StoredObject,
        condition: &Condition,
    ) -> S3Result<()> {
        let mut state = self.state();
        let objects = &mut state.bucket(bucket)?.objects;
        condition.check(objects.get(key))?;
        objects.insert(key.to_owned(), Arc::new(object));
        Ok(())
    }

    /// Makes an object visible in a bucket that is made if it is missing.
    pub(super) fn insert(&self, bucket: &str, key: &str, object: StoredObject) {
        let mut state = self.state();
        let bucket = state
            .buckets
            .entry(bucket.to_owned())
            .or_insert_with(Bucket::new);
        bucket.objects.insert(key.to_owned(), Arc::new(object));
    }

    pub(super) fn get(&self, bucket: &str, key: &str) -> S3Result<Arc<StoredObject>> {
        let mut state = self.state();
        state
            .bucket(bucket)?
            .objects
            .get(key)
            .cloned()
            .ok_or_else(no_such_key)
    }

    /// Deletes an object; that there is none is fine unless a condition asks.
    pub(super) fn delete(&self, bucket: &str, key: &str, condition: &Condition) -> S3Result<()> {
        let mut state = self.state();
        let objects = &mut state.bucket(bucket)?.objects;
        condition.check(objects.get(key))?;
        objects.remove(key);
        Ok(())
    }

    /// What a listing works on: the objects whose key starts with `prefix`.
    pub(super) fn objects(
        &self,
        bucket: &str,
        prefix: &str,
    ) -> S3Result<Vec<(String, Arc<StoredObject>)>> {
        let mut state = self.state();
        let from = (Bound::Included(prefix), Bound::Unbounded);
        Ok(state
            .bucket(bucket)?
            .objects
            .range::<str, _>(from)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, object)| (key.clone(), Arc::clone(object)))
            .collect())
    }

    pub(super) fn create_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: Upload,
    ) -> S3Result<String> {
        let mut state = self.state();
        state.uploads_created += 1;
        // The number keeps ids in order, the rest keeps them from being guessed.
        let id = format!("{:08x}{:032x}", state.uploads_created, fastrand::u128(..));
        let uploads = &mut state.bucket(bucket)?.uploads;
        uploads.insert((key.to_owned(), id.clone()), upload);
        Ok(id)
    }

    /// Looks at an upload under the lock.
    pub(super) fn with_upload<T>(
        &self,
        at: UploadRef<'_>,
        look: impl FnOnce(&mut Upload) -> T,
    ) -> S3Result<T> {
        self.state().upload(at).map(look)
    }

    pub(super) fn abort(&self, at: UploadRef<'_>) -> S3Result<()> {
        let mut state = self.state();
        state.upload(at)?;
        state.bucket(at.bucket)?.uploads.remove(&at.owned());
        Ok(())
    }

    /// Turns the parts of an upload into an object and makes it visible, or
    /// changes nothing.
    pub(super) fn complete(
        &self,
        at: UploadRef<'_>,
        completion: &Completion,
        condition: &Condition,
        options: &Options,
    ) -> S3Result<Arc<StoredObject>> {
        let mut state = self.state();
        if let Some(before) = state.completed.get(at.id).cloned()
            && self.repeat_complete
            && state
                .bucket(at.bucket)?
                .objects
                .get(at.key)
                .is_some_and(|now| Arc::ptr_eq(now, &before))
        {
            return Ok(before);
        }
        let object = Arc::new(assemble(state.upload(at)?, completion, options)?);
        let bucket = state.bucket(at.bucket)?;
        condition.check(bucket.objects.get(at.key))?;
        bucket
            .objects
            .insert(at.key.to_owned(), Arc::clone(&object));
        bucket.uploads.remove(&at.owned());
        if self.repeat_complete {
            state
                .completed
                .insert(at.id.to_owned(), Arc::clone(&object));
        }
        Ok(object)
    }

    /// The uploads of a bucket, by key and then by age.
    pub(super) fn uploads(&self, bucket: &str) -> S3Result<Vec<PendingUpload>> {
        let mut state = self.state();
        Ok(state.bucket(bucket)?.pending(bucket))
    }

    pub(super) fn pending(&self) -> Vec<PendingUpload> {
        let state = self.state();
        state
            .buckets
            .iter()
            .flat_map(|(name, bucket)| bucket.pending(name))
            .collect()
    }

    pub(super) fn look(&self, bucket: &str, key: &str) -> Option<StoredObject> {
        let state = self.state();
        state
            .buckets
            .get(bucket)?
            .objects
            .get(key)
            .map(|object| (**object).clone())
    }

    pub(super) fn keys(&self, bucket: &str) -> Vec<String> {
        let state = self.state();
        let bucket = state.buckets.get(bucket);
        bucket
            .map(|b| b.objects.keys().cloned().collect())
            .unwrap_or_default()
    }
}

impl State {
    fn bucket(&mut self, name: &str) -> S3Result<&mut Bucket> {
        self.buckets.get_mut(name).ok_or_else(|| {
            S3Error::with_message(
                S3ErrorCode::NoSuchBucket,
                "The specified bucket does not exist",
            )
        })
    }

    fn upload(&mut self, at: UploadRef<'_>) -> S3Result<&mut Upload> {
        let uploads = &mut self.bucket(at.bucket)?.uploads;
        uploads.get_mut(&at.owned()).ok_or_else(|| {
            S3Error::with_message(
                S3ErrorCode::NoSuchUpload,
                "The specified upload does not exist. The upload ID may be invalid, or the upload \
                 may have been aborted or completed.",
            )
        })
    }
}

impl Bucket {
    fn new() -> Self {
        Self {
            created: SystemTime::now(),
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
        }
    }

    fn pending(&self, name: &str) -> Vec<PendingUpload> {
        self.uploads
            .iter()
            .map(|((key, id), upload)| PendingUpload {
                bucket: name.to_owned(),
                key: key.clone(),
                upload_id: id.clone(),
                initiated: upload.initiated,
                declared: upload.declared,
                checksum_kind: upload.kind,
                parts: upload.parts.iter().map(pending_part).collect(),
            })
            .collect()
    }
}

impl UploadRef<'_> {
    fn owned(&self) -> (String, String) {
        (self.key.to_owned(), self.id.to_owned())
    }
}

impl Upload {
    /// `declared` is what CreateMultipartUpload names; without it S3 computes
    /// CRC64NVME of the full object.
    pub(super) fn new(
        declared: Option<Algorithm>,
        kind: ChecksumKind,
        attributes: super::Attributes,
    ) -> Self {
        Self {
            initiated: SystemTime::now(),
            declared,
            algorithm: declared.unwrap_or(Algorithm::Crc64Nvme),
            kind,
            attributes,
            parts: BTreeMap::new(),
        }
    }
}

fn pending_part((number, part): (&i32, &Part)) -> PendingPart {
    PendingPart {
        number: *number,
        size: part.size,
        etag: part.etag.clone(),
        checksum: part.checksum.clone(),
    }
}

pub(super) fn no_such_key() -> S3Error {
    S3Error::with_message(S3ErrorCode::NoSuchKey, "The specified key does not exist.")
}

pub(super) fn precondition_failed() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::PreconditionFailed,
        "At least one of the pre-conditions you specified did not hold",
    )
}
