//! What the suite is told about the store under test.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use writer_core::{BoxFuture, ObjectStore};

/// Names what is left over, below the subject's prefix, of writes that did not end in an object.
pub type Leftovers = Box<dyn Fn() -> BoxFuture<'static, Vec<String>> + Send + Sync>;

/// Says how many bytes of the unfinished object at a URI have arrived in the storage.
pub type Arrived = Box<dyn Fn(&str) -> BoxFuture<'static, u64> + Send + Sync>;

/// What the service behind a store can do. Everything, unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// The service itself keeps two create-only writers apart.
    pub create_only: bool,
    /// It keeps writers apart that replace an object if it is unchanged (`if_match`).
    pub if_match: bool,
    /// It does so for objects of several parts, too. (Ceph ignores the conditions of
    /// CompleteMultipartUpload.)
    pub conditional_parts: bool,
    /// It does so for writers that publish at the same moment, too. (s3s-fs looks first, and then
    /// writes.)
    pub atomic_conditions: bool,
    /// It keeps the user's metadata.
    pub user_metadata: bool,
    /// It keeps the media type, and the content encoding.
    pub content_type: bool,
    /// It keeps the headers for caches, file names and languages.
    pub headers: bool,
    /// It keeps tags, or the store refuses them. (s3s-fs does not say how
    /// many there are.)
    pub tags: bool,
    /// It knows the storage class `STANDARD_IA`, or refuses it.
    pub storage_class: bool,
    /// The receipt carries the CRC64NVME of the whole object.
    pub checksum: bool,
    /// What is said of an object's checksum is true after it was replaced. (s3s-fs says that of the
    /// old object, if an upload of several parts took its place, and readers find it damaged.)
    pub fresh_checksums: bool,
    /// A range of more last bytes than there are is the whole object. (s3s-fs fails.)
    pub long_suffixes: bool,
    /// An upload stays while another of the same object is published. (Garage drops it, and its
    /// writer's `finish` fails.)
    pub concurrent_uploads: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            create_only: true,
            if_match: true,
            conditional_parts: true,
            atomic_conditions: true,
            user_metadata: true,
            content_type: true,
            headers: true,
            tags: true,
            storage_class: true,
            checksum: true,
            fresh_checksums: true,
            long_suffixes: true,
            concurrent_uploads: true,
        }
    }
}

impl Profile {
    /// Sets [`create_only`](Self::create_only).
    #[must_use]
    pub fn with_create_only(mut self, enforced: bool) -> Self {
        self.create_only = enforced;
        self
    }

    /// Sets [`if_match`](Self::if_match).
    #[must_use]
    pub fn with_if_match(mut self, kept: bool) -> Self {
        self.if_match = kept;
        self
    }

    /// Sets [`conditional_parts`](Self::conditional_parts).
    #[must_use]
    pub fn with_conditional_parts(mut self, enforced: bool) -> Self {
        self.conditional_parts = enforced;
        self
    }

    /// Sets [`atomic_conditions`](Self::atomic_conditions).
    #[must_use]
    pub fn with_atomic_conditions(mut self, enforced: bool) -> Self {
        self.atomic_conditions = enforced;
        self
    }

    /// Sets [`fresh_checksums`](Self::fresh_checksums).
    #[must_use]
    pub fn with_fresh_checksums(mut self, true_always: bool) -> Self {
        self.fresh_checksums = true_always;
        self
    }

    /// Sets [`long_suffixes`](Self::long_suffixes).
    #[must_use]
    pub fn with_long_suffixes(mut self, served: bool) -> Self {
        self.long_suffixes = served;
        self
    }

    /// Sets [`user_metadata`](Self::user_metadata).
    #[must_use]
    pub fn with_user_metadata(mut self, kept: bool) -> Self {
        self.user_metadata = kept;
        self
    }

    /// Sets [`content_type`](Self::content_type).
    #[must_use]
    pub fn with_content_type(mut self, kept: bool) -> Self {
        self.content_type = kept;
        self
    }

    /// Sets [`headers`](Self::headers).
    #[must_use]
    pub fn with_headers(mut self, kept: bool) -> Self {
        self.headers = kept;
        self
    }

