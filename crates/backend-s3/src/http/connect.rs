//! From a URL to a connected stream.

use std::error::Error;
use std::io;
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tower_service::Service as _;

use super::invalid_input;
use super::stream::Stream;
use super::tls::{Tls, Trust};

/// The kernel asks after a peer that has been silent for so long, while an answer is awaited.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Where a request goes: connections to it are interchangeable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Endpoint {
    secure: bool,
    /// Host, and the port if it is not the scheme's own.
    authority: String,
    host: String,
}

impl Endpoint {
    pub(super) fn of(url: &str) -> io::Result<Self> {
        let url: Uri = url.parse().map_err(|_| invalid_input("not a URL"))?;
        let secure = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => {
                return Err(invalid_input(
                    "the endpoint is neither http:// nor https://",
                ));
            }
        };
        let authority = url
            .authority()
            .ok_or_else(|| invalid_input("a URL without host"))?;
        let own_port = if secure { 443 } else { 80 };
        let host = authority.host();
        Ok(Self {
            secure,
            authority: match authority.port_u16() {
                Some(port) if port != own_port => format!("{host}:{port}"),
                _ => host.to_owned(),
            },
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
        })
    }

    /// The value of the `Host` header.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    fn url(&self) -> io::Result<Uri> {
        let scheme = if self.secure { "https" } else { "http" };
        let url = Uri::builder()
            .scheme(scheme)
            .authority(&*self.authority)
            .path_and_query("/");
        url.build().map_err(|_| invalid_input("not a URL"))
    }
}

/// Why there is no connection to `host`: in the system's words, or else in the client's.
fn unreachable(host: &str, error: impl Error + 'static) -> io::Error {
    let mut innermost: &(dyn Error + 'static) = &error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    let kind = innermost
        .downcast_ref::<io::Error>()
        .map_or(io::ErrorKind::Other, io::Error::kind);
    io::Error::new(kind, format!("can't connect to {host}: {innermost}"))
}

/// Makes connections.
pub(super) struct Connect {
    tcp: HttpConnector,
    /// For resolving the name, connecting, and TLS, each.
    limit: Duration,
    trust: Trust,
    /// Made when it is first needed: reading the system's roots takes milliseconds.
    tls: OnceCell<Tls>,
}

impl Connect {
    pub(super) fn new(trust: Trust, limit: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limit));
        tcp.set_keepalive(Some(KEEP_ALIVE));
        Self {
            tcp,
            limit,
            trust,
            tls: OnceCell::new(),
        }
    }

    pub(super) async fn connect(&self, endpoint: &Endpoint) -> io::Result<Stream> {
        let tcp = self.tcp.clone().call(endpoint.url()?).await;
        let tcp = tcp.map_err(|error| unreachable(&endpoint.authority, error))?;
        let tcp = tcp.into_inner();
        if !endpoint.secure {
            return Ok(Stream::Plain(tcp));
        }
        let tls = self
            .tls
            .get_or_try_init(|| Tls::new(self.trust.clone()))
            .await?;
        let connected = timeout(self.limit, tls.connect(&endpoint.host, tcp)).await;
        Ok(Stream::Tls(Box::new(connected??)))
    }
}
