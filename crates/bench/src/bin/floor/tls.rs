//! TLS on a blocking socket, at the least cost.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// A client's end of a TLS connection.
pub(crate) struct TlsStream {
    tls: ClientConnection,
    socket: TcpStream,
}

impl TlsStream {
    /// Makes `socket` a connection to `host`.
    pub(crate) fn handshake(socket: TcpStream, host: &str, ca_bundle: &Path) -> Result<Self> {
        let name = ServerName::try_from(host.to_owned())?;
        let mut tls = ClientConnection::new(Arc::new(config(ca_bundle)?), name)?;
        // What was sealed leaves before more is: there is no use for a second limit.
        tls.set_buffer_limit(None);
        let mut stream = Self { tls, socket };
        while stream.tls.is_handshaking() {
            stream.tls.complete_io(&mut stream.socket)?;
        }
        Ok(stream)
    }

    /// Seals all of `bytes` in records of 16 KiB, which then leave by vectored writes: with 256 KiB
    /// at a time, one system call for 16 records.
    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tls.writer().write_all(bytes)?;
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    /// Reads some bytes; 0 is the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        rustls::Stream::new(&mut self.tls, &mut self.socket).read(buffer)
    }
}

fn config(ca_bundle: &Path) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(ca_bundle)
        .with_context(|| ca_bundle.display().to_string())?;
    for certificate in certificates {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
