//! From a URI's scheme to the store that keeps it, as far as this build has one.

use std::sync::Arc;

#[cfg(feature = "s3")]
use writer_core::{Error, ErrorKind};
use writer_core::{ObjectStore, Result};

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

/// The stores of this run.
#[derive(Debug)]
pub(crate) struct Stores {
    stores: writer_stores::Stores,
    settings: Arc<Settings>,
}

impl Stores {
    pub(crate) fn new(settings: Settings) -> Self {
        Self::of(Arc::new(settings))
    }

    /// The same stores, with connections and memory of their own.
    pub(crate) fn anew(&self) -> Self {
        Self::of(Arc::clone(&self.settings))
    }

    fn of(settings: Arc<Settings>) -> Self {
        let stores = writer_stores::Stores::new();
        #[cfg(feature = "fs")]
        let stores = {
            let settings = Arc::clone(&settings);
            stores.with_open("file", move || {
                Box::pin(std::future::ready(open_fs(&settings)))
            })
        };
        #[cfg(feature = "s3")]
        let stores = {
            let settings = Arc::clone(&settings);
            stores.with_open("s3", move || Box::pin(open_s3(Arc::clone(&settings))))
        };
        Self { stores, settings }
    }

    /// The store for `uri`.
    ///
    /// # Errors
    ///
    /// If there is none for its scheme, or it can't be opened.
    pub(crate) async fn get(&self, uri: &str) -> Result<Arc<dyn ObjectStore>> {
        self.stores.get(uri).await
    }

    /// S3, for what no other store has.
    ///
    /// # Errors
    ///
    /// If `uri` is another store's, or it can't be opened.
    #[cfg(feature = "s3")]
    pub(crate) async fn s3(&self, uri: &str) -> Result<backend_s3::S3ObjectStore> {
        match writer_core::split_scheme(uri) {
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("s3") => {
                connect_s3(&self.settings).await
            }
            _ => {
                let text = "only S3 has this: expected s3://BUCKET/PREFIX";
                Err(Error::new(ErrorKind::InvalidInput, text).with_uri(uri))
            }
        }
    }

    /// Waits until what dropped writers left is removed.
    ///
    /// # Errors
    ///
    /// What could not be removed.
    pub(crate) async fn close(&self) -> Result<()> {
        self.stores.close().await
    }
}

/// A disk has one staged file, which nobody can take up.
#[cfg(all(feature = "fs", feature = "s3"))]
fn refuse_resuming(how: &crate::args::ResumeArgs) -> Result<()> {
    if how.keeps() {
        let text = "only uploads to S3 can be resumed: leave out --resume and --keep-parts";
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    Ok(())
}

#[cfg(feature = "fs")]
fn open_fs(settings: &Settings) -> Result<Arc<dyn ObjectStore>> {
    use backend_fs::FileSystemObjectStore;

    #[cfg(feature = "s3")]
    refuse_resuming(&settings.resuming)?;
    let store = match settings.memory {
        Some(bytes) => FileSystemObjectStore::with_memory(bytes),
        None => FileSystemObjectStore::new(),
    };
    Ok(Arc::new(store?))
}

#[cfg(feature = "s3")]
async fn open_s3(settings: Arc<Settings>) -> Result<Arc<dyn ObjectStore>> {
    let store = connect_s3(&settings).await?;
    let how = &settings.resuming;
    Ok(Arc::new(if how.resumes() {
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
