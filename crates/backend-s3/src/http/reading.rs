//! GET and HEAD, whose answers are read as they come.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::config::http::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::body::SdkBody;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::legacy::{Client, Error as Failure};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::timeout;
use tower_service::Service;
use writer_core::Error;

use super::connect::{Connect, Endpoint};
use super::pool::IDLE;
use super::stream::Stream;
use super::within;
use crate::error::find;

/// Reads over connections of hyper's.
pub(super) struct Reader {
    connect: Arc<Connect>,
    /// By how long it may take to connect, of which there are two or three: S3's, and those of
    /// where credentials come from.
    clients: Mutex<HashMap<Option<Duration>, Client<Dial, SdkBody>>>,
}

impl Reader {
    /// Reads over connections that `connect` makes.
    pub(super) fn new(connect: Arc<Connect>) -> Self {
        Self {
            connect,
            clients: Mutex::default(),
        }
    }

    /// The answer to `request`, of which the body is still to come; `connect` and `read` bound the
    /// time to a connection and to the answer's head.
    pub(super) async fn ask(
        &self,
        request: HttpRequest,
        (connect, read): (Option<Duration>, Option<Duration>),
    ) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x();
        let request = request.map_err(|error| ConnectorError::user(error.into()))?;
        let client = self.client(connect);
        let asking = client.request(request);
        let answer = match read {
            Some(limit) => timeout(limit, asking)
                .await
                .map_err(|late| ConnectorError::timeout(late.into()))?,
            None => asking.await,
        };
        let answer = answer.map_err(failed)?;
        let answer = answer.map(SdkBody::from_body_1_x);
        Response::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
    }

    fn client(&self, limit: Option<Duration>) -> Client<Dial, SdkBody> {
        // A map is whole between any two steps.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.entry(limit).or_insert_with(|| {
            let connect = Arc::clone(&self.connect);
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .build(Dial { connect, limit })
        });
        client.clone()
    }
}

/// What hyper says, sorted as [`refused`] sorts what our own connections say.
fn failed(error: Failure) -> ConnectorError {
    if let Some(own) = find::<Error>(&error) {
        return ConnectorError::user(own.clone().into());
    }
    let at_the_bottom = find::<io::Error>(&error);
    let is_ours = at_the_bottom.is_some_and(|error| error.raw_os_error().is_none());
    match at_the_bottom.map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => ConnectorError::timeout(error.into()),
        Some(io::ErrorKind::InvalidInput) if is_ours => ConnectorError::user(error.into()),
        _ => ConnectorError::io(error.into()),
    }
}

/// Makes connections for hyper.
#[derive(Clone)]
struct Dial {
    connect: Arc<Connect>,
    limit: Option<Duration>,
}

impl Service<Uri> for Dial {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let dial = self.clone();
        Box::pin(async move {
            let endpoint = Endpoint::of(&url.to_string())?;
            let connected = within(dial.limit, dial.connect.connect(&endpoint)).await;
            connected.map(TokioIo::new)
        })
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
