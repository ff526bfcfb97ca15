//! A connection: a socket, with or without TLS on it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::request::Target;
use crate::tls::TlsStream;

/// The most that the kernel sends in one call; a little less than 2 GiB.
const SENDFILE_LIMIT: usize = 0x7fff_f000;

/// A connection to a server.
pub(crate) enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Connection {
    /// Connects to `target`; over HTTPS, certificates that `ca_bundle` vouches for are good.
    pub(crate) fn open(target: &Target, ca_bundle: Option<&Path>) -> Result<Self> {
        let socket = TcpStream::connect((target.host.as_str(), target.port)).context("connect")?;
        socket.set_nodelay(true)?;
        if !target.tls {
            return Ok(Self::Plain(socket));
        }
        let ca_bundle = ca_bundle.context("HTTPS needs AWS_CA_BUNDLE")?;
        let stream = TlsStream::handshake(socket, &target.host, ca_bundle)?;
        Ok(Self::Tls(Box::new(stream)))
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes),
        }
    }

    /// Sends the first `length` bytes of `file` without reading them into this process.
    pub(crate) fn send_file(&mut self, file: &File, length: u64) -> Result<()> {
        let Self::Plain(socket) = self else {
            bail!("--sendfile needs HTTP");
        };
        let mut offset = 0;
        while offset < length {
            let most = usize::try_from(length - offset)
                .map_or(SENDFILE_LIMIT, |left| left.min(SENDFILE_LIMIT));
            let sent = rustix::io::retry_on_intr(|| {
                rustix::fs::sendfile(&*socket, file, Some(&mut offset), most)
            })
            .map_err(io::Error::from)?;
            if sent == 0 {
                bail!("the file ends {} bytes too soon", length - offset);
            }
        }
        Ok(())
    }

    /// Reads some bytes; 0 is the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}
