//! Options of a server, and how it is started.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::handle::TestServer;
use super::load::LoadOptions;
use super::operation::known;

/// What ETags are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ETags {
    /// MD5 in hex, and for multipart objects MD5 of the parts' MD5s and `-N`,
    /// as AWS does without KMS. MD5 costs 1.65 CPU seconds a GiB.
    #[default]
    Md5,
    /// Random: cheap, and shows whether a client takes an ETag for an MD5.
    Random,
}

/// What becomes of a part that comes without its checksum, in an upload that declared a
/// checksum of the full object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unasked {
    /// It is computed, kept and echoed, as AWS does.
    #[default]
    Computed,
    /// It is kept without being echoed.
    Silent,
    /// The part is refused with `InvalidRequest`, as if the type were COMPOSITE.
    Refused,
}

/// Options of a [`TestServer`]; every one has a default fit for a test.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    pub(super) options: Options,
}

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) address: SocketAddr,
    pub(super) buckets: Vec<String>,
    pub(super) access_key: String,
    pub(super) secret_key: String,
    pub(super) region: String,
    pub(super) min_part_size: u64,
    pub(super) max_part_size: u64,
    pub(super) etags: ETags,
    pub(super) unasked: Unasked,
    pub(super) promises_full_object: bool,
    pub(super) discard: bool,
    pub(super) hashing: bool,
    pub(super) repeat_complete: bool,
    pub(super) ignore_conditions: bool,
    pub(super) ignore_encryption: bool,
    pub(super) keep_log: bool,
    pub(super) bandwidth: u64,
    pub(super) connection_bandwidth: u64,
    pub(super) receive_buffer: Option<u32>,
    pub(super) latency: Duration,
    pub(super) load: LoadOptions,
    pub(super) tls: bool,
    pub(super) denied: BTreeSet<&'static str>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            options: Options {
                address: (Ipv4Addr::LOCALHOST, 0).into(),
                buckets: vec!["test".to_owned()],
                access_key: "testkit".to_owned(),
                secret_key: "testkit-secret".to_owned(),
                region: "us-east-1".to_owned(),
                min_part_size: 5 << 20,
                max_part_size: 5 << 30,
                etags: ETags::Md5,
                unasked: Unasked::Computed,
                promises_full_object: true,
                discard: false,
                hashing: true,
                repeat_complete: false,
                ignore_conditions: false,
                ignore_encryption: false,
                keep_log: true,
                bandwidth: 0,
                connection_bandwidth: 0,
                receive_buffer: None,
                latency: Duration::ZERO,
                load: LoadOptions::default(),
                tls: false,
                denied: BTreeSet::new(),
            },
        }
    }
}

impl Builder {
    /// The bucket that exists from the start, instead of `test`.
    pub fn bucket(mut self, name: impl Into<String>) -> Self {
        self.options.buckets[0] = name.into();
        self
    }

    /// One more bucket that exists from the start.
    pub fn another_bucket(mut self, name: impl Into<String>) -> Self {
        self.options.buckets.push(name.into());
        self
    }

