//! Reading what was stored, to see that it is what was written.

use writer_core::{ByteRange, Error, ErrorKind, ObjectMetadata, ObjectStore, Result};

use crate::checksum::Content;
use crate::decode;

/// Reads the object at `uri`, and compares its size and checksum with those of `receipt`. One that
/// was compressed is decompressed, too: it must hold as many bytes as were written, and the
/// checksums that are part of the format must be right.
///
/// # Errors
///
/// [`ErrorKind::ChecksumMismatch`] if they differ, [`ErrorKind::Unsupported`] if the receipt has no
/// checksum, and those of reading. The object stays in any case, and the text says so.
///
/// # Cancellation
///
/// Safe.
pub(crate) async fn read_back(
    store: &dyn ObjectStore,
    uri: &str,
    receipt: &ObjectMetadata,
) -> Result<()> {
    let error = |kind, text: String| Error::new(kind, text).with_uri(uri);
    let Some(checksum) = receipt.checksum else {
        let text = "was stored, but can't be verified: nobody knows its checksum";
        return Err(error(ErrorKind::Unsupported, text.into()));
    };
    let written = Content {
        size: receipt.size,
        checksum,
    };
    let (read, holds, found) = match read(store, uri, receipt).await {
        Ok(read) => read,
        Err(error) => return Err(error.with_note("it was stored, but could not be read back")),
    };
    if read == written {
        return match receipt.size_written {
            Some(size) if size != holds => {
                let text = format!(
                    "was stored, but what was read back holds {holds} bytes, and not the {size} \
                     that were written; it is left as it is"
                );
                Err(error(ErrorKind::ChecksumMismatch, text))
            }
            _ => Ok(()),
        };
    }
    let mut text = format!("was stored, but what was read back is {read}, and not {written}");
    let tags = found.e_tag.as_ref().zip(receipt.e_tag.as_ref());
    if tags.is_some_and(|(found, stored)| found != stored) {
        text += "; its ETag is another by now, so it was replaced";
    }
    text += "; it is left as it is";
    Err(error(ErrorKind::ChecksumMismatch, text))
}

/// The content as it is stored, how many bytes it holds, and what is known of the object.
async fn read(
    store: &dyn ObjectStore,
    uri: &str,
    receipt: &ObjectMetadata,
) -> Result<(Content, u64, ObjectMetadata)> {
    let reader = store.get(uri, ByteRange::Full).await?;
    let found = reader.metadata().clone();
    let is_same = found.e_tag == receipt.e_tag;
    // What has taken its place need not be compressed.
    let codecs = receipt.compressed.filter(|_| is_same);
    let (stored, decoded) = decode::contents(reader, codecs.as_slice()).await?;
    Ok((stored, decoded.size, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::MemoryStore;

    #[tokio::test]
    async fn only_what_was_written_passes() {
        let store = MemoryStore::default();
        let uri = "memory://object";
        let receipt = store.put(uri, b"content".to_vec().into()).await.unwrap();
        read_back(&store, uri, &receipt).await.unwrap();

        let mut other = receipt.clone();
        other.size += 1;
        let error = read_back(&store, uri, &other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ChecksumMismatch);
        assert!(!error.message().contains("replaced"), "{error}");

        store.put(uri, b"another".to_vec().into()).await.unwrap();
        let error = read_back(&store, uri, &receipt).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ChecksumMismatch);
        for text in ["read back", "replaced", "left as it is"] {
            assert!(error.message().contains(text), "{error}");
        }

        store.delete(uri).await.unwrap();
        let error = read_back(&store, uri, &receipt).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.message().contains("it was stored"), "{error}");

        let mut unknown = receipt;
        unknown.checksum = None;
        let error = read_back(&store, uri, &unknown).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
