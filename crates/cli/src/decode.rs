//! Reading objects that were compressed.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use writer_core::{
    Codec, Error, ErrorKind, ObjectMetadata, ObjectReader, ObjectStore, Result, Segment,
};

use crate::checksum::{self, Content, Sum};

/// What the object's Content-Encoding says, the first to be undone first.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] for an encoding that can't be undone.
pub(crate) fn said(object: &ObjectMetadata) -> Result<Vec<Codec>> {
    let encoding = object.content_encoding.as_deref().unwrap_or_default();
    let codecs = Codec::of_encoding(encoding);
    let mut codecs = codecs.map_err(|error| error.with_uri(&object.uri))?;
    codecs.reverse();
    Ok(codecs)
}

/// What `reader` reads, with `codecs` undone one after another.
///
/// # Errors
///
/// If this build can't.
pub(crate) fn undo(
    mut reader: Box<dyn ObjectReader>,
    codecs: &[Codec],
) -> Result<Box<dyn ObjectReader>> {
    for codec in codecs {
        reader = writer_tokio::decompress(reader, *codec)?;
    }
    Ok(reader)
}

/// The object's content as it is stored, and as it is when `codecs` are undone, of one reading.
///
/// # Errors
///
/// Those of reading and of decoding.
///
/// # Cancellation
///
/// Safe.
pub(crate) async fn contents(
    reader: Box<dyn ObjectReader>,
    codecs: &[Codec],
) -> Result<(Content, Content)> {
    let sum = Arc::new(Mutex::new(Sum::new()));
    let summed = Summed {
        inner: reader,
        sum: Arc::clone(&sum),
    };
    let mut reader = undo(Box::new(summed), codecs)?;
    let decoded = checksum::of_object(&mut *reader).await?;
    let stored = lock(&sum).content();
    Ok((stored, decoded))
}

/// True if the object begins as its name says that it is encoded.
///
/// # Errors
///
/// Those of reading.
pub(crate) async fn begins_as(
    store: &dyn ObjectStore,
    object: &ObjectMetadata,
    codec: Codec,
) -> Result<bool> {
    let end = Codec::MAGIC_LEN as u64;
    if object.size < end {
        return Ok(false);
    }
    let range = writer_core::ByteRange::Bounded { start: 0, end };
    let mut reader = store.get(&object.uri, range).await?;
    let mut start = Vec::new();
    while let Some(Segment::Memory(bytes)) = reader.next_chunk().await? {
        start.extend_from_slice(bytes.as_ref());
    }
    Ok(codec.is_magic(&start))
}

/// That a range of what an object holds can't be read.
pub(crate) fn no_range(object: &ObjectMetadata) -> Error {
    let encoding = object.content_encoding.as_deref().unwrap_or_default();
    let text = format!(
        "is encoded with {encoding}, of which no range can be read: --raw gives one of the stored \
         bytes"
    );
    Error::new(ErrorKind::InvalidInput, text).with_uri(&object.uri)
}

/// Sums up what goes through.
struct Summed {
    inner: Box<dyn ObjectReader>,
    sum: Arc<Mutex<Sum>>,
}

#[async_trait]
impl ObjectReader for Summed {
    fn metadata(&self) -> &ObjectMetadata {
        self.inner.metadata()
    }

    async fn next_chunk(&mut self) -> Result<Option<Segment>> {
        let chunk = self.inner.next_chunk().await?;
        if let Some(Segment::Memory(bytes)) = &chunk {
            lock(&self.sum).add(bytes.as_ref());
        }
        Ok(chunk)
    }
}

fn lock(sum: &Mutex<Sum>) -> std::sync::MutexGuard<'_, Sum> {
    // Adding can't stop half way.
    sum.lock().unwrap_or_else(PoisonError::into_inner)
}
