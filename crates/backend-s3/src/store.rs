//! Objects in S3 buckets, behind one memory budget.

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use writer_core::{
    ByteRange, Condition, Error, ErrorKind, IfExists, ObjectLister, ObjectMetadata, ObjectReader,
    ObjectStore, ObjectWriter, PartLimits, PartSizing, Result, Segment, WriterOptions,
};
use writer_tokio::{CleanUps, MemoryBudget, guess_content_type, open_writer};

use crate::api::Api;
use crate::api::attributes::check_tags;
use crate::checks::Service;
use crate::config::{PayloadSigning, S3Config};
use crate::connect::{Connected, connect, tuned};
use crate::context::{Context, TOKEN, token};
use crate::create::Running;
use crate::digest::Hasher;
use crate::error::from_sdk;
use crate::lanes::Lanes;
use crate::lister::S3Lister;
use crate::location::Location;
use crate::profile::{Conditions, ServiceProfile};
use crate::protection::Protection;
use crate::rate::Rate;
use crate::reader::S3Reader;
use crate::resume::{Resume, Resumed};
use crate::retry::Retries;
use crate::sink::{MultipartUploadConfig, StreamingMultipartSink};
use crate::watch::Watch;
use crate::writer::S3StreamingWriter;

/// Four writers at their default of 64 parts each.
const MAX_IN_FLIGHT: usize = 256;

const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Objects in S3 buckets, named `s3://bucket/key`.
///
/// Cheap to clone; the clones share connections and the memory budget.
#[derive(Clone)]
pub struct S3ObjectStore(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    client: Client,
    budget: MemoryBudget,
    hasher: Hasher,
    cleanups: Arc<CleanUps>,
    part_limits: PartLimits,
    retry: Retries,
    stall_timeout: Duration,
    profile: ServiceProfile,
    conditions: Conditions,
    sign: bool,
    service: Arc<Service>,
    running: Arc<Running>,
    lanes: Lanes,
    rate: Option<Rate>,
    repeat_late: bool,
    mode: Mode,
}

/// How the writers of one store differ from those of another on the same service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mode {
    pub(crate) resume: Option<Resume>,
    pub(crate) keep_parts: bool,
    pub(crate) protection: Protection,
}

