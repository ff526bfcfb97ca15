//! From a URI's scheme to the store that keeps it, as far as this build has one.

use std::sync::Arc;

use tokio::sync::Mutex;
use writer_core::{Error, ErrorKind, ObjectStore, Result, split_scheme};

/// What the command line says of stores; what it leaves open, the environment says.
#[derive(Debug)]
#[cfg_attr(not(any(feature = "fs", feature = "s3")), expect(dead_code))]
pub(crate) struct Settings {
    /// The memory budget of each store, in bytes.
    pub(crate) memory: Option<u64>,
    #[cfg(feature = "s3")]
    pub(crate) s3: crate::args::S3Args,
    #[cfg(feature = "s3")]
    pub(crate) payload_signing: Option<crate::args::PayloadSigning>,
    #[cfg(feature = "s3")]
    pub(crate) resuming: crate::args::ResumeArgs,
}

/// The stores of this run, each opened when a URI first asks for it.
pub(crate) struct Stores {
    settings: Settings,
    opened: Mutex<Vec<(Backend, Arc<dyn ObjectStore>)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backend {
    Fs,
    S3,
}

impl Backend {
    fn of(uri: &str) -> Result<Self> {
        let Some((scheme, _)) = split_scheme(uri) else {
            return refuse_mistyped(uri).map(|()| Self::Fs);
        };
        match &*scheme.to_ascii_lowercase() {
            "file" => Ok(Self::Fs),
            "s3" => Ok(Self::S3),
            _ => {
                let text = format!("unknown scheme {scheme}://: this build knows {}", known());
                Err(Error::new(ErrorKind::InvalidInput, text).with_uri(uri))
            }
        }
    }

    async fn open(self, settings: &Settings) -> Result<Arc<dyn ObjectStore>> {
        match self {
            Self::Fs => {
                #[cfg(feature = "s3")]
                refuse_resuming(&settings.resuming)?;
                open_fs(settings)
            }
            Self::S3 => open_s3(settings).await,
        }
    }
}

impl Stores {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            opened: Mutex::default(),
        }
    }

    /// The store for `uri`.
    ///
    /// # Errors
    ///
    /// If there is none for its scheme, or it can't be opened.
    pub(crate) async fn get(&self, uri: &str) -> Result<Arc<dyn ObjectStore>> {
        let backend = Backend::of(uri)?;
        let mut opened = self.opened.lock().await;
        if let Some((_, store)) = opened.iter().find(|(other, _)| *other == backend) {
            return Ok(Arc::clone(store));
        }
        let store = backend.open(&self.settings).await?;
        opened.push((backend, Arc::clone(&store)));
        Ok(store)
    }

    /// S3, for what no other store has.
    ///
    /// # Errors
    ///
    /// If `uri` is another store's, or it can't be opened.
    #[cfg(feature = "s3")]
    pub(crate) async fn s3(&self, uri: &str) -> Result<backend_s3::S3ObjectStore> {
        if Backend::of(uri)? != Backend::S3 {
            let text = "only S3 has this: expected s3://BUCKET/PREFIX";
            return Err(Error::new(ErrorKind::InvalidInput, text).with_uri(uri));
        }
        connect_s3(&self.settings).await
    }

    /// Waits until what dropped writers left is removed.
    ///
    /// # Errors
    ///
    /// One for each store that could not remove everything.
    pub(crate) async fn close(&self) -> Vec<Error> {
        let mut errors = Vec::new();
        for (_, store) in self.opened.lock().await.drain(..) {
            errors.extend(store.close().await.err());
        }
        errors
    }
}