    /// The address to listen on; `127.0.0.1` and any free port by default.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.options.address = address;
        self
    }

    /// The credentials that requests must be signed with.
    pub fn credentials(
        mut self,
        access_key: impl Into<String>,
        secret_key: impl Into<String>,
    ) -> Self {
        self.options.access_key = access_key.into();
        self.options.secret_key = secret_key.into();
        self
    }

    /// The region that requests must be signed for; `us-east-1` by default.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.options.region = region.into();
        self
    }

    /// The least size in bytes of every part but the last; 5 MiB by default, as AWS.
    pub fn min_part_size(mut self, bytes: u64) -> Self {
        self.options.min_part_size = bytes;
        self
    }

    /// The greatest size in bytes of a part or a `PutObject`; 5 GiB by default, as AWS.
    pub fn max_part_size(mut self, bytes: u64) -> Self {
        self.options.max_part_size = bytes;
        self
    }

    /// What ETags are made of.
    pub fn etags(mut self, etags: ETags) -> Self {
        self.options.etags = etags;
        self
    }

    /// What becomes of parts that come without their checksum.
    pub fn unasked(mut self, unasked: Unasked) -> Self {
        self.options.unasked = unasked;
        self
    }

    /// Whether CreateMultipartUpload answers with the type of the checksum; on by default, as
    /// AWS does.
    pub fn promises_full_object(mut self, promises: bool) -> Self {
        self.options.promises_full_object = promises;
        self
    }

    /// Forgets bodies as they come and keeps only their size, checksum and
    /// ETag, so that memory stays constant: `GetObject` answers 501.
    ///
    /// With [`hashing`](Self::hashing) off as well, nearly all CPU time goes to
    /// the kernel, which copies out of the socket: of 0.3 s a GiB measured with
    /// 8 connections on loopback, 0.03 s were spent outside of it.
    ///
    /// An aws-chunked body is the exception: it is buffered chunk by chunk to
    /// verify it, and some clients send a whole part as one chunk.
    pub fn discard(mut self, discard: bool) -> Self {
        self.options.discard = discard;
        self
    }

    /// Whether checksums and `Content-MD5` are computed and verified; on by
    /// default.
    ///
    /// Off, the checksums that clients send are believed and echoed (one that none
    /// sends is computed), those of
    /// parts are still combined and compared at the end, and ETags are random.
    /// A signed payload is verified all the same.
    pub fn hashing(mut self, hashing: bool) -> Self {
        self.options.hashing = hashing;
        self
    }

    /// Whether CompleteMultipartUpload may be repeated once it has succeeded, as
    /// long as no newer object took its place: AWS often, but by no promise,
    /// lets one do so. Off by default: the answer is `NoSuchUpload`.
    pub fn repeat_complete(mut self, repeat: bool) -> Self {
        self.options.repeat_complete = repeat;
        self
    }

    /// Whether `If-Match` and `If-None-Match` of writes are ignored, as some
    /// services do. Off by default.
    pub fn ignore_conditions(mut self, ignore: bool) -> Self {
        self.options.ignore_conditions = ignore;
        self
    }

    /// Whether the headers that ask for encryption are ignored, as some services do. Off by
    /// default.
    pub fn ignore_encryption(mut self, ignore: bool) -> Self {
        self.options.ignore_encryption = ignore;
        self
    }

    /// Whether [`TestServer::log`] is kept; on by default. A server that runs
    /// for long wants it off.
    pub fn keep_log(mut self, keep: bool) -> Self {
        self.options.keep_log = keep;
        self
    }

    /// Bytes per second that all connections together may send to the server;
    /// 0, the default, is no limit. See [`TestServer::set_bandwidth`].
    ///
    /// A throttled server also asks the kernel for small receive buffers, so
    /// that the pace reaches the client.
    pub fn bandwidth(mut self, bytes_per_second: u64) -> Self {
        self.options.bandwidth = bytes_per_second;
        self
    }

    /// Bytes per second that each connection may send to the server; 0, the
    /// default, is no limit.
    pub fn connection_bandwidth(mut self, bytes_per_second: u64) -> Self {
        self.options.connection_bandwidth = bytes_per_second;
        self
    }

    /// The size in bytes of the kernel's receive buffer of each connection
    /// (`SO_RCVBUF`, which Linux doubles). Unset, it is the kernel's choice, or
    /// what comes in within some milliseconds (32 KiB at least) when the builder
    /// sets a bandwidth.
    pub fn receive_buffer(mut self, bytes: u32) -> Self {
        self.options.receive_buffer = Some(bytes);
        self
    }

    /// How long every answer is kept back; none by default.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.options.latency = latency;
        self
    }

    /// Makes a straggler of every `count`-th UploadPart and PutObject with a
    /// body: the server stops reading for `duration` when half of the body has
    /// arrived. They count in the order in which they come; 0 is none.
    pub fn stall_every(mut self, count: u64, duration: Duration) -> Self {
        self.options.load.stall_every = count;
        self.options.load.stall = duration;
        self
    }

    /// Slows every `count`-th connection, in the order in which they are
    /// accepted, down to so many bytes per second for its life; 0 is none.
    ///
    /// It takes the place of
    /// [`connection_bandwidth`](Self::connection_bandwidth) there.
    pub fn slow_every(mut self, count: u64, bytes_per_second: u64) -> Self {
        self.options.load.slow_every = count;
        self.options.load.slow_bandwidth = bytes_per_second;
        self
    }

    /// Answers 503 `SlowDown` to an UploadPart or PutObject that comes while so
    /// many are being received; 0, the default, is no limit.
    ///
    /// A request counts until its body was received, not while its answer is
    /// kept back. As S3 does, the server closes the connection after the
    /// refusal; it reads the body first, so that the client surely sees it.
    pub fn slow_down_above(mut self, requests: u64) -> Self {
        self.options.load.slow_down_above = requests;
        self
    }

    /// Speaks HTTPS (HTTP/1.1), with a certificate made at the start for
    /// `localhost`, `127.0.0.1`, `::1` and the address it listens on. A client
    /// has to trust [`TestServer::ca_pem`].
    ///
    /// Bandwidths are those of the encrypted bytes then.
    pub fn tls(mut self) -> Self {
        self.options.tls = true;
        self
    }

    /// Answers `AccessDenied` to `operation` (such as `HeadObject`): the
    /// credentials lack that permission.
    ///
    /// # Panics
    /// If there is no such operation in [`OPERATIONS`](super::OPERATIONS).
    pub fn deny(mut self, operation: &str) -> Self {
        self.options.denied.insert(known(operation));
        self
    }

    /// Starts the server on the runtime of the caller.
    ///
    /// # Errors
    /// If the address cannot be listened on, or no certificate be made.
    pub async fn start(self) -> io::Result<TestServer> {
        TestServer::launch(self.options, None)
    }

    /// Starts the server on a runtime of its own with so many threads, so that
    /// it runs also while the caller blocks. Needs no runtime.
    ///
    /// # Errors
    /// If the address cannot be listened on, or no threads be had or
    /// certificate be made.
    pub fn start_on_threads(self, threads: usize) -> io::Result<TestServer> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("testkit-server")
            .enable_all()
            .build()?;
        TestServer::launch(self.options, Some(runtime))
    }
}
