//! Where an object's bytes come from: a file, whose ranges are written as they are, or a stream,
//! which is read by a thread of its own into memory that the writer lends.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Seek as _};
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use writer_core::{Error, ErrorKind, ObjectWriter, Page, Result, Segment, split_scheme};
use writer_tokio::Sources;

/// Pages that the reading thread has at once: one is filled while another is handed over.
///
/// A larger pipe (`F_SETPIPE_SZ`) is not asked for: at 1 MiB it saved context switches, and no
/// time beyond the noise, with writers of 8 KiB to 1 MiB at a time.
const PAGES_LENT: usize = 2;

/// A source as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Stdin,
    Path(PathBuf),
}

impl Source {
    /// Reads `-`, a path, or a `file://` URI.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for any other URI.
    pub(crate) fn parse(argument: &OsStr) -> Result<Self> {
        if argument == "-" {
            return Ok(Self::Stdin);
        }
        // Of bytes, not of characters: a path need not be UTF-8.
        if let Some((scheme, path)) = argument.as_bytes().split_at_checked(b"file://".len())
            && scheme.eq_ignore_ascii_case(b"file://")
        {
            return Ok(Self::Path(OsStr::from_bytes(path).into()));
        }
        match argument.to_str().and_then(split_scheme) {
            None => Ok(Self::Path(argument.into())),
            Some(_) => Err(Error::new(
                ErrorKind::InvalidInput,
                "is no source: sources are files and `-` (to copy an object: \
                 s3-cli cat URI | s3-cli put - DEST)",
            )
            .with_uri(argument.to_string_lossy())),
        }
    }

    /// The name that a prefix is completed with.
    pub(crate) fn file_name(&self) -> Option<&OsStr> {
        match self {
            Self::Stdin => None,
            Self::Path(path) => path.file_name(),
        }
    }

    /// True if there is something to read.
    pub(crate) fn exists(&self) -> bool {
        match self {
            Self::Stdin => true,
            Self::Path(path) => path.exists(),
        }
    }

    /// Looks whether the source is there and can be one, without opening it.
    ///
    /// # Errors
    ///
    /// If it can't.
    pub(crate) async fn check(&self) -> Result<()> {
        let Self::Path(path) = self.clone() else {
            return Ok(());
        };
        let metadata = blocking(move || fs::metadata(path)).await;
        self.refuse_folder(&metadata.map_err(|error| self.error(error))?)
    }

    /// Opens the source. For a named pipe that waits until someone writes to it.
    ///
    /// # Errors
    ///
    /// If it can't be opened, or is a folder.
    pub(crate) async fn open(&self) -> Result<Input> {
        let source = self.clone();
        let opened = blocking(move || source.open_file()).await;
        let (file, metadata, position) = opened.map_err(|error| self.error(error))?;
        self.refuse_folder(&metadata)?;
        // Files of /proc say that they are empty, and are not.
        let regular = metadata.is_file() && metadata.len() > 0;
        let name = self.to_string();
        let content = if regular {
            let whole = SourceFile::new(file, position..metadata.len());
            Content::File(whole.map_err(|error| error.with_uri(&name))?)
        } else {
            Content::Stream(file)
        };
        Ok(Input { name, content })
    }

    fn open_file(&self) -> io::Result<(File, Metadata, u64)> {
        let mut file = match self {
            Self::Stdin => File::from(io::stdin().as_fd().try_clone_to_owned()?),
            Self::Path(path) => File::open(path)?,
        };
        let metadata = file.metadata()?;
        // Of a redirected file a program before this one may have read some.
        let position = if metadata.is_file() {
            file.stream_position()?
        } else {
            0
        };
        Ok((file, metadata, position))
    }

    fn refuse_folder(&self, metadata: &Metadata) -> Result<()> {
        if metadata.is_dir() {
            let text = format!("is a folder: {self}");
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        Ok(())
    }

    fn error(&self, error: io::Error) -> Error {
        Error::from(error).with_uri(self.to_string())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::Path(path) => Path::display(path).fmt(f),
        }
    }
}

/// A source that is open.
pub(crate) struct Input {
    name: String,
    content: Content,
}

enum Content {
    /// A regular file, which is sent from where it is.
    File(SourceFile),
    /// A pipe, a terminal, a device: read once, in order.
    Stream(File),
}

impl Input {
    /// How many bytes there are, if that is known.
    pub(crate) fn size(&self) -> Option<u64> {
        match &self.content {
            Content::File(file) => Some(file.segment.len()),
            Content::Stream(_) => None,
        }
    }

    /// Writes all of it to `writer`.
    ///
    /// # Errors
    ///
    /// Those of reading, those of `writer`, and [`ErrorKind::SourceChanged`].
    ///
    /// # Cancellation
    ///
    /// Leaves `writer` with a part of the bytes, fit to be cancelled.
    pub(crate) async fn feed(self, writer: &mut dyn ObjectWriter) -> Result<()> {
        match self.content {
            Content::File(file) => {
                writer.write_owned(file.segment.clone()).await?;
                file.check(&self.name).await
            }
            Content::Stream(file) => feed_stream(file, self.name, writer).await,
        }
    }

