//! `verify`: whether an object is the same as a file.

use std::fmt;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;

use tokio::task::spawn_blocking;
use writer_core::{ByteRange, Error, ErrorKind, ObjectMetadata, ObjectReader, ObjectStore, Result};

use super::Context;
use crate::args::VerifyArgs;
use crate::checksum::{self, Content};
use crate::source::Source;
use crate::watch::watched;

pub(super) async fn run(context: &Context, args: VerifyArgs) -> anyhow::Result<()> {
    let source = Source::parse(&args.file)?;
    let store = context.stores.get(&args.uri).await?;
    let object = store.stat(&args.uri).await?;
    let (file, size) = {
        let source = source.clone();
        spawn_blocking(move || open(&source)).await??
    };
    if let Some(size) = size.filter(|size| *size != object.size) {
        let text = format!(
            "differs from {source}: {} bytes are stored, and the file has {size}",
            object.size
        );
        return Err(mismatch(&object, text).into());
    }
    let hashed = async {
        let hashed = spawn_blocking(move || hash(&file)).await;
        let hashed = hashed.map_err(|error| Error::new(ErrorKind::Other, error.to_string()))?;
        hashed.map_err(|error| error.with_uri(source.to_string()))
    };
    let watch = |reader| watched(reader, object.size, args.progress, context.quiet);
    let stored = stored(&*store, &object, args.download, watch);
    let (content, (stored, by)) = tokio::try_join!(hashed, stored)?;
    if content != stored {
        let text = format!("differs from {source}, by {by}: {stored} instead of {content}");
        return Err(mismatch(&object, text).into());
    }
    let _nobody_reads = context.printer.same(&object, &content, by).await?;
    Ok(())
}

/// How an object is known.
#[derive(Clone, Copy, Debug)]
enum By {
    Checksum,
    Reading,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "the checksum that the service keeps",
            Self::Reading => "reading all of the object",
        })
    }
}

async fn stored(
    store: &dyn ObjectStore,
    object: &ObjectMetadata,
    download: bool,
    watch: impl Fn(Box<dyn ObjectReader>) -> Result<Box<dyn ObjectReader>>,
) -> Result<(Content, By)> {
    if let Some(checksum) = object.checksum.filter(|_| !download) {
        let size = object.size;
        return Ok((Content { size, checksum }, By::Checksum));
    }
    let mut reader = watch(store.get(&object.uri, ByteRange::Full).await?)?;
    let content = checksum::of_object(&mut *reader).await?;
    Ok((content, By::Reading))
}

/// A file, and how many bytes of it there are to be read, if that is known.
fn open(source: &Source) -> Result<(File, Option<u64>)> {
    let (file, metadata, position) = source.open_file()?;
    let len = metadata.len().saturating_sub(position);
    // A file of /proc says that it is empty, and is not.
    let known = metadata.is_file() && metadata.len() > 0;
    Ok((file, known.then_some(len)))
}

/// The content of `file`, which must not change meanwhile.
fn hash(file: &File) -> Result<Content> {
    let stamp = |metadata: Metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
    let before = file.metadata()?;
    let is_file = before.is_file();
    let before = stamp(before);
    let content = checksum::of_file(file)?;
    if is_file && stamp(file.metadata()?) != before {
        let text = "the file changed while it was read";
        return Err(Error::new(ErrorKind::SourceChanged, text));
    }
    Ok(content)
}

fn mismatch(object: &ObjectMetadata, text: String) -> Error {
    Error::new(ErrorKind::ChecksumMismatch, text).with_uri(&object.uri)
}
