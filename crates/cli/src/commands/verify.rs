//! `verify`: whether an object is the same as a file, as it is stored or decompressed.

use std::fmt;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;

use tokio::task::spawn_blocking;
use writer_core::{
    ByteRange, Codec, Crc64Nvme, Error, ErrorKind, ObjectMetadata, ObjectReader, ObjectStore,
    Result,
};

use super::Context;
use crate::args::VerifyArgs;
use crate::checksum::{self, Content};
use crate::decode;
use crate::source::Source;
use crate::watch::watched;

pub(super) async fn run(context: &Context, args: VerifyArgs) -> anyhow::Result<()> {
    let source = Source::parse(&args.file)?;
    let store = context.stores.get(&args.uri).await?;
    let object = store.stat(&args.uri).await?;
    let codecs = codecs(&*store, &object).await?;
    let (file, size) = {
        let source = source.clone();
        spawn_blocking(move || open(&source)).await??
    };
    if let Some(size) = size.filter(|size| codecs.is_empty() && *size != object.size) {
        let text = format!(
            "differs from {source}: {} bytes are stored, and the file has {size}",
            object.size
        );
        return Err(mismatch(&object, text).into());
    }
    let named = source.to_string();
    let hashed = async {
        let hashed = spawn_blocking(move || hash(&file)).await;
        let hashed = hashed.map_err(|error| Error::new(ErrorKind::Other, error.to_string()))?;
        hashed.map_err(|error| error.with_uri(named))
    };
    let watch = |reader| watched(reader, object.size, args.progress, context.quiet);
    let (content, (stored, by)) = if codecs.is_empty() {
        tokio::try_join!(hashed, stored(&*store, &object, args.download, watch))?
    } else {
        let content = hashed.await?;
        let known = object.checksum.filter(|_| !args.download);
        let found = holds(&*store, &object, &codecs, &content, known, watch).await?;
        (content, found)
    };
    if content != stored {
        let text = format!("differs from {source}, by {by}: {stored} instead of {content}");
        return Err(mismatch(&object, text).into());
    }
    let _nobody_reads = context
        .printer
        .same(&object, &source, &content, (by, by.name()))
        .await?;
    Ok(())
}

/// How an object is known.
#[derive(Clone, Copy, Debug)]
enum By {
    Checksum,
    Reading,
    Decoding,
}

impl By {
    /// What JSON calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Checksum => "checksum",
            Self::Reading => "reading",
            Self::Decoding => "decoding",
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "the checksum that the service keeps",
            Self::Reading => "reading all of the object",
            Self::Decoding => "reading all of the object, decompressed",
        })
    }
}

/// What the object is compressed with, as its Content-Encoding says, or its name, if it begins so.
async fn codecs(store: &dyn ObjectStore, object: &ObjectMetadata) -> Result<Vec<Codec>> {
    match decode::said(object) {
        Ok(said) if said.is_empty() => {}
        Ok(said) => return Ok(said),
        // It can be compared as it is stored.
        Err(_) => return Ok(Vec::new()),
    }
    match Codec::of_name(&object.uri) {
        Some(codec) if decode::begins_as(store, object, codec).await? => Ok(vec![codec]),
        _ => Ok(Vec::new()),
    }
}

/// Of an object that is compressed, the content as it is stored, if that is `content`, or else
/// that which it holds.
async fn holds(
    store: &dyn ObjectStore,
    object: &ObjectMetadata,
    codecs: &[Codec],
    content: &Content,
    known: Option<Crc64Nvme>,
    watch: impl Fn(Box<dyn ObjectReader>) -> Result<Box<dyn ObjectReader>>,
) -> Result<(Content, By)> {
    let size = object.size;
    let known = known.map(|checksum| Content { size, checksum });
    if let Some(stored) = known.filter(|stored| stored == content) {
        return Ok((stored, By::Checksum));
    }
    let reader = watch(store.get(&object.uri, ByteRange::Full).await?)?;
    let found = decode::contents(reader, codecs).await;
    match &found {
        // Whoever decodes may stop before the end.
        Ok((stored, _)) if stored.size == size && stored == content => {
            return Ok((*stored, By::Reading));
        }
        Ok((_, decoded)) if decoded == content => return Ok((*decoded, By::Decoding)),
        _ => {}
    }
    // It need not be what its Content-Encoding or its name says.
    if known.is_none() && size == content.size {
        let reader = watch(store.get(&object.uri, ByteRange::Full).await?)?;
        let stored = read(reader).await?;
        if stored == *content {
            return Ok((stored, By::Reading));
        }
    }
    match found {
        Ok((_, decoded)) => Ok((decoded, By::Decoding)),
        Err(error) => Err(error.with_note("the bytes as they are stored differ, too")),
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
    let reader = watch(store.get(&object.uri, ByteRange::Full).await?)?;
    Ok((read(reader).await?, By::Reading))
}

async fn read(mut reader: Box<dyn ObjectReader>) -> Result<Content> {
    checksum::of_object(&mut *reader).await
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
