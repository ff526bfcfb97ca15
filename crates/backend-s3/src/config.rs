//! How to reach a service, and what it takes.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::{Credentials, SharedHttpClient};
use writer_core::PartLimits;

use crate::profile::{Conditions, ServiceProfile};
use crate::protection::Encryption;
use crate::retry::RetryPolicy;

/// Whether bodies are signed with SHA-256 (0.5 CPU seconds per GiB), besides their headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PayloadSigning {
    /// Over plain HTTP, where nothing else protects the bytes on their way; not over TLS.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never. The CRC64NVME in the signed headers still covers the body.
    Never,
}

/// How to reach an S3 service. What is not set comes from the AWS environment variables and
/// profiles, as for every AWS tool.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct S3Config {
    /// Base URL of the service, for anything but AWS: `http://localhost:9000`.
    pub endpoint_url: Option<String>,
    /// Region. Where neither this nor the environment says one and an endpoint is set: us-east-1.
    pub region: Option<String>,
    /// Profile of the AWS configuration files, one of which must have it. Its credentials, if it
    /// has any, come before those of the environment.
    pub profile: Option<String>,
    /// `host/bucket/key` rather than `bucket.host/key`. Default: where an endpoint is set.
    pub path_style: Option<bool>,
    /// Credentials, instead of those of the environment.
    pub credentials: Option<Credentials>,
    /// Where credentials come from that expire and are renewed, instead of
    /// [`credentials`](Self::credentials). It is asked shortly before those that it gave expire.
    pub credentials_provider: Option<SharedCredentialsProvider>,
    /// Send requests without credentials, as anybody may: for buckets that are open to all.
    /// Payloads are not signed then, so a service that takes no checksums checks nothing.
    pub anonymous: bool,
    /// A file of certificates in PEM to trust instead of the system's roots. Default: what the
    /// environment variable `AWS_CA_BUNDLE` names, if it is set.
    pub ca_bundle: Option<PathBuf>,
    /// Take any certificate for the service's, whoever shows it: anyone on the way can read and
    /// change what is sent, and pose as the service. For tests alone; a
    /// [`ca_bundle`](Self::ca_bundle) is what a service with a certificate of its own needs.
    /// Where credentials are asked for, certificates are checked in any case.
    pub danger_accept_invalid_certs: bool,
    /// HTTP client, instead of this crate's own.
    pub http_client: Option<SharedHttpClient>,
    /// Memory budget in bytes, from 1 MiB. Default: `S3DLIO_PUT_MEMORY`, or 128 MiB.
    pub memory: Option<u64>,
    /// Whether bodies are signed.
    pub payload_signing: PayloadSigning,
    /// What the service is known to do. Default: by the host of the endpoint
    /// ([`ServiceProfile::of_endpoint`]).
    pub service: Option<ServiceProfile>,
    /// What is done about conditions where the service is not known to keep them.
    pub conditions: Conditions,
    /// The account that the bucket must belong to; requests for another's fail with
    /// [`AccessDenied`](writer_core::ErrorKind::AccessDenied).
    pub expected_bucket_owner: Option<String>,
    /// Agree to pay for requests to buckets whose requesters do.
    pub requester_pays: bool,
    /// How the service encrypts what is stored. Default: as the bucket says.
    pub encryption: Option<Encryption>,
    /// The canned ACL of what is stored, by the service's name: see
    /// [`S3ObjectStore::with_acl`](crate::S3ObjectStore::with_acl). Default: none.
    pub acl: Option<String>,
    /// What the service takes. Default: what its profile says.
    pub part_limits: Option<PartLimits>,
    /// Most bodies that all writers of the store send at once, from 1. Default 256. It is a
    /// ceiling: answers that ask to slow down (503, 429) halve the number, success raises it again.
    pub max_in_flight: Option<usize>,
    /// Do not send fewer bodies at once where the service asks to slow down. By default, the
    /// number is halved, which spares it bodies that it would only refuse.
    pub ignore_slow_down: bool,
    /// Do not send a part a second time that keeps a whole upload waiting. By default, when all
    /// other parts are stored or on their way and one takes three times as long as they did, it
    /// is sent once more over another connection, and what is stored first counts: at most 2 % of
    /// the bytes, or one part.
    pub wait_for_late_parts: bool,
    /// How requests are tried again.
    pub retry: RetryPolicy,
    /// How long a request may go without any progress (no byte of its body taken, or no answer
    /// after the last one) before it is tried again. Default 60 s; answers may take five times
    /// as long, because the kernel holds bytes that are not on the wire yet.
    pub stall_timeout: Option<Duration>,
    /// How long it may take to resolve a name, to connect, and to agree on TLS, each. Default 10 s.
    pub connect_timeout: Option<Duration>,
    /// Most bytes of bodies that leave in a second, of all writers together and with those that are
    /// sent again; from 1. They leave evenly: a 50th of it at once, or 256 KiB. Default: as fast as
    /// the network takes them.
    pub max_bytes_per_second: Option<u64>,
}

impl S3Config {
    /// Sets [`endpoint_url`](Self::endpoint_url).
    #[must_use]
    pub fn with_endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// Sets [`region`](Self::region).
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets [`profile`](Self::profile).
    #[must_use]
    pub fn with_profile(mut self, profile: impl Into<String>) -> Self {
        self.profile = Some(profile.into());
        self
    }

    /// Sets [`path_style`](Self::path_style).
    #[must_use]
    pub fn with_path_style(mut self, path_style: bool) -> Self {
        self.path_style = Some(path_style);
        self
    }

