//! TLS: whom to trust, and the handshake.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use writer_core::{Error, ErrorKind, Result};

use super::invalid_input;

/// Certificates in PEM that are trusted instead of the system's roots.
#[derive(Clone, Debug)]
pub(crate) struct CaBundle {
    path: PathBuf,
    roots: Arc<RootCertStore>,
}

impl CaBundle {
    /// Reads `path`.
    ///
    /// # Errors
    ///
    /// If it can't be read, or holds no valid certificate.
    pub(crate) async fn read(path: &Path) -> Result<Self> {
        let wrong = |text: String| {
            let text = format!("the CA bundle {}: {text}", path.display());
            Error::new(ErrorKind::InvalidInput, text)
        };
        let reading = path.to_owned();
        let pem = tokio::task::spawn_blocking(move || std::fs::read(reading)).await;
        let pem = pem
            .map_err(io::Error::from)
            .and_then(|read| read)
            .map_err(|error| wrong(error.to_string()).with_source(error))?;
        match roots_of(&pem) {
            Ok(roots) if roots.is_empty() => Err(wrong("has no certificate in PEM".to_owned())),
            Ok(roots) => Ok(Self {
                path: path.to_owned(),
                roots: Arc::new(roots),
            }),
            Err(error) => Err(wrong(error.to_string()).with_source(error)),
        }
    }
}

/// Whose certificates are taken.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// Those of the authorities that the system trusts.
    System,
    /// Those of the authorities in a file.
    Bundle(CaBundle),
    /// Anyone's.
    Anyone,
}

/// A TLS client.
pub(super) struct Tls {
    connector: TlsConnector,
    bundle: Option<PathBuf>,
}

impl Tls {
    pub(super) async fn new(trust: Trust) -> io::Result<Self> {
        let crypto = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&crypto))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let (config, bundle) = match trust {
            Trust::System => {
                let roots = tokio::task::spawn_blocking(system_roots).await?;
                (config.with_root_certificates(roots), None)
            }
            Trust::Bundle(bundle) => {
                let config = config.with_root_certificates(bundle.roots);
                (config, Some(bundle.path))
            }
            Trust::Anyone => {
                let anyone = Arc::new(Anyone(crypto.signature_verification_algorithms));
                let config = config.dangerous().with_custom_certificate_verifier(anyone);
                (config, None)
            }
        };
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config.with_no_client_auth())),
            bundle,
        })
    }

    pub(super) async fn connect(
        &self,
        host: &str,
        tcp: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| invalid_input("the host's name can't be in a certificate"))?;
        let connected = self.connector.connect(name, tcp).await;
        connected.map_err(|error| self.explained(host, error))
    }

    /// A certificate that is not trusted stays so: no other attempt helps.
    fn explained(&self, host: &str, error: io::Error) -> io::Error {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
        let Some(rustls::Error::InvalidCertificate(why)) = cause else {
            return error;
        };
        let whom = match &self.bundle {
            Some(path) => format!("the CA bundle {}", path.display()),
            None => "this system".to_owned(),
        };
        io::Error::other(not_trusted(
            &format!("{host} is not trusted by {whom}"),
            why,
        ))
    }
}

/// The error of a certificate; `whose` also says who does not trust it.
pub(crate) fn not_trusted(whose: &str, why: &CertificateError) -> Error {
    let (why, remedy) = match why {
        CertificateError::UnknownIssuer => (
            "its authority is unknown".to_owned(),
            ": set AWS_CA_BUNDLE to a file with the certificate of its authority",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("it has expired".to_owned(), "")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("it is not valid yet".to_owned(), "")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            ("it is that of another host".to_owned(), "")
        }
        other => (other.to_string(), ""),
    };
    let text = format!("the certificate of {whose}: {why}{remedy}");
    Error::new(ErrorKind::AccessDenied, text)
}

/// Takes any certificate; that who shows it has its key, too, is still checked.
#[derive(Debug)]
struct Anyone(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

fn roots_of(pem: &[u8]) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(io::Error::other)?;
        roots.add(certificate).map_err(io::Error::other)?;
    }
    Ok(roots)
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a certificate of the system can't be read");
    }
    let (_added, ignored) = roots.add_parsable_certificates(found.certs);
    if ignored > 0 {
        tracing::debug!(ignored, "certificates of the system that are not valid");
    }
    roots
}
