//! The HTTP client that parts leave through.
//!
//! The SDK signs a request and gives it to its HTTP client; this is that client. What sends a
//! body goes over connections of our own, because what that costs is decided there: a file is
//! read only when its socket takes bytes, into one buffer a thread, so that a connection that
//! backs up holds none; memory is written where it lies; writes are large. What is read (GET and
//! HEAD) goes over the same kind of connections, with hyper on them.
//!
//! ```text
//!  Client ──▶ Pool ──▶ Connection ──▶ Pump   ──▶ Stream (TCP, or TLS over it)
//!               ▲          └────────▶ Answer ◀──┘
//!               └── when the answer is complete
//! ```

mod answer;
mod connect;
mod connection;
mod pool;
mod pump;
mod reading;
mod stream;
mod tls;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::config::http::{HttpRequest, HttpResponse};
use aws_sdk_s3::config::{HttpClient, RuntimeComponents};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use writer_core::Error;

use answer::Answer;
use connect::{Connect, Endpoint};
use connection::Head;
use pool::Pool;
use reading::Reader;
pub(crate) use tls::{CaBundle, Trust, not_trusted};

use crate::body::Outgoing;

/// An HTTP client; its clones share connections.
pub(crate) struct Client {
    pool: Arc<Pool>,
    reader: Arc<Reader>,
}

impl Client {
    /// A client with so much `trust`. To resolve a name, to connect, and to agree on TLS may take up
    /// to `limit` each.
    pub(crate) fn new(trust: Trust, limit: Duration) -> Self {
        let connect = Arc::new(Connect::new(trust, limit));
        Self {
            pool: Arc::new(Pool::new(Arc::clone(&connect))),
            reader: Arc::new(Reader::new(connect)),
        }
    }
}

impl HttpClient for Client {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            pool: Arc::clone(&self.pool),
            reader: Arc::clone(&self.reader),
            connect_timeout: settings.connect_timeout(),
            read_timeout: settings.read_timeout(),
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

struct Connector {
    pool: Arc<Pool>,
    reader: Arc<Reader>,
    /// Those that look for credentials and the region ask for short ones.
    connect_timeout: Option<Duration>,
    read_timeout: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let timeouts = (self.connect_timeout, self.read_timeout);
        if matches!(request.method(), "GET" | "HEAD") {
            let reader = Arc::clone(&self.reader);
            return HttpConnectorFuture::new(async move { reader.ask(request, timeouts).await });
        }
        let pool = Arc::clone(&self.pool);
        HttpConnectorFuture::new(async move {
            let answer = send(&pool, &request, timeouts).await.map_err(refused)?;
            respond(answer)
        })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

async fn send(
    pool: &Pool,
    request: &HttpRequest,
    (connect, read): (Option<Duration>, Option<Duration>),
) -> io::Result<Answer> {
    let endpoint = Endpoint::of(request.uri())?;
    let outgoing = match request.extension::<Outgoing>() {
        Some(outgoing) => outgoing.clone(),
        None => Outgoing::of_bytes(in_memory(request)?),
    };
    let head = Head::of(request, &endpoint, outgoing.len())?;
    let mut connection = within(connect, pool.take(&endpoint)).await?;
    let answer = within(read, connection.exchange(head, &outgoing)).await?;
    if answer.keep_alive {
        pool.put_back(endpoint, connection);
    }
    Ok(answer)
}

/// `work`, for as long as it may take.
async fn within<T>(
    limit: Option<Duration>,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, work).await?,
        None => work.await,
    }
}

fn in_memory(request: &HttpRequest) -> io::Result<Vec<u8>> {
    let bytes = request.body().bytes();
    let bytes =
        bytes.ok_or_else(|| invalid_input("a body that is neither a part nor in memory"))?;
    Ok(bytes.to_vec())
}

fn respond(answer: Answer) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(answer.status);
    let status = status.map_err(|error| ConnectorError::io(error.into()))?;
    let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
    for (name, value) in answer.headers {
        // A header that is not valid text is of no use to anybody.
        let _dropped = response.headers_mut().try_append(name, value);
    }
    Ok(response)
}

/// Our own errors (a file that can't be read, a certificate that is not trusted) are final; what
/// the network does may pass.
fn refused(error: io::Error) -> ConnectorError {
    match error.downcast::<Error>() {
        Ok(own) => ConnectorError::user(own.into()),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            ConnectorError::timeout(error.into())
        }
        // Of ours: what the kernel calls so (EINVAL) may have come after all was sent.
        Err(error)
            if error.kind() == io::ErrorKind::InvalidInput && error.raw_os_error().is_none() =>
        {
            ConnectorError::user(error.into())
        }
        Err(error) => ConnectorError::io(error.into()),
    }
}

fn invalid_input(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

fn invalid_data(text: impl fmt::Display) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the answer is not valid HTTP: {text}"),
    )
}
