//! What a run works on: a server, perhaps a bad network before it, a store, and data.

use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use backend_s3::{PayloadSigning, RetryPolicy, S3Config, S3ObjectStore, ServiceProfile};
use fastrand::Rng;
use testkit::network::Network;
use testkit::server::{ETags, TestServer};
use writer_core::{PartLimits, Segment, WriterOptions};

use crate::common::random;
use crate::kind::{Kind, Operation};
use crate::plan::Rotating;

/// Part size of most runs: small, so that a run takes milliseconds.
const PART: u64 = 8 * 1024;

/// Larger than what the buffers of a connection take, so that a body can be stopped half way.
const LARGE_PART: u64 = 3 << 20;

/// With so few bytes of memory, a write of parts of that size waits for those before it.
const TIGHT_PART: u64 = 128 * 1024;
const TIGHT_MEMORY: u64 = 1 << 20;

/// The key that is written.
pub(crate) const KEY: &str = "key";

pub(crate) const URI: &str = "s3://test/key";

/// What a run works on, all of it drawn from its seed.
pub(crate) struct Setup {
    pub(crate) kind: Kind,
    pub(crate) operation: Operation,
    pub(crate) rng: Rng,
    pub(crate) server: Arc<TestServer>,
    pub(crate) network: Option<Network>,
    pub(crate) config: S3Config,
    pub(crate) options: WriterOptions,
    pub(crate) part_size: u64,
    pub(crate) old: Vec<u8>,
    pub(crate) new: Vec<u8>,
    /// How `new` is handed over.
    pub(crate) pieces: Vec<Range<usize>>,
    /// What the operation reads, if it is written from a file.
    pub(crate) file: Option<Arc<File>>,
    /// The same file, to meddle with.
    pub(crate) meddler: Option<File>,
    /// Credentials that change, if they do.
    pub(crate) rotating: Option<Rotating>,
}

impl Setup {
    pub(crate) async fn draw(kind: Kind, operation: Operation, seed: u64) -> Self {
        let mut rng = Rng::with_seed(mixed(seed, kind, operation));
        let large = kind == Kind::Stall && rng.u8(..12) == 0;
        let tight = kind.leaves() && operation == Operation::Memory && rng.u8(..4) == 0;
        let (part_size, most_parts) = match (large, tight) {
            (true, _) => (LARGE_PART, 2),
            (_, true) => (TIGHT_PART, 12),
            _ => (PART, 6),
        };
        let server = TestServer::builder()
            .bucket("test")
            .min_part_size(part_size)
            .keep_log(false)
            // MD5 of what is larger takes too long.
            .etags(if part_size == PART && rng.bool() {
                ETags::Md5
            } else {
                ETags::Random
            })
            .promises_full_object(rng.u8(..4) > 0)
            .repeat_complete(rng.bool())
            .start()
            .await
            .unwrap();
        let server = Arc::new(server);
        let old = random(rng.u64(..), rng.usize(1..2_000));
        server.insert(KEY, old.clone());
        let len = match operation {
            Operation::Put => rng.u64(1..=part_size),
            _ => rng.u64(part_size + 1..=part_size * most_parts),
        };
        let new = random(rng.u64(..), len as usize);
        let network = match kind.trouble() {
            None => None,
            Some(trouble) => {
                // Heads and answers travel as well.
                let options = kind.network(len + 4_000);
                let network =
                    Network::with_options(server.address(), trouble, rng.u64(..), options);
                Some(network.await.unwrap())
            }
        };
        let rotating = (kind == Kind::RenewedCredentials).then(|| Rotating::of(&server, &mut rng));
        let config = config(kind, &mut rng, &server, network.as_ref(), part_size);
        let config = config.with_memory(if tight { TIGHT_MEMORY } else { 16 << 20 });
        let options = options(&mut rng, part_size, len);
        let from_file = match operation {
            Operation::Put => kind == Kind::SourceChanges || rng.bool(),
            Operation::Memory => false,
            Operation::File => true,
        };
        let (file, meddler) = from_file.then(|| file_of(&new)).unzip();
        let config = match &rotating {
            Some(rotating) => config.with_credentials_provider(rotating.provider()),
            None => config,
        };
        Self {
            pieces: pieces(&mut rng, new.len(), part_size, from_file),
            kind,
            operation,
            rng,
            server,
            network,
            config,
            options,
            part_size,
            old,
            new,
            file,
            meddler,
            rotating,
        }
    }