    /// Reads all of it into memory.
    ///
    /// # Errors
    ///
    /// Those of reading, and [`ErrorKind::SourceChanged`].
    pub(crate) async fn read_all(self) -> Result<Vec<u8>> {
        let capacity = usize::try_from(self.size().unwrap_or(0)).unwrap_or(0);
        let name = self.name;
        let (stream, file) = match self.content {
            Content::File(file) => (Arc::clone(&file.file), Some(file)),
            Content::Stream(stream) => (Arc::new(stream), None),
        };
        let read = blocking(move || {
            let mut data = Vec::with_capacity(capacity);
            (&*stream).read_to_end(&mut data).map(|_size| data)
        });
        let data = read
            .await
            .map_err(|error| Error::from(error).with_uri(&name))?;
        if let Some(file) = file {
            file.check(&name).await?;
        }
        Ok(data)
    }
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

/// Lends pages to a thread that fills them, and writes what comes back.
async fn feed_stream(file: File, name: String, writer: &mut dyn ObjectWriter) -> Result<()> {
    let (lend, lent) = std_mpsc::channel();
    let (send, mut filled) = mpsc::unbounded_channel();
    // Not one of the runtime's threads, because it may stay in a read for good.
    thread::Builder::new()
        .name("read-source".into())
        .spawn(move || fill_pages(file, &lent, &send))?;
    let mut out = 0;
    loop {
        tokio::select! {
            biased;
            piece = filled.recv() => match piece {
                Some(Ok(Read::Bytes(segment))) => writer.write_owned(segment).await?,
                Some(Ok(Read::PageUsed)) => out -= 1,
                Some(Ok(Read::End)) => return Ok(()),
                Some(Err(error)) => return Err(Error::from(error).with_uri(name)),
                None => return Err(Error::new(ErrorKind::Other, "the reader ended").with_uri(name)),
            },
            page = writer.reserve(0), if out < PAGES_LENT => {
                out += 1;
                // A thread that has ended has said why, which comes next.
                let _ended = lend.send(page?);
            }
        }
    }
}

/// What the reading thread tells.
enum Read {
    Bytes(Segment),
    /// A page was filled to its end.
    PageUsed,
    End,
}

/// Fills pages until the end of `file`, or until nobody listens. What was
/// read is handed over when its page is full, or when there is nothing more to read just now: a
/// producer that pauses does not keep back what it has written.
fn fill_pages(
    mut file: File,
    pages: &std_mpsc::Receiver<Box<dyn Page>>,
    filled: &mpsc::UnboundedSender<io::Result<Read>>,
) {
    for mut page in pages {
        while page.spare_len() > 0 {
            let (len, read) = fill(&mut file, page.spare_mut());
            if len > 0 && filled.send(Ok(Read::Bytes(page.split(len)))).is_err() {
                return;
            }
            let end = match read {
                Ok(Some(_more)) => continue,
                Ok(None) => Ok(Read::End),
                Err(error) => Err(error),
            };
            let _nobody_listens = filled.send(end);
            return;
        }
        if filled.send(Ok(Read::PageUsed)).is_err() {
            return;
        }
    }
}

/// More may come.
struct More;

/// Reads until `room` is full, nothing is there to be read just now, the end (`None`), or an
/// error; says how much was read in any case.
fn fill(file: &mut File, room: &mut [u8]) -> (usize, io::Result<Option<More>>) {
    let mut len = 0;
    while len < room.len() && (len == 0 || is_readable(file)) {
        match file.read(&mut room[len..]) {
            Ok(0) => return (len, Ok(None)),
            Ok(n) => len += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Err(error) = wait_readable(file) {
                    return (len, Err(error));
                }
            }
            Err(error) => return (len, Err(error)),
        }
    }
    (len, Ok(Some(More)))
}

/// True if a read would not wait, as far as one can know.
fn is_readable(file: &File) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let now = Timespec::default();
    poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&now)) != Ok(0)
}

/// Waits for a pipe that some other program, which shares it, has made non-blocking.
fn wait_readable(file: &File) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};

    match poll(&mut [PollFd::new(file, PollFlags::IN)], None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(argument: &str) -> Result<Source> {
        Source::parse(OsStr::new(argument))
    }

    #[test]
    fn sources_are_taken_literally() {
        assert_eq!(parse("-").unwrap(), Source::Stdin);
        for (argument, path) in [
            ("a b#%20", "a b#%20"),
            ("./-", "./-"),
            ("file:///a%20b", "/a%20b"),
            ("FILE:///a", "/a"),
            ("file:/a", "file:/a"),
        ] {
            assert_eq!(parse(argument).unwrap(), Source::Path(path.into()));
        }
        let error = parse("s3://b/k").unwrap_err();
        assert!(error.to_string().contains("s3://b/k"), "{error}");
    }
}
