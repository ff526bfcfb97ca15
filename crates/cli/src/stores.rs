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
            Self::Fs => open_fs(settings),
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
    let config = s3_config(settings);
    Ok(Arc::new(backend_s3::S3ObjectStore::connect(config).await?))
}

#[cfg(not(feature = "s3"))]
async fn open_s3(_settings: &Settings) -> Result<Arc<dyn ObjectStore>> {
    Err(missing("s3://", "S3", "s3"))
}

#[cfg(feature = "s3")]
fn s3_config(settings: &Settings) -> backend_s3::S3Config {
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
    config
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
