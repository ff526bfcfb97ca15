//! Results, on standard output. Nothing else prints there.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::Context as _;
use jiff::Timestamp;
use writer_core::{ObjectMetadata, Segment};

use crate::checksum::Content;
use crate::source::Source;
use crate::terminal;

/// How many bytes of receipts are printed at once, when many objects are written.
const FULL: usize = 32 << 10;

/// Prints results; every call tells by [`ControlFlow::Break`] if nobody reads them any more,
/// which is no error (`s3-cli ls … | head`).
#[derive(Debug)]
pub(crate) struct Printer {
    /// Standard output without the buffer of [`io::Stdout`], which cuts at line ends. Locked while
    /// something is printed, so that lines stay whole.
    out: Arc<Mutex<File>>,
    /// Receipts that are not printed yet.
    receipts: Mutex<String>,
    quiet: bool,
    /// Where progress may be shown, too.
    is_terminal: bool,
}

type Printed = anyhow::Result<ControlFlow<()>>;

impl Printer {
    /// A printer that, if `quiet`, leaves out receipts, and that things are as they should be.
    ///
    /// # Errors
    ///
    /// If standard output can't be used.
    pub(crate) fn new(quiet: bool) -> io::Result<Self> {
        let out = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Self {
            out: Arc::new(Mutex::new(out.into())),
            receipts: Mutex::default(),
            quiet,
            is_terminal: io::stdout().is_terminal(),
        })
    }

    /// The receipt of an object that was written, with its source, if it is said, and that it was
    /// read back, if it was. It is kept to be printed with others, when they are many or
    /// [`flush`](Self::flush) is called.
    pub(crate) async fn uploaded(
        &self,
        receipt: &ObjectMetadata,
        source: Option<&Source>,
        verified: bool,
    ) -> Printed {
        if self.quiet {
            return Ok(ControlFlow::Continue(()));
        }
        let is_full = {
            let mut receipts = self.receipts();
            // Writing to a string can't fail.
            let _ = write_receipt(&mut receipts, receipt, source, verified);
            receipts.len() >= FULL
        };
        match is_full {
            true => self.flush().await,
            false => Ok(ControlFlow::Continue(())),
        }
    }

    /// Prints the receipts that are kept.
    pub(crate) async fn flush(&self) -> Printed {
        let receipts = std::mem::take(&mut *self.receipts());
        if receipts.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        self.print(receipts).await
    }

    fn receipts(&self) -> std::sync::MutexGuard<'_, String> {
        // A line that is cut off by a panic is still a line of text.
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that is known of an object, one `key: value` per line.
    pub(crate) async fn stat(&self, object: &ObjectMetadata) -> Printed {
        self.print(describe(object)).await
    }

    /// That an object has the `content` that it should have, and `by` what that is known.
    pub(crate) async fn same(
        &self,
        object: &ObjectMetadata,
        content: &Content,
        by: impl fmt::Display,
    ) -> Printed {
        if self.quiet {
            return Ok(ControlFlow::Continue(()));
        }
        let uri = one_line(&object.uri);
        self.print(format!("Same: {content}, {uri}, by {by}\n"))
            .await
    }

    /// Some objects of a listing, one per line.
    pub(crate) async fn listed(&self, objects: &[ObjectMetadata]) -> Printed {
        self.print(list(objects)).await
    }

    /// Some lines of text.
    pub(crate) async fn text(&self, text: String) -> Printed {
        self.print(text).await
    }

    /// Bytes of an object.
    pub(crate) async fn bytes(&self, segment: Segment) -> Printed {
        match segment {
            Segment::Memory(bytes) => self.print(bytes).await,
            Segment::File(_) => anyhow::bail!("a file range can't be printed"),
        }
    }

    /// Writes on a thread that may block, so that a reader who takes its time stops nobody else.
    async fn print(&self, bytes: impl AsRef<[u8]> + Send + 'static) -> Printed {
        let (out, is_terminal) = (Arc::clone(&self.out), self.is_terminal);
        let write = move || {
            let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
            match is_terminal {
                true => terminal::aside(|| out.write_all(bytes.as_ref())),
                false => out.write_all(bytes.as_ref()),
            }
        };
        match tokio::task::spawn_blocking(write).await? {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
            Err(error) => Err(error).context("can't write to standard output"),
        }
    }
}

fn write_receipt(
    out: &mut String,
    receipt: &ObjectMetadata,
    source: Option<&Source>,
    verified: bool,
) -> fmt::Result {
    let e_tag = receipt.e_tag.as_deref().unwrap_or("none");
    write!(out, "Uploaded {} bytes", receipt.size)?;
    if let (Some(codec), Some(written)) = (receipt.compressed, receipt.size_written) {
        write!(out, " ({codec}, from {written})")?;
    }
    if source.is_none() {
        write!(out, " to {}", one_line(&receipt.uri))?;
    }
    write!(out, ", ETag: {e_tag}")?;
    if let Some(reused) = receipt.bytes_reused {
        write!(out, " ({reused} were there already)")?;
    }
    if verified {
        out.write_str(", verified")?;
    }
    if let Some(source) = source {
        let source = source.to_string();
        write!(out, ", {} -> {}", one_line(&source), one_line(&receipt.uri))?;
    }
    out.write_char('\n')
}

