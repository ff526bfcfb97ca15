//! From a configuration to a client.

use std::path::PathBuf;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation, StalledStreamProtectionConfig};
use aws_types::service_config::ServiceConfigKey;

use aws_sdk_s3::config::SharedHttpClient;
use writer_core::{Error, ErrorKind, Result, split_scheme};

use crate::config::S3Config;
use crate::headers::BucketHeaders;
use crate::http::{self, CaBundle, Trust};
use crate::profile::ServiceProfile;
use crate::shared_profile;

/// Unless the configuration says another.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client, and what its endpoint tells.
pub(crate) struct Connected {
    pub(crate) client: Client,
    /// Requests go over plain HTTP.
    pub(crate) plain: bool,
    pub(crate) profile: ServiceProfile,
}

/// A client for `config`.
///
/// # Errors
///
/// If the CA bundle can't be used, there is no such profile, the endpoint is no URL of HTTP, or
/// there is neither an endpoint nor a region.
pub(crate) async fn connect(config: &S3Config) -> Result<Connected> {
    let limit = config.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    let http = match &config.http_client {
        Some(client) => client.clone(),
        None => {
            let trust = match ca_bundle(config).await? {
                Some(bundle) => Trust::Bundle(bundle),
                None => Trust::System,
            };
            SharedHttpClient::new(http::Client::new(trust, limit))
        }
    };
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
    if let Some(profile) = &config.profile {
        loader = loader.profile_name(profile);
        if let Some(credentials) =
            shared_profile::credentials(profile, config.region.as_deref(), http).await?
        {
            loader = loader.credentials_provider(credentials);
        }
    }
    if let Some(region) = &config.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(provider) = &config.credentials_provider {
        loader = loader.credentials_provider(provider.clone());
    } else if let Some(credentials) = &config.credentials {
        loader = loader.credentials_provider(credentials.clone());
    }
    if config.anonymous {
        loader = loader.no_credentials();
    }
    if let Some(endpoint) = &config.endpoint_url {
        loader = loader.endpoint_url(endpoint);
    }
    let shared = loader.load().await;
    let endpoint = endpoint_of(config, &shared);
    match &endpoint {
        Some(endpoint) => refuse_no_url(endpoint)?,
        None if shared.region().is_none() => {
            let text = "there is no region: set AWS_REGION, or region in the profile";
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        None => {}
    }

    let mut builder = Builder::from(&shared);
    builder = builder.force_path_style(config.path_style.unwrap_or(endpoint.is_some()));
    if shared.region().is_none() && endpoint.is_some() {
        builder = builder.region(Region::from_static("us-east-1"));
    }
    if config.danger_accept_invalid_certs && config.http_client.is_none() {
        builder = builder.http_client(http::Client::new(Trust::Anyone, limit));
    }
    let builder = tune(builder, config);
    Ok(Connected {
        client: Client::from_conf(builder.build()),
        plain: endpoint.as_deref().is_some_and(is_plain),
        profile: ServiceProfile::of_endpoint(endpoint.as_deref()),
    })
}

/// Refuses what requests can't be sent to: the SDK would say that of each, in words of its own.
fn refuse_no_url(endpoint: &str) -> Result<()> {
    let has_scheme = split_scheme(endpoint).is_some_and(|(scheme, rest)| {
        let scheme = scheme.to_ascii_lowercase();
        matches!(&*scheme, "http" | "https") && !rest.is_empty()
    });
    if has_scheme
        && endpoint
            .parse::<::http::Uri>()
            .is_ok_and(|url| url.host().is_some())
    {
        return Ok(());
    }
    let text = format!(
        "the endpoint {endpoint:?} is no URL: expected http://HOST:PORT or https://HOST:PORT"
    );
    Err(Error::new(ErrorKind::InvalidInput, text))
}

async fn ca_bundle(config: &S3Config) -> Result<Option<CaBundle>> {
    let from_environment = || std::env::var_os("AWS_CA_BUNDLE").map(PathBuf::from);
    let path = config.ca_bundle.clone().or_else(from_environment);
    match path.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => CaBundle::read(&path).await.map(Some),
        None => Ok(None),
    }
}

/// `client` with what would work against this crate switched off: the SDK's retries (ours count
/// parts), its stalled-stream protection (64 parts over a slow line look stalled to it, and fail
/// within seconds) and its own checksums (a second hash, sent as trailers).
pub(crate) fn tuned(client: &Client, config: &S3Config) -> Client {
    Client::from_conf(tune(client.config().to_builder(), config).build())
}

pub(crate) fn is_plain(endpoint: &str) -> bool {
    endpoint
        .get(..7)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"))
}

fn tune(builder: Builder, config: &S3Config) -> Builder {
    builder
        .interceptor(BucketHeaders::new(config))
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(config.connect_timeout.unwrap_or(CONNECT_TIMEOUT))
                .build(),
        )
}

/// The endpoint that the SDK will use, if one is set: it looks for the service's own, in the
/// environment and the profile, before the one for all services.
fn endpoint_of(config: &S3Config, shared: &SdkConfig) -> Option<String> {
    let own = || {
        let key = ServiceConfigKey::builder()
            .service_id("S3")
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .ok()?;
        shared.service_config()?.load_config(key)
    };
    config
        .endpoint_url
        .clone()
        .or_else(own)
        .or_else(|| shared.endpoint_url().map(str::to_owned))
}