    /// Sets [`credentials`](Self::credentials) that do not expire.
    #[must_use]
    pub fn with_credentials(
        mut self,
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
    ) -> Self {
        self.credentials = Some(Credentials::new(
            access_key_id,
            secret_access_key,
            None,
            None,
            "S3Config",
        ));
        self
    }

    /// Sets [`credentials_provider`](Self::credentials_provider).
    #[must_use]
    pub fn with_credentials_provider(mut self, provider: SharedCredentialsProvider) -> Self {
        self.credentials_provider = Some(provider);
        self
    }

    /// Sets [`anonymous`](Self::anonymous).
    #[must_use]
    pub fn with_anonymous(mut self, anonymous: bool) -> Self {
        self.anonymous = anonymous;
        self
    }

    /// Sets [`danger_accept_invalid_certs`](Self::danger_accept_invalid_certs).
    #[must_use]
    pub fn with_danger_accept_invalid_certs(mut self, accept: bool) -> Self {
        self.danger_accept_invalid_certs = accept;
        self
    }

    /// Sets [`ca_bundle`](Self::ca_bundle).
    #[must_use]
    pub fn with_ca_bundle(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_bundle = Some(path.into());
        self
    }

    /// Sets [`http_client`](Self::http_client).
    #[must_use]
    pub fn with_http_client(mut self, client: SharedHttpClient) -> Self {
        self.http_client = Some(client);
        self
    }

    /// Sets [`memory`](Self::memory), in bytes.
    #[must_use]
    pub fn with_memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Sets [`payload_signing`](Self::payload_signing).
    #[must_use]
    pub fn with_payload_signing(mut self, signing: PayloadSigning) -> Self {
        self.payload_signing = signing;
        self
    }

    /// Sets [`service`](Self::service).
    #[must_use]
    pub fn with_service(mut self, profile: ServiceProfile) -> Self {
        self.service = Some(profile);
        self
    }

    /// Sets [`conditions`](Self::conditions).
    #[must_use]
    pub fn with_conditions(mut self, conditions: Conditions) -> Self {
        self.conditions = conditions;
        self
    }

    /// Sets [`expected_bucket_owner`](Self::expected_bucket_owner).
    #[must_use]
    pub fn with_expected_bucket_owner(mut self, account: impl Into<String>) -> Self {
        self.expected_bucket_owner = Some(account.into());
        self
    }

    /// Sets [`requester_pays`](Self::requester_pays).
    #[must_use]
    pub fn with_requester_pays(mut self, pays: bool) -> Self {
        self.requester_pays = pays;
        self
    }

    /// Sets [`encryption`](Self::encryption).
    #[must_use]
    pub fn with_encryption(mut self, encryption: Encryption) -> Self {
        self.encryption = Some(encryption);
        self
    }

    /// Sets [`acl`](Self::acl).
    #[must_use]
    pub fn with_acl(mut self, acl: impl Into<String>) -> Self {
        self.acl = Some(acl.into());
        self
    }

    /// Sets [`part_limits`](Self::part_limits).
    #[must_use]
    pub fn with_part_limits(mut self, limits: PartLimits) -> Self {
        self.part_limits = Some(limits);
        self
    }

    /// Sets [`max_in_flight`](Self::max_in_flight).
    #[must_use]
    pub fn with_max_in_flight(mut self, bodies: usize) -> Self {
        self.max_in_flight = Some(bodies);
        self
    }

    /// Sets [`ignore_slow_down`](Self::ignore_slow_down).
    #[must_use]
    pub fn with_ignore_slow_down(mut self, ignore: bool) -> Self {
        self.ignore_slow_down = ignore;
        self
    }

    /// Sets [`wait_for_late_parts`](Self::wait_for_late_parts).
    #[must_use]
    pub fn with_wait_for_late_parts(mut self, wait: bool) -> Self {
        self.wait_for_late_parts = wait;
        self
    }

    /// Sets [`retry`](Self::retry).
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sets [`stall_timeout`](Self::stall_timeout).
    #[must_use]
    pub fn with_stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall_timeout = Some(timeout);
        self
    }

    /// Sets [`connect_timeout`](Self::connect_timeout).
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Sets [`max_bytes_per_second`](Self::max_bytes_per_second).
    #[must_use]
    pub fn with_max_bytes_per_second(mut self, bytes: u64) -> Self {
        self.max_bytes_per_second = Some(bytes);
        self
    }
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config")
            .field("endpoint_url", &self.endpoint_url)
            .field("region", &self.region)
            .field("profile", &self.profile)
            .field("path_style", &self.path_style)
            .field("credentials", &self.credentials.as_ref().map(|_| "given"))
            .field(
                "credentials_provider",
                &self.credentials_provider.as_ref().map(|_| "given"),
            )
            .field("anonymous", &self.anonymous)
            .field(
                "danger_accept_invalid_certs",
                &self.danger_accept_invalid_certs,
            )
            .field("ca_bundle", &self.ca_bundle)
            .field("memory", &self.memory)
            .field("payload_signing", &self.payload_signing)
            .field("service", &self.service)
            .field("conditions", &self.conditions)
            .field("expected_bucket_owner", &self.expected_bucket_owner)
            .field("requester_pays", &self.requester_pays)
            .field("encryption", &self.encryption)
            .field("acl", &self.acl)
            .field("part_limits", &self.part_limits)
            .field("max_in_flight", &self.max_in_flight)
            .field("ignore_slow_down", &self.ignore_slow_down)
            .field("wait_for_late_parts", &self.wait_for_late_parts)
            .field("retry", &self.retry)
            .field("stall_timeout", &self.stall_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("max_bytes_per_second", &self.max_bytes_per_second)
            .finish_non_exhaustive()
    }
}