impl S3ObjectStore {
    /// A store for the service that `config`, and for the rest the AWS environment, describes.
    /// Connections are made when they are needed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a memory budget or a rate out of bounds, a CA bundle that
    /// can't be used, an endpoint that is no URL of HTTP, and a profile that no file has.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub async fn connect(config: S3Config) -> Result<Self> {
        let connected = connect(&config).await?;
        Self::with_client(connected, &config)
    }

    /// A store on the SDK's `client`; of `config`, only what does not make a client is used.
    ///
    /// The client's retries, time-outs, stalled-stream protection and checksums are replaced by
    /// this crate's. As the client does not tell, [`PayloadSigning::Auto`] signs unless
    /// `config.endpoint_url` is an `https://` URL; and it is taken for
    /// [`ServiceProfile::UNKNOWN`], unless `config` names its endpoint or its profile.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn from_client(client: &Client, config: &S3Config) -> Result<Self> {
        let secure = config
            .endpoint_url
            .as_deref()
            .and_then(|url| url.get(..8))
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
        let connected = Connected {
            client: tuned(client, config),
            plain: !secure,
            // Without its URL, it may be any service.
            profile: match config.endpoint_url.as_deref() {
                Some(url) => ServiceProfile::of_endpoint(Some(url)),
                None => ServiceProfile::UNKNOWN,
            },
        };
        Self::with_client(connected, config)
    }

    fn with_client(connected: Connected, config: &S3Config) -> Result<Self> {
        let profile = config.service.unwrap_or(connected.profile);
        let budget = match config.memory {
            Some(bytes) => MemoryBudget::new(bytes)?,
            None => MemoryBudget::from_env()?,
        };
        Ok(Self(Arc::new(Inner {
            client: connected.client,
            budget,
            hasher: Hasher::default(),
            cleanups: Arc::default(),
            part_limits: config.part_limits.unwrap_or(profile.part_limits),
            retry: Retries::new(config.retry),
            stall_timeout: config.stall_timeout.unwrap_or(STALL_TIMEOUT),
            profile,
            conditions: config.conditions,
            // Nothing else would vouch for the bytes; without credentials, nothing can be signed.
            sign: !config.anonymous
                && (!profile.checksums
                    || match config.payload_signing {
                        PayloadSigning::Auto => connected.plain,
                        PayloadSigning::Always => true,
                        PayloadSigning::Never => false,
                    }),
            service: Arc::default(),
            running: Arc::default(),
            lanes: Lanes::new(
                config.max_in_flight.unwrap_or(MAX_IN_FLIGHT),
                !config.ignore_slow_down,
            ),
            rate: rate(config)?,
            repeat_late: !config.wait_for_late_parts,
            mode: Mode {
                protection: Protection {
                    encryption: config.encryption.clone(),
                    acl: config.acl.clone(),
                },
                ..Mode::default()
            },
        })))
    }

    /// The memory that all writers of this store share.
    #[must_use]
    pub fn budget(&self) -> &MemoryBudget {
        &self.0.budget
    }

    /// How the condition of a write with `options` will be kept, `None` if it has none; `multipart`
    /// unless the object is known to be one part. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](writer_core::ErrorKind::Unsupported) if it might not be kept:
    /// a writer would be refused, too.
    pub fn condition(&self, options: &WriterOptions, multipart: bool) -> Result<Option<Condition>> {
        self.0.conditions.on(&self.0.profile, options, multipart)
    }

    /// What the service is taken for.
    #[must_use]
    pub fn service(&self) -> &ServiceProfile {
        &self.0.profile
    }

    pub(crate) fn part_limits(&self) -> PartLimits {
        self.0.part_limits
    }

    pub(crate) fn cleanups(&self) -> &Arc<CleanUps> {
        &self.0.cleanups
    }

    /// What one upload needs to know.
    pub(crate) fn upload_context(
        &self,
        location: Location,
        config: MultipartUploadConfig,
        condition: Option<Condition>,
        resumed: Option<Arc<Resumed>>,
        watch: Watch,
    ) -> Context {
        let mut options = config.writer;
        // What an upload that is taken up again has as metadata was said when it was begun.
        let token = condition.filter(|_| resumed.is_none()).map(|_| token());
        if let Some(token) = &token {
            options.metadata.insert(TOKEN.to_owned(), token.clone());
        }
        let options = Arc::new(options);
        let mut sent = Arc::clone(&options);
        if condition == Some(Condition::Advisory) {
            // The service may refuse what it does not know.
            let sent = Arc::make_mut(&mut sent);
            sent.if_exists = IfExists::Replace;
            sent.if_match = None;
        }
        Context {
            api: self.api(location),
            sent,
            options,
            condition,
            token,
            retry: self.0.retry.clone(),
            watch,
            hasher: self.0.hasher.clone(),
            sign: self.0.sign,
            service: Arc::clone(&self.0.service),
            running: Arc::clone(&self.0.running),
            repeat_late: self.0.repeat_late,
            abort_on_drop: config.abort_on_drop,
            keep_parts: config.keep_parts,
            resumed,
        }
    }

    pub(crate) fn running(&self) -> &Running {
        &self.0.running
    }

    pub(crate) fn retries(&self) -> &Retries {
        &self.0.retry
    }

    /// This store, with writers of another kind.
    pub(crate) fn with_mode(&self, change: impl FnOnce(&mut Mode)) -> Self {
        let mut inner = Inner::clone(&self.0);
        change(&mut inner.mode);
        Self(Arc::new(inner))
    }

    pub(crate) fn api(&self, location: Location) -> Api {
        Api {
            client: self.0.client.clone(),
            location: Arc::new(location),
            stall_timeout: self.0.stall_timeout,
            lanes: self.0.lanes.clone(),
            rate: self.0.rate.clone(),
            checksums: self.0.profile.checksums,
            protection: Arc::new(self.0.mode.protection.clone()),
        }
    }

    /// Refuses what the service would, and tells the content type by the name, if that is asked
    /// for.
    pub(crate) fn prepare(&self, uri: &str, options: &mut WriterOptions) -> Result<()> {
        check_tags(options)?;
        guess_content_type(uri, options)?;
        Ok(())
    }

    pub(crate) async fn open(
        &self,
        uri: &str,
        mut options: WriterOptions,
    ) -> Result<Box<dyn ObjectWriter>> {
        let location = Location::object(uri)?;
        if options.metadata.contains_key(TOKEN) {
            let text = format!("the name {TOKEN} is taken: conditional writes keep a token there");
            return Err(Error::new(ErrorKind::InvalidInput, text).with_uri(uri));
        }
        let mut resumed = None;
        if let Some(how) = &self.0.mode.resume {
            let found = self.find_upload(&location, how, &options).await;
            resumed = found.map_err(|error| error.with_uri(uri))?;
        }
        if let Some(resumed) = &resumed {
            options = resumed.fit(options, self.part_limits(), &self.0.mode.protection);
        }
        let prepared = self.prepare(uri, &mut options);
        prepared.map_err(|error| error.with_uri(uri))?;
        if self.0.profile.equal_parts && options.part_sizing == PartSizing::Auto {
            options.part_sizing = PartSizing::Uniform;
        }
        let (store, named) = (self.clone(), uri.to_owned());
        if self.0.mode.keep_parts && options.codec_for(uri).is_some() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "parts are kept to be resumed, and what is compressed on its way (as this name or \
                 the codec asks) can't be: leave out one of them",
            )
            .with_uri(uri));
        }
        open_writer(uri, options, &self.0.budget, move |options| {
            let mut config = MultipartUploadConfig::from(options);
            config.keep_parts = store.0.mode.keep_parts;
            let sink = StreamingMultipartSink::at(&store, location, config, resumed)?;
            Ok(Box::new(S3StreamingWriter::new(named, sink)))
        })
    }
}

