//! From a reader, or a file, to an object writer.

use std::fs::File;
use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, ReadBuf};
use writer_core::{Error, ErrorKind, ObjectWriter, Page, Result, Segment};

use crate::PAGE_SIZE;

/// Writes what `reader` gives until its end, and returns how many bytes that were. Does not finish
/// the object: what is cut off is for the caller to tell from what is whole.
///
/// It reads straight into pages of the store's budget, up to 256 KiB at a time: no byte is copied
/// in this process, and the reader waits where the budget is used up.
///
/// # Errors
///
/// As [`ObjectWriter::write_chunk`], and what the reader gives.
///
/// # Cancellation
///
/// Safe for the writer: what was read is written.
pub async fn copy_from<R>(reader: &mut R, writer: &mut dyn ObjectWriter) -> Result<u64>
where
    R: AsyncRead + Unpin + ?Sized,
{
    copy_from_with(reader, writer, |_| ()).await
}

/// As [`copy_from`]; calls `progress` with the number of bytes so far after each read.
///
/// ```
/// # async fn example(mut writer: Box<dyn writer_core::ObjectWriter>) -> writer_core::Result<()> {
/// let mut input = &b"whatever can be read"[..];
/// let copied = writer_tokio::copy_from_with(&mut input, &mut *writer, |bytes| {
///     eprintln!("{bytes} bytes");
/// });
/// assert_eq!(copied.await?, 20);
/// writer.finish().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As [`copy_from`].
///
/// # Cancellation
///
/// As [`copy_from`].
pub async fn copy_from_with<R>(
    reader: &mut R,
    writer: &mut dyn ObjectWriter,
    mut progress: impl FnMut(u64),
) -> Result<u64>
where
    R: AsyncRead + Unpin + ?Sized,
{
    let mut copied = 0;
    let mut page = writer.reserve(PAGE_SIZE).await?;
    loop {
        if page.spare_len() == 0 {
            page = writer.reserve(PAGE_SIZE).await?;
        }
        let read = read_into(reader, &mut *page).await?;
        if read == 0 {
            return Ok(copied);
        }
        writer.write_owned(page.split(read)).await?;
        copied += read as u64;
        progress(copied);
    }
}

async fn read_into<R>(reader: &mut R, page: &mut dyn Page) -> Result<usize>
where
    R: AsyncRead + Unpin + ?Sized,
{
    let mut buffer = ReadBuf::new(page.spare_mut());
    poll_fn(|cx| Pin::new(&mut *reader).poll_read(cx, &mut buffer)).await?;
    Ok(buffer.filled().len())
}

/// Writes the file at `path` from where it is, and returns its size in bytes: the backend reads it
/// while it is sent, or copies it with the file system's help. Does not finish the object.
///
/// # Errors
///
/// [`InvalidInput`](ErrorKind::InvalidInput) if it is no regular file ([`copy_from`] reads
/// others); if it can't be opened; as [`ObjectWriter::write_owned`].
///
/// # Cancellation
///
/// Safe: the whole file is written, or none of it.
pub async fn copy_file(path: impl AsRef<Path>, writer: &mut dyn ObjectWriter) -> Result<u64> {
    let path = path.as_ref().to_owned();
    let open = move || open(&path);
    let opened = tokio::task::spawn_blocking(open).await;
    let (file, size) = opened.map_err(|error| {
        Error::new(ErrorKind::Interrupted, "the runtime shuts down").with_source(error)
    })??;
    writer.write_owned(Segment::file(file, 0..size)).await?;
    Ok(size)
}

fn open(path: &Path) -> Result<(Arc<File>, u64)> {
    let named = |error: std::io::Error| Error::from(error).with_uri(path.display().to_string());
    // Looked at first: to open a pipe may wait for ever.
    let metadata = std::fs::metadata(path).map_err(named)?;
    if !metadata.is_file() {
        let text = "is no regular file: read it with copy_from";
        let error = Error::new(ErrorKind::InvalidInput, text);
        return Err(error.with_uri(path.display().to_string()));
    }
    let file = File::open(path).map_err(named)?;
    let size = file.metadata().map_err(named)?.len();
    Ok((Arc::new(file), size))
}