    /// Sets [`tags`](Self::tags).
    #[must_use]
    pub fn with_tags(mut self, kept: bool) -> Self {
        self.tags = kept;
        self
    }

    /// Sets [`storage_class`](Self::storage_class).
    #[must_use]
    pub fn with_storage_class(mut self, known: bool) -> Self {
        self.storage_class = known;
        self
    }

    /// Sets [`concurrent_uploads`](Self::concurrent_uploads).
    #[must_use]
    pub fn with_concurrent_uploads(mut self, kept: bool) -> Self {
        self.concurrent_uploads = kept;
        self
    }

    /// Sets [`checksum`](Self::checksum).
    #[must_use]
    pub fn with_checksum(mut self, in_receipt: bool) -> Self {
        self.checksum = in_receipt;
        self
    }
}

/// How the suite reaches the store under test.
#[non_exhaustive]
pub struct Subject {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// Every object that the suite makes has a URI that begins with this: a bucket or directory
    /// that exists, and below it a prefix that nobody has used, with `/` at the end.
    pub prefix: String,
    /// The part size to write with, in bytes: the smallest that the service takes.
    pub part_size: u64,
    /// What the service can do.
    pub profile: Profile,
    /// A look at what unfinished writes left. The checks of clean-up lose most without it.
    pub leftovers: Option<Leftovers>,
    /// A look at what has arrived before the object is finished.
    pub arrived: Option<Arrived>,
    /// The store's memory budget in bytes, where it has one that is known: it tells how much must
    /// be written for a write to wait.
    pub memory_budget: Option<u64>,
    /// Objects per page of a listing. The check of long listings writes one object more.
    pub list_page: Option<usize>,
    /// The longest that one check may take. Default: two minutes.
    pub patience: Duration,
    /// The seed of everything random. Default: another for each check.
    pub seed: Option<u64>,
    /// What must live as long as the store: a temporary directory, a server.
    pub keep: Option<Box<dyn Any + Send + Sync>>,
}

impl Subject {
    /// A subject with nothing but the essentials, and the full profile.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, prefix: impl Into<String>, part_size: u64) -> Self {
        Self {
            store,
            prefix: prefix.into(),
            part_size,
            profile: Profile::default(),
            leftovers: None,
            arrived: None,
            memory_budget: None,
            list_page: None,
            patience: Duration::from_secs(120),
            seed: None,
            keep: None,
        }
    }

    /// Sets [`profile`](Self::profile).
    #[must_use]
    pub fn with_profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Sets [`leftovers`](Self::leftovers).
    #[must_use]
    pub fn with_leftovers<F, R>(mut self, look: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Vec<String>> + Send + 'static,
    {
        self.leftovers = Some(Box::new(move || Box::pin(look())));
        self
    }

    /// Sets [`arrived`](Self::arrived).
    #[must_use]
    pub fn with_arrived<F, R>(mut self, look: F) -> Self
    where
        F: Fn(&str) -> R + Send + Sync + 'static,
        R: Future<Output = u64> + Send + 'static,
    {
        self.arrived = Some(Box::new(move |uri| Box::pin(look(uri))));
        self
    }

    /// Sets [`memory_budget`](Self::memory_budget), in bytes.
    #[must_use]
    pub fn with_memory_budget(mut self, bytes: u64) -> Self {
        self.memory_budget = Some(bytes);
        self
    }

    /// Sets [`list_page`](Self::list_page).
    #[must_use]
    pub fn with_list_page(mut self, objects: usize) -> Self {
        self.list_page = Some(objects);
        self
    }

    /// Sets [`patience`](Self::patience).
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets [`seed`](Self::seed).
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets [`keep`](Self::keep).
    #[must_use]
    pub fn with_keep(mut self, keep: impl Any + Send + Sync) -> Self {
        self.keep = Some(Box::new(keep));
        self
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("prefix", &self.prefix)
            .field("part_size", &self.part_size)
            .field("profile", &self.profile)
            .field("leftovers", &self.leftovers.is_some())
            .field("arrived", &self.arrived.is_some())
            .field("memory_budget", &self.memory_budget)
            .field("list_page", &self.list_page)
            .field("patience", &self.patience)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