/// A disk has one staged file, which nobody can take up.
#[cfg(feature = "s3")]
fn refuse_resuming(how: &crate::args::ResumeArgs) -> Result<()> {
    if how.resume || how.keep_parts {
        let text = "only uploads to S3 can be resumed: leave out --resume and --keep-parts";
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    Ok(())
}

/// Refuses what looks like a URI and, taken literally, would be a file: `s3:/bucket/key`.
fn refuse_mistyped(path: &str) -> Result<()> {
    let scheme = path.split_once(':').map(|(scheme, _)| scheme);
    match scheme.map(str::to_ascii_lowercase).as_deref() {
        Some(scheme @ ("s3" | "file")) => {
            let text = format!("write {scheme}://… for a URI, or ./{path} for a file of that name");
            Err(Error::new(ErrorKind::InvalidInput, text).with_uri(path))
        }
        _ => Ok(()),
    }
}

#[cfg(feature = "fs")]
fn open_fs(settings: &Settings) -> Result<Arc<dyn ObjectStore>> {
    use backend_fs::FileSystemObjectStore;

    let store = match settings.memory {
        Some(bytes) => FileSystemObjectStore::with_memory(bytes),
        None => FileSystemObjectStore::new(),
    };
    Ok(Arc::new(store?))
}

#[cfg(not(feature = "fs"))]
fn open_fs(_settings: &Settings) -> Result<Arc<dyn ObjectStore>> {
    Err(missing("file://", "file system", "fs"))
}

#[cfg(feature = "s3")]
async fn open_s3(settings: &Settings) -> Result<Arc<dyn ObjectStore>> {
    let store = connect_s3(settings).await?;
    let how = &settings.resuming;
    Ok(Arc::new(if how.resume {
        let resume = backend_s3::Resume::default();
        store.resuming(match &how.upload_id {
            Some(id) => resume.with_upload_id(id),
            None => resume,
        })
    } else if how.keep_parts {
        store.keeping_parts()
    } else {
        store
    }))
}

#[cfg(feature = "s3")]
async fn connect_s3(settings: &Settings) -> Result<backend_s3::S3ObjectStore> {
    backend_s3::S3ObjectStore::connect(s3_config(settings)?).await
}

#[cfg(not(feature = "s3"))]
async fn open_s3(_settings: &Settings) -> Result<Arc<dyn ObjectStore>> {
    Err(missing("s3://", "S3", "s3"))
}

#[cfg(feature = "s3")]
fn s3_config(settings: &Settings) -> Result<backend_s3::S3Config> {
    let args = &settings.s3;
    // The command line keeps to its own limit, which is of parts of all objects together.
    let mut config = backend_s3::S3Config::default().with_max_in_flight(usize::MAX);
    if let Some(url) = &args.endpoint_url {
        config = config.with_endpoint_url(url);
    }
    if let Some(region) = &args.region {
        config = config.with_region(region);
    }
    if let Some(profile) = &args.profile {
        config = config.with_profile(profile);
    }
    if let Some(path) = &args.ca_bundle {
        config = config.with_ca_bundle(path);
    }
    if args.path_style {
        config = config.with_path_style(true);
    }
    if let Some(bytes) = settings.memory {
        config = config.with_memory(bytes);
    }
    if let Some(when) = settings.payload_signing {
        config = config.with_payload_signing(when.into());
    }
    if let Some(name) = &args.service {
        config = config.with_service(backend_s3::ServiceProfile::by_name(name)?);
    }
    if let Some(account) = &args.expected_bucket_owner {
        config = config.with_expected_bucket_owner(account);
    }
    Ok(config
        .with_conditions(args.conditions.into())
        .with_requester_pays(args.request_payer.is_some()))
}

#[cfg(feature = "s3")]
impl From<crate::args::Conditions> for backend_s3::Conditions {
    fn from(how: crate::args::Conditions) -> Self {
        match how {
            crate::args::Conditions::Known => Self::Known,
            crate::args::Conditions::Trust => Self::Trust,
            crate::args::Conditions::CheckFirst => Self::CheckFirst,
        }
    }
}

#[cfg(feature = "s3")]
impl From<crate::args::PayloadSigning> for backend_s3::PayloadSigning {
    fn from(when: crate::args::PayloadSigning) -> Self {
        match when {
            crate::args::PayloadSigning::Auto => Self::Auto,
            crate::args::PayloadSigning::Always => Self::Always,
            crate::args::PayloadSigning::Never => Self::Never,
        }
    }
}

#[cfg(not(all(feature = "fs", feature = "s3")))]
fn missing(what: &str, backend: &str, feature: &str) -> Error {
    let text = format!(
        "{what} needs the {backend} backend, which this build does not have; \
         rebuild with --features {feature}"
    );
    Error::new(ErrorKind::Unsupported, text)
}

/// What a URI may begin with.
fn known() -> &'static str {
    match (cfg!(feature = "s3"), cfg!(feature = "fs")) {
        (true, true) => "s3://, file:// and plain paths",
        (true, false) => "s3://",
        (false, true) => "file:// and plain paths",
        (false, false) => "none, because it was made without backends",
    }
}
