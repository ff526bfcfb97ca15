//! A client for GET and HEAD that takes any certificate: the SDK's own has no such choice.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aws_sdk_s3::config::http::HttpRequest;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::body::SdkBody;
use http::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tower_service::Service;

use super::connect::{Connect, Endpoint};
use super::refused;
use super::stream::Stream;

/// Reads over connections that `connect` makes.
pub(super) fn connector(connect: Arc<Connect>) -> SharedHttpConnector {
    let client = Client::builder(TokioExecutor::new()).build(Dial(connect));
    SharedHttpConnector::new(Reading(client))
}

struct Reading(Client<Dial, SdkBody>);

impl HttpConnector for Reading {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x();
            let request = request.map_err(|error| ConnectorError::user(error.into()))?;
            match client.request(request).await {
                Ok(answer) => {
                    let answer = answer.map(SdkBody::from_body_1_x);
                    let answer = Response::try_from(answer);
                    answer.map_err(|error| ConnectorError::other(error.into(), None))
                }
                Err(error) => Err(refused(io::Error::other(error))),
            }
        })
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").finish_non_exhaustive()
    }
}

/// Makes connections for hyper.
#[derive(Clone)]
struct Dial(Arc<Connect>);

impl Service<Uri> for Dial {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connect = Arc::clone(&self.0);
        Box::pin(async move {
            let endpoint = Endpoint::of(&url.to_string())?;
            connect.connect(&endpoint).await.map(TokioIo::new)
        })
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
