//! A source that is open: a small file is in memory, a larger one is written from where it is, and
//! a stream as it comes.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use tokio::task::spawn_blocking;
use writer_core::{Error, ErrorKind, ObjectWriter, Result, Segment};
use writer_tokio::Sources;

use crate::producer::Producer;
use crate::signals::doubt_the_end;
use crate::stream::feed_stream;

/// A source that is open.
pub(crate) struct Input {
    name: String,
    content: Content,
}

enum Content {
    /// All of a small file, or of an empty one.
    Memory(Vec<u8>),
    /// A regular file, which is sent from where it is.
    File(SourceFile),
    /// A pipe, a terminal, a device: read once, in order.
    Stream(File),
    /// What a command prints, which counts only if the command succeeds.
    Output(File, Arc<Producer>),
}

impl Input {
    /// Takes `file`, as `metadata` have it, from the byte at `position`. A regular file of at most
    /// `small` bytes is read: for so few, that is less work than all that it takes to send a file
    /// from where it is.
    ///
    /// # Errors
    ///
    /// If it can't be read, and [`ErrorKind::SourceChanged`].
    pub(crate) fn new(
        file: File,
        name: String,
        metadata: &Metadata,
        position: u64,
        small: u64,
    ) -> Result<Self> {
        let len = metadata.len();
        let content = if !metadata.is_file() {
            Content::Stream(file)
        } else if len == 0 {
            empty(file)?
        } else if position == 0 && len <= small {
            Content::Memory(read_small(&file, metadata)?)
        } else {
            Content::File(SourceFile::new(file, position..len)?)
        };
        Ok(Self { name, content })
    }

    /// Starts `producer`, and takes what it prints.
    ///
    /// # Errors
    ///
    /// If it can't be started.
    pub(crate) fn start(producer: &Arc<Producer>) -> Result<Self> {
        let content = Content::Output(producer.start()?, Arc::clone(producer));
        let name = producer.to_string();
        Ok(Self { name, content })
    }

    /// True if all of it is in memory.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self.content, Content::Memory(_))
    }

    /// How many bytes there are, if that is known.
    pub(crate) fn size(&self) -> Option<u64> {
        match &self.content {
            Content::Memory(data) => Some(data.len() as u64),
            Content::File(file) => Some(file.segment.len()),
            Content::Stream(_) | Content::Output(..) => None,
        }
    }

    /// Writes all of it to `writer`.
    ///
    /// # Errors
    ///
    /// Those of reading, those of `writer`, [`ErrorKind::SourceChanged`], and that a command has
    /// failed.
    ///
    /// # Cancellation
    ///
    /// Leaves `writer` with a part of the bytes, fit to be cancelled.
    pub(crate) async fn feed(self, writer: &mut dyn ObjectWriter) -> Result<()> {
        match self.content {
            Content::Memory(data) if data.is_empty() => Ok(()),
            Content::Memory(data) => writer.write_owned(data.into()).await,
            Content::File(file) => {
                writer.write_owned(file.segment.clone()).await?;
                file.check(&self.name).await
            }
            Content::Stream(file) => {
                feed_stream(file, self.name, writer).await?;
                doubt_the_end().await;
                Ok(())
            }
            Content::Output(pipe, producer) => {
                feed_stream(pipe, self.name, writer).await?;
                producer.success().await?;
                doubt_the_end().await;
                Ok(())
            }
        }
    }

    /// The same with all of it in memory.
    ///
    /// # Errors
    ///
    /// Those of reading, [`ErrorKind::SourceChanged`], and that a command has failed.
    pub(crate) async fn read_all(self) -> Result<Self> {
        let capacity = usize::try_from(self.size().unwrap_or(0)).unwrap_or(0);
        let name = self.name;
        let (stream, file, producer) = match self.content {
            Content::Memory(data) => return Ok(Self::in_memory(name, data)),
            Content::File(file) => (Arc::clone(&file.file), Some(file), None),
            Content::Stream(stream) => (Arc::new(stream), None, None),
            Content::Output(pipe, producer) => (Arc::new(pipe), None, Some(producer)),
        };
        let read = spawn_blocking(move || {
            let mut data = Vec::with_capacity(capacity);
            (&*stream).read_to_end(&mut data).map(|_size| data)
        });
        let read = read.await.map_err(io::Error::other).flatten();
        let data = read.map_err(|error| Error::from(error).with_uri(&name))?;
        if let Some(producer) = producer {
            producer.success().await?;
        }
        match file {
            Some(file) => file.check(&name).await?,
            None => doubt_the_end().await,
        }
        Ok(Self::in_memory(name, data))
    }

    fn in_memory(name: String, data: Vec<u8>) -> Self {
        let content = Content::Memory(data);
        Self { name, content }
    }
}

/// A file that says it is empty. Those of /proc say so, and are not.
fn empty(file: File) -> Result<Content> {
    match file.read_at(&mut [0], 0) {
        Ok(0) => Ok(Content::Memory(Vec::new())),
        _ => Ok(Content::Stream(file)),
    }
}

/// All of `file`, which was as `before` says, and must be so until it is read.
fn read_small(file: &File, before: &Metadata) -> Result<Vec<u8>> {
    let len = usize::try_from(before.len()).unwrap_or(usize::MAX);
    // With room for one byte more, a read that leaves it free has come to the end.
    let mut data = Vec::with_capacity(len.saturating_add(1));
    while data.len() < data.capacity() {
        match rustix::io::read(file, spare_capacity(&mut data)) {
            Ok(0) => break,
            Ok(_) if data.len() == len => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
    let stamp = |metadata: &Metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
    if data.len() != len || stamp(before) != stamp(&file.metadata()?) {
        let text = "the file changed while it was read";
        return Err(Error::new(ErrorKind::SourceChanged, text));
    }
    Ok(data)
}

/// A regular file, and what it was like when it was opened: from then on it must not change.
/// (A writer looks as well, but only from when it is given the segment.)
struct SourceFile {
    file: Arc<File>,
    segment: Segment,
    opened: Sources,
}

impl SourceFile {
    fn new(file: File, range: Range<u64>) -> Result<Self> {
        let file = Arc::new(file);
        let segment = Segment::file(Arc::clone(&file), range);
        let mut opened = Sources::default();
        if let Segment::File(range) = &segment {
            opened.note(range)?;
        }
        Ok(Self {
            file,
            segment,
            opened,
        })
    }

    async fn check(self, name: &str) -> Result<()> {
        let checked = spawn_blocking(move || self.opened.verify()).await;
        let checked = checked.map_err(|error| Error::new(ErrorKind::Other, error.to_string()))?;
        checked.map_err(|error| error.with_uri(name))
    }
}
