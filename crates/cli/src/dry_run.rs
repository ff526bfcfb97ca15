//! What `put` would do, object by object. Nothing is written, no command is started, and nothing is
//! read but the first bytes of files whose names ask for compression.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read as _;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::OnceCell;
use tokio::task::{JoinHandle, spawn_blocking};
use writer_core::{
    Error, ErrorKind, IfExists, ObjectMetadata, ObjectStore, PartLimits, PartPlan, Result,
    WriterOptions,
};
use writer_tokio::{Codec, Receipt};

use crate::exit;
use crate::jobs::Job;
use crate::json;
use crate::printer::{Printer, one_line};
use crate::source::Source;
use crate::tally::{Tally, grouped};
use crate::watch::human;

/// Most objects that are looked at at once.
const AT_ONCE: usize = 32;

/// Looks at the options of a write, of several requests if that is true.
pub(crate) type Check = Box<dyn Fn(&WriterOptions, bool) -> Result<()> + Send + Sync>;

/// How objects would be written.
pub(crate) struct How {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) options: WriterOptions,
    /// The store's memory, in bytes.
    pub(crate) memory: u64,
    /// What the service takes; a disk has no parts.
    pub(crate) limits: Option<PartLimits>,
    /// Refuses a condition that the service is not known to keep.
    pub(crate) check: Check,
    /// Why the bucket can't be written to, once that was asked for.
    pub(crate) missing: OnceCell<Option<Error>>,
    /// Each object is read after it was stored.
    pub(crate) verify: bool,
}

impl How {
    /// Whether the bucket of `uri`, which is that of all, is missing: of an object that is not
    /// there, the answer does not tell.
    async fn missing(&self, uri: &str) -> Option<&Error> {
        // A disk has no buckets.
        self.limits?;
        let ask = async || {
            let listed = match self.store.list(uri).await {
                Ok(mut objects) => objects.next_batch().await.map(drop),
                Err(error) => Err(error),
            };
            // Whoever may not list may write.
            listed
                .err()
                .filter(|error| error.kind() == ErrorKind::NotFound)
        };
        self.missing.get_or_init(ask).await.as_ref()
    }
}

/// Prints what would become of each of `jobs`, in their order. `failures` are those of objects that
/// could not be written, as was told before.
///
/// # Errors
///
/// What would keep objects from being written, as far as it can be known, after all of it was told.
pub(crate) async fn run(
    how: How,
    jobs: impl Iterator<Item = Job>,
    printer: &Printer,
    quiet: bool,
    mut failures: Tally,
) -> anyhow::Result<()> {
    let (how, mut jobs) = (Arc::new(how), jobs.peekable());
    let (mut objects, mut bytes) = (failures.count(), 0u64);
    while jobs.peek().is_some() {
        let some: Vec<JoinHandle<Result<Planned>>> = jobs
            .by_ref()
            .take(AT_ONCE)
            .map(|job| tokio::spawn(Planned::new(Arc::clone(&how), job)))
            .collect();
        let mut text = String::new();
        for planned in some {
            objects += 1;
            match planned.await? {
                Ok(planned) => {
                    bytes += planned.size.unwrap_or(0);
                    text += &match printer.is_json() {
                        true => json::line(&planned),
                        false => planned.line(),
                    };
                }
                Err(error) => failures.add(&error.into()),
            }
        }
        if printer.text(text).await?.is_break() {
            return Ok(());
        }
    }
    if objects > 1 && !quiet {
        let (objects, bytes) = (grouped(objects), human(bytes as f64));
        exit::notice(&format!("{objects} objects, {bytes}; nothing was written"));
    }
    let failed = failures.count();
    failures.into_result(format!(
        "{failed} of {objects} objects could not be written"
    ))
}

/// What would become of one object. Sizes are in bytes; what is not known is left out.
#[derive(Debug, Serialize)]
struct Planned {
    dry_run: bool,
    source: String,
    uri: String,
    /// What is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// `zstd` or `gzip`, if it is compressed on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    compression: Option<&'static str>,
    /// How many; of what is compressed, at most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<u32>,
    /// Of the first part; all others but the last are as large, or larger.
    #[serde(skip_serializing_if = "Option::is_none")]
    part_size: Option<u64>,
    /// To the service, if none is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<u64>,
    /// Held at most for bytes on their way.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// `create`, `replace`, `refuse` (a condition does not hold), or `unknown`.
    outcome: &'static str,
    /// Why the outcome is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What is there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<Replaced>,
}

/// An object that is there.
#[derive(Debug)]
struct Replaced(ObjectMetadata);

impl Serialize for Replaced {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Receipt(&self.0).serialize(serializer)
    }
}

/// What is known of a source without taking anything from it.
struct Look {
    size: Option<u64>,
    /// It is a file, which is sent from where it is.
    is_file: bool,
    /// The codec that the name asks for, unless the bytes are in its format already.
    codec: Option<Codec>,
}

