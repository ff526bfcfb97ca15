//! From a URI's scheme to the store that keeps it, as far as this build has one.

use std::sync::Arc;

#[cfg(feature = "s3")]
use writer_core::{Error, ErrorKind};
use writer_core::{ObjectStore, Result};

/// What the command line says of stores; what it leaves open, the environment says.
#[derive(Debug)]
#[cfg_attr(not(any(feature = "fs", feature = "s3")), expect(dead_code))]
pub(crate) struct Settings {
    /// Warnings are not wanted.
    #[cfg(all(feature = "fs", feature = "s3"))]
    pub(crate) quiet: bool,
    /// The memory budget of each store, in bytes.
    pub(crate) memory: Option<u64>,
    #[cfg(feature = "s3")]
    pub(crate) s3: crate::args::S3Args,
    #[cfg(feature = "s3")]
    pub(crate) connection: crate::args::ConnectionArgs,
    /// Of the command that writes.
    #[cfg(feature = "s3")]
    pub(crate) writing: Option<crate::args::S3WriteArgs>,
    #[cfg(feature = "s3")]
    pub(crate) resuming: crate::args::ResumeArgs,
    #[cfg(feature = "s3")]
    pub(crate) protection: crate::args::attributes::ProtectionArgs,
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
        if !crate::names::is_s3(uri) {
            let text = "only S3 has this: expected s3://BUCKET/PREFIX";
            return Err(Error::new(ErrorKind::InvalidInput, text).with_uri(uri));
        }
        connect_s3(&self.settings).await
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
    if how.typed {
        let text = "only uploads to S3 can be resumed: leave out --resume and --keep-parts";
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    Ok(())
}

/// Who may read a file, and how it is encrypted, is the disk's.
#[cfg(all(feature = "fs", feature = "s3"))]
fn refuse_protection(how: &crate::args::attributes::ProtectionArgs) -> Result<()> {
    match how.typed {
        Some(option) => {
            let text = format!("{option} is for objects on S3: a disk has nothing like it");
            Err(Error::new(ErrorKind::Unsupported, text))
        }
        None => Ok(()),
    }
}

#[cfg(feature = "fs")]
fn open_fs(settings: &Settings) -> Result<Arc<dyn ObjectStore>> {
    use backend_fs::FileSystemObjectStore;

    #[cfg(feature = "s3")]
    {
        refuse_resuming(&settings.resuming)?;
        refuse_protection(&settings.protection)?;
        let writing = settings.writing.as_ref();
        if writing.is_some_and(|writing| writing.limit_rate.is_some()) && !settings.quiet {
            crate::exit::warn("--limit-rate is for S3: a disk is written as fast as it can be");
        }
    }
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
    if let Some(name) = &args.service {
        config = config.with_service(backend_s3::ServiceProfile::by_name(name)?);
    }
    if let Some(account) = &args.expected_bucket_owner {
        config = config.with_expected_bucket_owner(account);
    }
    config = config.with_requester_pays(args.request_payer.is_some());
    if let Some(writing) = &settings.writing {
        config = config
            .with_conditions(writing.conditions.into())
            .with_payload_signing(writing.payload_signing.into());
        if let Some(bytes) = writing.limit_rate {
            config = config.with_max_bytes_per_second(bytes);
        }
    }
    if let Some(encryption) = settings.protection.encryption()? {
        config = config.with_encryption(encryption);
    }
    if let Some(acl) = &settings.protection.acl {
        config = config.with_acl(acl);
    }
    Ok(with_connection(config, &settings.connection))
}

#[cfg(feature = "s3")]
fn with_connection(
    mut config: backend_s3::S3Config,
    args: &crate::args::ConnectionArgs,
) -> backend_s3::S3Config {
    if args.no_verify_ssl {
        crate::exit::warn(
            "certificates are not checked (--no-verify-ssl): anyone on the way can read and change \
             what is sent",
        );
    }
    if let Some(timeout) = args.timeout {
        config = config.with_stall_timeout(timeout);
    }
    if let Some(timeout) = args.connect_timeout {
        config = config.with_connect_timeout(timeout);
    }
    if let Some(attempts) = args.max_attempts {
        config = config.with_retry(backend_s3::RetryPolicy::default().with_max_attempts(attempts));
    }
    config
        .with_anonymous(args.no_sign_request)
        .with_danger_accept_invalid_certs(args.no_verify_ssl)
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
