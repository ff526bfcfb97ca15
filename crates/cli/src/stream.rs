//! Bytes that come as they come (a pipe, a terminal, a device), read into memory that the writer
//! lends: by a thread of its own, where they can't be read without one.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread;

use tokio::sync::mpsc;
use writer_core::{Error, ErrorKind, ObjectWriter, Page, Result, Segment};

use crate::pipe::feed_pipe;

/// Pages that the reading thread has at once: one is filled while another is handed over.
const PAGES_LENT: usize = 2;

/// Writes all of `file`, which errors call `name`.
///
/// # Errors
///
/// Those of reading, and those of `writer`.
///
/// # Cancellation
///
/// Leaves `writer` with a part of the bytes, fit to be cancelled.
pub(crate) async fn feed_stream(
    file: File,
    name: String,
    writer: &mut dyn ObjectWriter,
) -> Result<()> {
    let file = Arc::new(file);
    match feed_pipe(&file, writer).await {
        Ok(true) => Ok(()),
        Ok(false) => feed_by_thread(file, name, writer).await,
        Err(error) => Err(named(error, &name)),
    }
}

/// An error of reading has no name yet.
fn named(error: Error, name: &str) -> Error {
    match error.uri() {
        Some(_) => error,
        None => error.with_uri(name),
    }
}

/// Lends pages to a thread that fills them, and writes what comes back.
async fn feed_by_thread(
    file: Arc<File>,
    name: String,
    writer: &mut dyn ObjectWriter,
) -> Result<()> {
    let (lend, lent) = std_mpsc::channel();
    let (send, mut filled) = mpsc::unbounded_channel();
    // Not one of the runtime's threads, because it may stay in a read for good.
    thread::Builder::new()
        .name("read-source".into())
        .spawn(move || fill_pages(&file, &lent, &send))?;
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
    file: &File,
    pages: &std_mpsc::Receiver<Box<dyn Page>>,
    filled: &mpsc::UnboundedSender<io::Result<Read>>,
) {
    for mut page in pages {
        while page.spare_len() > 0 {
            let (len, read) = fill(file, page.spare_mut());
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
fn fill(mut file: &File, room: &mut [u8]) -> (usize, io::Result<Option<More>>) {
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