#[async_trait]
impl ObjectStore for S3ObjectStore {
    async fn create_writer(
        &self,
        uri: &str,
        options: Option<WriterOptions>,
    ) -> Result<Box<dyn ObjectWriter>> {
        let options = options.map_or_else(WriterOptions::from_env, Ok)?;
        self.open(uri, options).await
    }

    async fn put(&self, uri: &str, data: Segment) -> Result<ObjectMetadata> {
        let options = WriterOptions::from_env()?.with_expected_size(data.len());
        let mut writer = self.open(uri, options).await?;
        writer.write_owned(data).await?;
        writer.finish().await
    }

    async fn stat(&self, uri: &str) -> Result<ObjectMetadata> {
        let api = self.api(Location::object(uri)?);
        let found = self.0.retry.run(|_| api.head()).await;
        let mut found = found.map_err(|error| error.with_uri(uri))?;
        found.metadata.remove(TOKEN);
        Ok(found)
    }

    async fn get(&self, uri: &str, range: ByteRange) -> Result<Box<dyn ObjectReader>> {
        let api = self.api(Location::object(uri)?);
        let reader = self.0.retry.run(|_| S3Reader::open(&api, range)).await;
        match reader {
            Ok(reader) => Ok(Box::new(reader)),
            Err(error) => Err(error.with_uri(uri)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Box<dyn ObjectLister>> {
        let api = self.api(Location::prefix(prefix)?);
        let lister = S3Lister::open(api, self.0.retry.clone()).await;
        match lister {
            Ok(lister) => Ok(Box::new(lister)),
            Err(error) => Err(error.with_uri(prefix)),
        }
    }

    async fn delete(&self, uri: &str) -> Result<()> {
        let api = self.api(Location::object(uri)?);
        let deleted = self
            .0
            .retry
            .run(|_| async {
                let request = api
                    .client
                    .delete_object()
                    .bucket(&api.location.bucket)
                    .key(&api.location.key);
                match api.answered(request.send()).await? {
                    Ok(_) => Ok(()),
                    Err(error) => Err(from_sdk("DeleteObject", error)),
                }
            })
            .await;
        match deleted {
            // Some services say so; that there is no object is what was asked for.
            Err(error) if error.kind() == ErrorKind::NotFound && !is_bucket(&error) => Ok(()),
            other => other.map_err(|error| error.with_uri(uri)),
        }
    }

    async fn close(&self) -> Result<()> {
        self.0.cleanups.wait().await
    }
}

impl fmt::Debug for S3ObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3ObjectStore")
            .field("budget", &self.0.budget)
            .field("part_limits", &self.0.part_limits)
            .field("retry", self.0.retry.policy())
            .finish_non_exhaustive()
    }
}

/// How fast bodies may leave, if `config` limits it.
fn rate(config: &S3Config) -> Result<Option<Rate>> {
    let Some(bytes) = config.max_bytes_per_second else {
        return Ok(None);
    };
    let rate = NonZero::new(bytes).map(Rate::new);
    rate.map(Some).ok_or_else(|| {
        let text = "max_bytes_per_second is 0: expected at least 1";
        Error::new(ErrorKind::InvalidInput, text)
    })
}

fn is_bucket(error: &Error) -> bool {
    error.message().contains("NoSuchBucket")
}
