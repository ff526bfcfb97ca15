//! A running server, as its owner sees it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::builder::{Builder, Options};
use super::fault::{Fault, InjectedFault};
use super::hold::Hold;
use super::object::{PendingUpload, StoredObject};
use super::operation::known;
use super::record::{RequestRecord, Stats};
use super::shared::Shared;
use super::tls::Tls;
use super::{net, service};

/// A running S3 server; dropping it stops it.
#[derive(Debug)]
pub struct TestServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    endpoint: String,
    task: Option<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

impl TestServer {
    /// Options to start a server with.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(super) fn launch(options: Options, runtime: Option<Runtime>) -> io::Result<Self> {
        let handle = match &runtime {
            Some(runtime) => runtime.handle().clone(),
            None => tokio::runtime::Handle::current(),
        };
        let _inside = handle.enter();
        let listener = net::listen(&options)?;
        let address = listener.local_addr()?;
        let tls = match options.tls {
            true => Some(Tls::new(address.ip())?),
            false => None,
        };
        let scheme = if options.tls { "https" } else { "http" };
        let shared = Arc::new(Shared::new(options, tls));
        for bucket in &shared.options.buckets {
            shared.store.ensure_bucket(bucket);
        }
        let s3 = service::s3(Arc::clone(&shared));
        let task = handle.spawn(net::accept(listener, Arc::clone(&shared), s3));
        Ok(Self {
            shared,
            address,
            endpoint: format!("{scheme}://{address}"),
            task: Some(task),
            runtime,
        })
    }

    /// The URL to give to a client, such as `http://127.0.0.1:41234`, with
    /// [`Builder::tls`] `https://127.0.0.1:41234`; buckets are addressed in the path.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The certificate in PEM that a client of a server with [`Builder::tls`]
    /// has to trust; `None` if the server speaks plain HTTP.
    pub fn ca_pem(&self) -> Option<&str> {
        self.shared.tls.as_ref().map(Tls::ca_pem)
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The access key that requests must be signed with.
    pub fn access_key(&self) -> &str {
        &self.shared.options.access_key
    }

    /// The secret key that requests must be signed with.
    pub fn secret_key(&self) -> &str {
        &self.shared.options.secret_key
    }

    /// The region that requests must be signed for.
    pub fn region(&self) -> &str {
        &self.shared.options.region
    }

    /// The bucket that exists from the start.
    pub fn bucket(&self) -> &str {
        &self.shared.options.buckets[0]
    }

    /// The object at `key` in [`bucket`](Self::bucket).
    pub fn object(&self, key: &str) -> Option<StoredObject> {
        self.object_in(self.bucket(), key)
    }

    /// The object at `key` in `bucket`.
    pub fn object_in(&self, bucket: &str, key: &str) -> Option<StoredObject> {
        self.shared.store.look(bucket, key)
    }

    /// The keys in [`bucket`](Self::bucket), in order.
    pub fn keys(&self) -> Vec<String> {
        self.shared.store.keys(self.bucket())
    }

    /// Puts an object into [`bucket`](Self::bucket), as a `PutObject` without any header does.
    pub fn insert(&self, key: &str, data: impl Into<Bytes>) {
        let object = StoredObject::of(data.into(), &self.shared.options);
        self.shared.store.insert(self.bucket(), key, object);
    }

    /// The multipart uploads of all buckets that are neither completed nor
    /// aborted.
    pub fn uploads(&self) -> Vec<PendingUpload> {
        self.shared.store.pending()
    }

    /// Every request so far, in the order they came; those in flight as far as
    /// they got.
    pub fn log(&self) -> Vec<RequestRecord> {
        self.shared.journal.records()
    }

    /// The requests of one operation among [`log`](Self::log).
    pub fn log_of(&self, operation: &str) -> Vec<RequestRecord> {
        let operation = known(operation);
        let mut records = self.log();
        records.retain(|record| record.operation == operation);
        records
    }

    /// Forgets the log so far.
    pub fn clear_log(&self) {
        self.shared.journal.clear();
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Adds a fault; earlier ones that match go first.
    pub fn inject(&self, fault: Fault) -> InjectedFault {
        self.shared.faults.add(fault)
    }

    /// Holds the answers to `operation` until the result is released or
    /// dropped: the work is done, only the reply waits.
    ///
    /// # Panics
    /// If there is no such operation in [`OPERATIONS`](super::OPERATIONS).
    pub fn hold(&self, operation: &str) -> Hold {
        self.shared.holds.add(known(operation), None)
    }

    /// Holds the answers to UploadPart of this part.
    pub fn hold_part(&self, number: i32) -> Hold {
        self.shared.holds.add("UploadPart", Some(number))
    }

    /// Answers `AccessDenied` to `operation` from now on.
    ///
    /// # Panics
    /// If there is no such operation in [`OPERATIONS`](super::OPERATIONS).
    pub fn deny(&self, operation: &str) {
        self.shared.set_denied(known(operation), true);
    }

    /// Takes [`deny`](Self::deny) back.
    ///
    /// # Panics
    /// If there is no such operation in [`OPERATIONS`](super::OPERATIONS).
    pub fn allow(&self, operation: &str) {
        self.shared.set_denied(known(operation), false);
    }

    /// Puts another pair of keys in force: requests that are signed with an earlier one are
    /// answered `ExpiredToken` from now on. [`access_key`](Self::access_key) and
    /// [`secret_key`](Self::secret_key) still say the first.
    pub fn renew_credentials(&self, access_key: &str, secret_key: &str) {
        self.shared.keys.renew(access_key, secret_key);
    }

    /// Waits until the work is done that [`Fault::late_work`] put off. Cancellation safe.
    pub async fn settled(&self) {
        self.shared.late.done().await;
    }

    /// How long every answer is kept back from now on.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.set_latency(latency);
    }

    /// Bytes per second that all connections together may send from now on; 0
    /// is no limit.
    ///
    /// The kernel's buffers stay as large as they were: start with a bandwidth,
    /// or with [`Builder::receive_buffer`], where that matters.
    pub fn set_bandwidth(&self, bytes_per_second: u64) {
        self.shared.pace.set_rate(bytes_per_second);
    }

    /// Bytes per second that each connection may send from now on; 0 is no
    /// limit.
    pub fn set_connection_bandwidth(&self, bytes_per_second: u64) {
        self.shared
            .connection_bandwidth
            .store(bytes_per_second, Ordering::Relaxed);
    }

    /// Stops listening, cuts the connections, and waits until that is done.
    pub async fn shutdown(mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            // An abort is what was asked for, not an error.
            let _ = task.await;
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        if let Some(runtime) = self.runtime.take() {
            // Dropping a runtime waits for it, which an async caller must not.
            runtime.shutdown_background();
        }
    }
}