    /// A store, on the runtime of the caller.
    pub(crate) async fn store(&self) -> S3ObjectStore {
        S3ObjectStore::connect(self.config.clone()).await.unwrap()
    }

    /// What to write next; `None` for bytes that are to be copied.
    pub(crate) fn owned(&self, piece: &Range<usize>, copy: bool) -> Option<Segment> {
        match &self.file {
            Some(file) => {
                let range = piece.start as u64..piece.end as u64;
                Some(Segment::file(Arc::clone(file), range))
            }
            None if copy => None,
            None => Some(self.new[piece.clone()].to_vec().into()),
        }
    }

    pub(crate) fn parts(&self) -> u64 {
        (self.new.len() as u64).div_ceil(self.part_size)
    }
}

/// Different kinds and operations draw differently from the same seed.
fn mixed(seed: u64, kind: Kind, operation: Operation) -> u64 {
    let mut rng = Rng::with_seed(seed);
    (0..=kind as u64 * 3 + operation as u64).fold(0, |_, _| rng.u64(..))
}

fn config(
    kind: Kind,
    rng: &mut Rng,
    server: &TestServer,
    network: Option<&Network>,
    part_size: u64,
) -> S3Config {
    let endpoint = network.map_or_else(|| server.endpoint().to_owned(), Network::endpoint);
    let retry = RetryPolicy::default()
        .with_backoff(Duration::from_millis(1), Duration::from_millis(8))
        .with_max_attempts(match kind {
            // Refused again and again within one outage.
            Kind::Refuse => 40,
            // So few that the work comes after the last.
            Kind::LateWork => rng.u32(2..=5),
            _ => 8,
        });
    S3Config::default()
        .with_service(ServiceProfile::DEV)
        .with_endpoint_url(endpoint)
        .with_region(server.region())
        .with_credentials(server.access_key(), server.secret_key())
        .with_ca_bundle(one_certificate())
        .with_payload_signing(if rng.bool() {
            PayloadSigning::Never
        } else {
            PayloadSigning::Always
        })
        .with_part_limits(PartLimits {
            min_part_size: part_size,
            ..PartLimits::S3
        })
        .with_stall_timeout(kind.stall_timeout())
        .with_retry(retry)
}

/// A file with one certificate, which nobody shows: a client reads all that it trusts when it is
/// made, and the system has so many that this would take longer than a run.
fn one_certificate() -> &'static Path {
    static BUNDLE: OnceLock<PathBuf> = OnceLock::new();
    BUNDLE.get_or_init(|| {
        let server = TestServer::builder().tls().start_on_threads(1).unwrap();
        let name = format!("chaos-ca-{}.pem", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, server.ca_pem().unwrap()).unwrap();
        path
    })
}

fn options(rng: &mut Rng, part_size: u64, len: u64) -> WriterOptions {
    let options = WriterOptions::default()
        .with_part_size(part_size)
        .with_max_concurrency(rng.usize(1..=4));
    if rng.bool() {
        options.with_expected_size(len)
    } else {
        options
    }
}

/// A file that was last written a while ago, so that every change of it shows.
fn file_of(data: &[u8]) -> (Arc<File>, File) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(data).unwrap();
    let before = SystemTime::now() - Duration::from_secs(60);
    file.set_modified(before).unwrap();
    (Arc::new(file.try_clone().unwrap()), file)
}

fn pieces(rng: &mut Rng, len: usize, part_size: u64, from_file: bool) -> Vec<Range<usize>> {
    let longest = part_size as usize * if from_file { 6 } else { 2 };
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < len {
        let end = len.min(start + rng.usize(1..=longest));
        pieces.push(start..end);
        start = end;
    }
    pieces
}
