//! One object, stored by one request.

use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use crc_fast::{CrcAlgorithm, Digest};

use crate::connection::Connection;
use crate::request::{self, Target};
use crate::source::{FileSource, Source};

/// Bytes of a larger buffer that are hashed and written at once, so that the caches have them.
const AT_ONCE: usize = 256 * 1024;

/// A connection, and the request that is to be made on it.
pub(crate) struct Upload<'a> {
    connection: Connection,
    target: &'a Target,
    length: u64,
    buffer: Vec<u8>,
}

impl<'a> Upload<'a> {
    /// Connects, to store `length` bytes, as many at a time as `buffer` has.
    pub(crate) fn open(
        target: &'a Target,
        ca_bundle: Option<&Path>,
        length: u64,
        buffer: Vec<u8>,
    ) -> Result<Self> {
        Ok(Self {
            connection: Connection::open(target, ca_bundle)?,
            target,
            length,
            buffer,
        })
    }

    /// Stores what `source` holds; its CRC64NVME, which is the result, is taken on the way.
    pub(crate) fn stream(&mut self, source: &mut impl Source) -> Result<u64> {
        let mut crc = 0;
        self.request(|upload| {
            let connection = &mut upload.connection;
            crc = pass(source, upload.length, &mut upload.buffer, |bytes| {
                connection.write_all(bytes)
            })?;
            Ok(())
        })?;
        Ok(crc)
    }

    /// Stores `file` by `sendfile`, after it was read once for its CRC64NVME, the result. It comes
    /// first as if it went with the request's head.
    pub(crate) fn send_file(&mut self, file: &File) -> Result<u64> {
        let mut source = FileSource::new(file);
        let crc = pass(&mut source, self.length, &mut self.buffer, |_| Ok(()))?;
        self.request(|upload| upload.connection.send_file(file, upload.length))?;
        Ok(crc)
    }

    /// The request, whose body `send` writes.
    fn request(&mut self, send: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let head = self.target.head(self.length);
        let sent = match self.connection.write_all(head.as_bytes()) {
            Ok(()) => send(self),
            Err(error) => Err(error.into()),
        };
        match sent {
            Ok(()) => request::read_answer(&mut self.connection),
            // A server that refuses a request does not wait for its end: its answer tells why.
            Err(error) if is_closed(&error) => match request::read_answer(&mut self.connection) {
                Ok(()) => Err(error),
                Err(answer) => Err(answer.context(error)),
            },
            Err(error) => Err(error),
        }
    }
}

fn is_closed(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref().map(io::Error::kind);
    matches!(
        kind,
        Some(io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
    )
}

/// Reads `length` bytes, hands them on as they come, and tells their CRC64NVME.
fn pass(
    source: &mut impl Source,
    length: u64,
    buffer: &mut [u8],
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<u64> {
    let mut crc = Digest::new(CrcAlgorithm::Crc64Nvme);
    let mut left = length;
    while left > 0 {
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = source.read(&mut buffer[..most]).context("read")?;
        if read == 0 {
            bail!("the source ends {left} bytes too soon");
        }
        for bytes in buffer[..read].chunks(AT_ONCE) {
            crc.update(bytes);
            take(bytes).context("send")?;
        }
        left -= read as u64;
    }
    Ok(crc.finalize())
}
