//! Pipes, read without a thread of their own: the runtime says when there is something to read.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::net::unix::pipe::Receiver;
use tokio::time::sleep;
use writer_core::{ObjectWriter, Result};

/// What a pipe is asked to hold: the most that one may without privileges, unless
/// `/proc/sys/fs/pipe-max-size` says otherwise. At the usual 64 KiB, the programs at both ends wake
/// each other for every bit of work: a gigabyte took four times as many switches between them.
const PIPE_SIZE: usize = 1024 * 1024;

/// How often a writer is asked whether it has failed, while nothing comes.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Writes all of `file`; false if it is no pipe that could be read without waiting, and nothing
/// was read of it.
///
/// # Errors
///
/// Those of reading, and those of `writer`.
///
/// # Cancellation
///
/// Leaves `writer` with a part of the bytes, fit to be cancelled.
pub(crate) async fn feed_pipe(file: &File, writer: &mut dyn ObjectWriter) -> Result<bool> {
    let Ok(pipe) = open_again(file) else {
        return Ok(false);
    };
    loop {
        let mut page = writer.reserve(0).await?;
        while page.spare_len() > 0 {
            readable(&pipe, writer).await?;
            let (len, state) = fill(&pipe, page.spare_mut());
            if len > 0 {
                writer.write_owned(page.split(len)).await?;
            }
            match state? {
                State::Full | State::Empty => {}
                State::End => return Ok(true),
            }
        }
    }
}

/// Waits until there is something to read. A writer that has failed says so only to who calls it,
/// so now and then it is called, and whoever writes to the pipe need not go on for nothing.
async fn readable(pipe: &Receiver, writer: &mut dyn ObjectWriter) -> Result<()> {
    loop {
        let asked = async {
            sleep(ASK_EVERY).await;
            writer.reserve(0).await
        };
        tokio::select! {
            biased;
            ready = pipe.readable() => return Ok(ready?),
            page = asked => drop(page?),
        }
    }
}

/// The same pipe, in a description of its own: that reads do not wait is a property of the
/// description, which other programs may share.
fn open_again(file: &File) -> io::Result<Receiver> {
    if !file.metadata()?.file_type().is_fifo() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let pipe = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    // A smaller one does as well.
    let _as_it_is = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE_SIZE);
    Receiver::from_file_unchecked(pipe)
}

/// How filling a page ended.
enum State {
    Full,
    /// Nothing is there to be read just now.
    Empty,
    End,
}

fn fill(pipe: &Receiver, room: &mut [u8]) -> (usize, io::Result<State>) {
    let mut len = 0;
    while len < room.len() {
        match pipe.try_read(&mut room[len..]) {
            Ok(0) => return (len, Ok(State::End)),
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return (len, Ok(State::Empty));
            }
            Err(error) => return (len, Err(error)),
        }
    }
    (len, Ok(State::Full))
}
