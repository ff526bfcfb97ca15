//! What surrounds s3s: the log, the faults, the load, the holds and the latency.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use s3s::Body;
use s3s::service::{S3Service, S3ServiceBuilder};

use super::access::{Access, Auth};
use super::api::Api;
use super::body::Tap;
use super::counters;
use super::fault::{Effect, Plan};
use super::operation::Target;
use super::record::{Connection, Entry};
use super::shared::Shared;

/// Set in the extensions of a request whose body is to be damaged after the
/// aws-chunked framing was taken off, in this byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlipBit(pub(super) u64);

pub(super) fn s3(shared: Arc<Shared>) -> S3Service {
    let mut builder = S3ServiceBuilder::new(Api::new(Arc::clone(&shared)));
    builder.set_auth(Auth::new(Arc::clone(&shared)));
    builder.set_access(Access::new(shared));
    builder.build()
}

/// Answers one request; an error closes the connection without an answer.
pub(super) async fn answer(
    shared: Arc<Shared>,
    s3: S3Service,
    connection: Arc<Connection>,
    mut request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    if counters::are_asked_for(&request) {
        return Ok(counters::response(&shared));
    }
    join_content_encodings(request.headers_mut());
    let target = Target::of(request.method(), request.uri(), request.headers());
    let entry = shared
        .journal
        .begin(&target, request.headers(), connection.number);
    let in_flight = InFlight {
        shared: &shared,
        entry: &entry,
    };

    let plan = shared.faults.strike(&target);
    pause(plan.delay).await;
    let answered = match shared.load.admit(&target) {
        Some(_receiving) => serve(&shared, &s3, &entry, &plan, request).await,
        None => Some(slow_down(&shared, &entry, request).await),
    };
    let Some(mut response) = answered else {
        return Err(reset(&connection));
    };
    pause(shared.latency() + plan.late_reply).await;
    shared.holds.pass(&target).await;
    if let Effect::ResetAfterBody = plan.effect {
        return Err(reset(&connection));
    }
    response
        .headers_mut()
        .insert("x-amz-request-id", request_id());
    in_flight.answered(response.status());
    Ok(response)
}

/// Serves a request with a fault; `None` if the connection is to be reset.
async fn serve(
    shared: &Arc<Shared>,
    s3: &S3Service,
    entry: &Arc<Entry>,
    Plan {
        effect, late_work, ..
    }: &Plan,
    request: Request<Incoming>,
) -> Option<Response<Body>> {
    let expects_continue = request.headers().contains_key(header::EXPECT);
    let chunked = request
        .headers()
        .get("x-amz-content-sha256")
        .is_some_and(|hash| hash.as_bytes().starts_with(b"STREAMING"));
    let (mut head, body) = request.into_parts();
    let (mut body, rest) = Tap::new(body, Arc::clone(shared), Arc::clone(entry));
    if entry.target.is_part()
        && !body.is_end_stream()
        && let Some(stall) = shared.load.next_stall()
    {
        body.stall_halfway(stall);
    }
    match effect {
        Effect::None | Effect::ResetAfterBody => {}
        Effect::ResetBeforeBody => return None,
        Effect::ResetAfterBytes(bytes) => body.cut_after(*bytes),
        Effect::Respond {
            status,
            code,
            read_body,
        } => {
            drop(body);
            if *read_body {
                rest.drain(shared, entry, false).await;
            }
            return Some(error_response(*status, code));
        }
        Effect::FlipBit(at) if chunked => drop(head.extensions.insert(FlipBit(*at))),
        Effect::FlipBit(at) => body.flip_bit(*at),
        Effect::Echo(fault) => drop(head.extensions.insert(*fault)),
        Effect::ETag(fault) => drop(head.extensions.insert(*fault)),
    }
    let request = Request::from_parts(head, Body::http_body(body));
    let answer = if late_work.is_zero() {
        s3.call(request).await
    } else {
        work_late(shared, s3, request, *late_work).await
    };
    if let Effect::ResetAfterBytes(_) = effect {
        return None;
    }
    rest.drain(shared, entry, expects_continue).await;
    Some(
        answer
            .unwrap_or_else(|_| error_response(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")),
    )
}

/// Reads a request and does its work after a while, in a task that outlives its connection.
async fn work_late(
    shared: &Arc<Shared>,
    s3: &S3Service,
    request: Request<Body>,
    delay: Duration,
) -> Result<Response<Body>, s3s::HttpError> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(error_response(StatusCode::BAD_REQUEST, "IncompleteBody"));
    };
    let request = Request::from_parts(head, Body::from(body.to_bytes()));
    let (late, s3) = (shared.late.begin(), s3.clone());
    let work = tokio::spawn(async move {
        pause(delay).await;
        let answer = s3.call(request).await;
        drop(late);
        answer
    });
    work.await
        .unwrap_or_else(|_| Ok(error_response(StatusCode::SERVICE_UNAVAILABLE, "SlowDown")))
}

async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

/// Refuses a request that is one too many, and closes the connection.
async fn slow_down(
    shared: &Arc<Shared>,
    entry: &Arc<Entry>,
    request: Request<Incoming>,
) -> Response<Body> {
    let expects_continue = request.headers().contains_key(header::EXPECT);
    let (body, rest) = Tap::new(request.into_body(), Arc::clone(shared), Arc::clone(entry));
    drop(body);
    rest.drain(shared, entry, expects_continue).await;
    let mut response = error_response(StatusCode::SERVICE_UNAVAILABLE, "SlowDown");
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// One header instead of several: SDKs send `gzip` and `aws-chunked` apart,
/// which s3s refuses. To the signature both forms are the same.
fn join_content_encodings(headers: &mut HeaderMap) {
    let values: Vec<_> = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if values.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&values.join(&b','))
    {
        headers.insert(header::CONTENT_ENCODING, joined);
    }
}

fn reset(connection: &Connection) -> io::Error {
    connection.reset.store(true, Ordering::SeqCst);
    io::ErrorKind::ConnectionReset.into()
}

fn error_response(status: StatusCode, code: &str) -> Response<Body> {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{code}</Code><Message>Injected by the test server.</Message></Error>"
    );
    let mut response = Response::new(Body::from(xml));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/xml"),
    );
    response
}

fn request_id() -> HeaderValue {
    let id = format!("{:016X}", fastrand::u64(..));
    HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("0"))
}

/// Ends the record of a request also when its client goes away meanwhile and
/// the future is dropped.
struct InFlight<'a> {
    shared: &'a Shared,
    entry: &'a Entry,
}

impl InFlight<'_> {
    fn answered(self, status: StatusCode) {
        self.shared.journal.end(self.entry, status.as_u16());
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.shared.journal.end(self.entry, 0);
    }
}