impl Planned {
    async fn new(how: Arc<How>, job: Job) -> Result<Self> {
        let wanted = how.options.codec_for(&job.uri);
        let always = how.options.codec.is_some();
        let source = job.source.to_string();
        let mut options = how.options.clone();
        job.guess_type(&mut options)?;
        let look = spawn_blocking(move || Look::at(&job.source, wanted, always)).await;
        let look = look.map_err(|lost| Error::new(ErrorKind::Other, lost.to_string()))??;
        let uri = job.uri;
        let size = options.expected_size.or(look.size);
        options.expected_size = size.filter(|_| look.codec.is_none());
        let plan = how.limits.map(|limits| {
            let plan = PartPlan::new(&options, limits, how.memory);
            plan.map_err(|error| error.with_uri(&uri))
        });
        let plan = plan.transpose()?;
        let counted = plan.as_ref().zip(size);
        let parts = counted.and_then(|(plan, size)| plan.part_count(size));
        let is_whole = parts == Some(1) && look.codec.is_none();
        let checked = (how.check)(&options, !is_whole);
        checked.map_err(|error| error.with_uri(&uri))?;
        let requests = parts.filter(|_| look.codec.is_none()).map(|parts| {
            let parts = u64::from(parts);
            let upload = if parts == 1 { 1 } else { parts + 2 };
            upload + u64::from(how.verify)
        });
        let memory = plan.as_ref().map(|plan| {
            if look.is_file && look.codec.is_none() {
                return 0;
            }
            // One fills while the others are sent.
            let in_flight = options.max_concurrency as u64 + 1;
            let most = plan.part_size(1).saturating_mul(in_flight);
            let most = size.map_or(most, |size| size.min(most));
            most.min(how.memory)
        });
        let mut planned = Self {
            dry_run: true,
            source,
            uri,
            size,
            compression: look.codec.map(Codec::name),
            parts,
            part_size: plan.as_ref().map(|plan| plan.part_size(1)),
            requests,
            memory,
            content_type: options.content_type,
            outcome: "unknown",
            reason: None,
            replaces: None,
        };
        planned.look_at_target(&how).await?;
        Ok(planned)
    }

    /// Looks at what is there.
    ///
    /// # Errors
    ///
    /// If not even the bucket is.
    async fn look_at_target(&mut self, how: &How) -> Result<()> {
        let options = &how.options;
        match how.store.stat(&self.uri).await {
            Ok(found) => {
                let is_other = options.if_match.is_some() && options.if_match != found.e_tag;
                let is_refused = options.if_exists == IfExists::Fail || is_other;
                self.outcome = if is_refused { "refuse" } else { "replace" };
                self.replaces = Some(Replaced(found));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if let Some(error) = how.missing(&self.uri).await {
                    return Err(about(error, &self.uri));
                }
                self.outcome = match options.if_match {
                    Some(_) => "refuse",
                    None => "create",
                };
            }
            Err(error) => {
                self.reason = Some(match error.kind() {
                    ErrorKind::AccessDenied => "it may not be looked at".to_owned(),
                    _ => error.to_string(),
                });
            }
        }
        Ok(())
    }

    /// All of it, for people.
    fn line(&self) -> String {
        let mut text = String::from("Would upload ");
        // Writing to a string can't fail.
        let _ = match self.size {
            Some(size) => write!(text, "{size} bytes"),
            None => write!(text, "what comes"),
        };
        let (source, uri) = (one_line(&self.source), one_line(&self.uri));
        let _ = write!(text, ", {source} -> {uri}: ");
        text += &self.facts().join(", ");
        text.push('\n');
        text
    }

    fn facts(&self) -> Vec<String> {
        let mut facts = Vec::new();
        if let Some(codec) = self.compression {
            facts.push(format!("compressed with {codec}"));
        }
        match (self.parts, self.part_size) {
            (Some(1), _) => facts.push("1 part".to_owned()),
            (Some(parts), Some(size)) => facts.push(format!("{parts} parts of {size} bytes")),
            (None, Some(size)) => facts.push(format!("parts from {size} bytes on")),
            _ => {}
        }
        match self.requests {
            Some(1) => facts.push("1 request".to_owned()),
            Some(requests) => facts.push(format!("{requests} requests")),
            None => {}
        }
        if let Some(memory) = self.memory.filter(|memory| *memory > 0) {
            facts.push(format!("at most {memory} bytes of memory"));
        }
        facts.extend(self.content_type.clone());
        facts.push(match (self.outcome, &self.replaces, &self.reason) {
            ("create", ..) => "new".to_owned(),
            ("refuse", Some(_), _) => "would be refused, because of what is there".to_owned(),
            ("refuse", None, _) => "would be refused, because nothing is there".to_owned(),
            (_, Some(Replaced(old)), _) => {
                let e_tag = old.e_tag.as_deref().unwrap_or("none");
                format!("replaces {} bytes, ETag: {e_tag}", old.size)
            }
            (_, None, Some(reason)) => format!("what it replaces is not known: {reason}"),
            (_, None, None) => "what it replaces is not known".to_owned(),
        });
        facts
    }
}

/// `error`, which is that of a bucket, as one of the object at `uri`.
fn about(error: &Error, uri: &str) -> Error {
    let told = Error::new(error.kind(), error.message()).with_uri(uri);
    match error.code() {
        Some(code) => told.with_code(code),
        None => told,
    }
}

impl Look {
    /// Pipes and commands tell nothing until somebody reads them. What is in the format that is
    /// `wanted` is not compressed again, unless that is `always` done.
    fn at(source: &Source, wanted: Option<Codec>, always: bool) -> Result<Self> {
        let mut look = Self {
            size: None,
            is_file: false,
            codec: wanted,
        };
        let Some(path) = source.path() else {
            return Ok(look);
        };
        let failed = |error: std::io::Error| Error::from(error).with_uri(source.to_string());
        let metadata = fs::metadata(path).map_err(failed)?;
        // A file of /proc says that it is empty, and is not.
        if !metadata.is_file() || metadata.len() == 0 {
            return Ok(look);
        }
        look.size = Some(metadata.len());
        look.is_file = true;
        if let Some(codec) = wanted.filter(|_| !always) {
            let (mut start, file) = (Vec::new(), File::open(path).map_err(failed)?);
            file.take(4).read_to_end(&mut start).map_err(failed)?;
            look.codec = Some(codec).filter(|codec| !codec.is_magic(&start));
        }
        Ok(look)
    }
}