fn describe(object: &ObjectMetadata) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: Option<&dyn fmt::Display>| {
        if let Some(value) = value {
            let (key, value) = (one_line(key), value.to_string());
            let _ = writeln!(text, "{key}: {}", one_line(&value));
        }
    };
    let last_modified = object.last_modified.map(rfc3339);
    line("uri", Some(&object.uri));
    line("size", Some(&object.size));
    line("etag", display(&object.e_tag));
    line("version-id", display(&object.version_id));
    line("crc64nvme", display(&object.checksum));
    line("last-modified", display(&last_modified));
    line("content-type", display(&object.content_type));
    line("cache-control", display(&object.cache_control));
    line("content-disposition", display(&object.content_disposition));
    line("content-encoding", display(&object.content_encoding));
    line("content-language", display(&object.content_language));
    line("storage-class", display(&object.storage_class));
    line("encryption", display(&object.encryption));
    line("encryption-key", display(&object.encryption_key));
    line("tag-count", display(&object.tag_count));
    for (key, value) in &object.tags {
        line(&format!("tag.{key}"), Some(value));
    }
    for (key, value) in &object.metadata {
        line(&format!("metadata.{key}"), Some(value));
    }
    text
}

fn display<T: fmt::Display>(value: &Option<T>) -> Option<&dyn fmt::Display> {
    value.as_ref().map(|value| value as &dyn fmt::Display)
}

fn list(objects: &[ObjectMetadata]) -> String {
    let mut text = String::new();
    for object in objects {
        let time = object.last_modified.map_or("-".into(), rfc3339);
        let uri = one_line(&object.uri);
        let _ = writeln!(text, "{:>14} {time:>20} {uri}", object.size);
    }
    text
}

/// `text` with its line breaks and other control characters escaped.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::new();
    for c in text.chars() {
        if c.is_control() {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// `time` in UTC to the second: `2024-02-29T12:00:00Z`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    match Timestamp::try_from(time) {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        // Beyond the year 9999.
        Err(_) => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};
    use writer_core::{Codec, Crc64Nvme};

    #[test]
    fn stat_shows_what_is_known_and_only_that() {
        let mut object = ObjectMetadata::new("s3://b/a\nb", 7);
        assert_eq!(describe(&object), "uri: s3://b/a\\nb\nsize: 7\n");
        object.e_tag = Some("abc-2".into());
        object.checksum = Some(Crc64Nvme(0xabc));
        object.last_modified = Some(UNIX_EPOCH + Duration::from_secs(86_400));
        object.metadata.insert("k".into(), "v w".into());
        let text = describe(&object);
        assert!(text.ends_with(
            "etag: abc-2\ncrc64nvme: 0000000000000abc\nlast-modified: 1970-01-02T00:00:00Z\n\
             metadata.k: v w\n"
        ));
    }

    #[test]
    fn a_receipt_is_one_line_that_names_the_source_if_it_is_said() {
        let mut object = ObjectMetadata::new("s3://b/a\nb", 7);
        object.e_tag = Some("abc".into());
        let line = |source, verified| {
            let mut line = String::new();
            write_receipt(&mut line, &object, source, verified).unwrap();
            line
        };
        assert_eq!(
            line(None, false),
            "Uploaded 7 bytes to s3://b/a\\nb, ETag: abc\n"
        );
        assert_eq!(
            line(None, true),
            "Uploaded 7 bytes to s3://b/a\\nb, ETag: abc, verified\n"
        );
        assert_eq!(
            line(Some(&Source::Path("d/a\nb".into())), false),
            "Uploaded 7 bytes, ETag: abc, d/a\\nb -> s3://b/a\\nb\n"
        );
        let mut compressed = object.clone();
        compressed.compressed = Some(Codec::Zstd);
        compressed.size_written = Some(99);
        let mut line = String::new();
        write_receipt(&mut line, &compressed, None, false).unwrap();
        assert_eq!(
            line,
            "Uploaded 7 bytes (zstd, from 99) to s3://b/a\\nb, ETag: abc\n"
        );
    }

    #[test]
    fn a_listing_has_one_line_per_object() {
        let mut objects = vec![ObjectMetadata::new("s3://b/a b", 7)];
        objects.push(ObjectMetadata::new("s3://b/c", 123));
        let text = list(&objects);
        let words: Vec<Vec<&str>> = text.lines().map(|l| l.splitn(2, '-').collect()).collect();
        assert_eq!(
            words[0],
            ["             7                    ", " s3://b/a b"]
        );
        assert_eq!(words.len(), 2);
    }
}
