//! HTTPS: a certificate authority made at the start, and the certificate it signs.

use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tokio::io::BufReader;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

use super::socket::Socket;

/// Some clients take no server certificate that is valid for longer than 825 days.
const VALID_FOR: Duration = Duration::from_secs(800 * 24 * 3600);

/// How far behind the clock of a client may be.
const VALID_SINCE: Duration = Duration::from_secs(24 * 3600);

/// rustls reads 4 KiB at a time; this many bytes are fetched from the socket at once.
const READ_AHEAD: usize = 64 * 1024;

/// What a server needs to speak HTTPS.
#[derive(Debug)]
pub(super) struct Tls {
    config: Arc<ServerConfig>,
    ca_pem: String,
}

impl Tls {
    /// For `localhost`, the loopback addresses and `address`.
    pub(super) fn new(address: IpAddr) -> io::Result<Self> {
        let ca = certificate_authority().map_err(failed)?;
        let (certificate, key) = server_certificate(&ca, address).map_err(failed)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], key)
            .map_err(failed)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            ca_pem: ca.pem(),
        })
    }

    pub(super) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub(super) async fn accept(&self, socket: Socket) -> io::Result<TlsStream<BufReader<Socket>>> {
        let socket = BufReader::with_capacity(READ_AHEAD, socket);
        TlsAcceptor::from(Arc::clone(&self.config))
            .accept(socket)
            .await
    }
}

fn certificate_authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = valid_from_now("testkit CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn server_certificate(
    ca: &CertifiedIssuer<'static, KeyPair>,
    address: IpAddr,
) -> Result<(rcgen::Certificate, PrivateKeyDer<'static>), rcgen::Error> {
    let mut names = ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec();
    if !address.is_unspecified() && !names.contains(&address.to_string()) {
        names.push(address.to_string());
    }
    let key = KeyPair::generate()?;
    let mut params = valid_from_now("testkit");
    params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Strict verifiers, such as Python's, insist on it.
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, ca)?;
    Ok((
        certificate,
        PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    ))
}

fn valid_from_now(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = SystemTime::now();
    params.not_before = (now - VALID_SINCE).into();
    params.not_after = (now + VALID_FOR).into();
    params
}

fn failed(error: impl Display) -> io::Error {
    io::Error::other(format!("can't make a certificate: {error}"))
}
