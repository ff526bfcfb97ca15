//! The counters over HTTP, for a process that has no handle of the server.

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use s3s::Body;

use super::shared::Shared;

/// No bucket can be called `-`.
const PATH: &str = "/-/stats";

pub(super) fn are_asked_for<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET && request.uri().path() == PATH
}

pub(super) fn response(shared: &Shared) -> Response<Body> {
    let (status, body) = match serde_json::to_string_pretty(&shared.stats()) {
        Ok(json) => (StatusCode::OK, json + "\n"),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}
