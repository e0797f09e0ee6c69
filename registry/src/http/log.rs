//! One line in the log for each request, written when its answer has been sent or broken off.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use hyper::body::{Frame, SizeHint};
use metrics::{counter, histogram};
use tracing::{Instrument, Span, debug, field, info, info_span};
use uuid::Uuid;

use super::Peer;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    /// What the request being answered in this task has learnt about itself.
    static NOTES: Arc<Notes>;
}

/// What the line in the log says beside method, status and time.
#[derive(Debug)]
struct Notes {
    id: Uuid,
    client: Option<IpAddr>,
    route: OnceLock<String>,
    user: OnceLock<String>,
    repository: OnceLock<String>,
    received_bytes: AtomicU64,
}

/// Notes which route answers this request, by the name people search the log for.
pub(crate) fn answered_by(route: &str) {
    note(|notes| &notes.route, route);
}

/// Notes the login of who asks.
pub(crate) fn asked_by(login: &str) {
    note(|notes| &notes.user, login);
}

/// Notes the repository the request is about.
pub(crate) fn about_repository(name: &str) {
    note(|notes| &notes.repository, name);
}

/// The id of the request being answered, as its answer's `X-Request-Id` shows it; `None` outside a request.
pub(crate) fn request_id() -> Option<Uuid> {
    NOTES.try_with(|notes| notes.id).ok()
}

fn note(what: impl Fn(&Notes) -> &OnceLock<String>, value: &str) {
    // Outside a request there is no line to write it in; what was noted first stays.
    let _ = NOTES.try_with(|notes| what(notes).set(value.to_owned()));
}

/// Gives the request an id, answers it, and logs it once its answer has left.
pub(super) async fn request(request: Request, next: Next) -> Response {
    let notes = Arc::new(Notes {
        id: Uuid::now_v7(),
        client: request.extensions().get::<Peer>().map(|peer| peer.0.ip()),
        route: OnceLock::new(),
        user: OnceLock::new(),
        repository: OnceLock::new(),
        received_bytes: AtomicU64::new(0),
    });
    let started = Instant::now();
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let span = info_span!(
        "request",
        id = %notes.id,
        otel.name = field::Empty,
        otel.kind = field::Empty,
        method = field::Empty,
        status = field::Empty,
        repository = field::Empty,
        user = field::Empty,
        sent_bytes = field::Empty,
    );
    let request = request.map(|body| {
        Body::new(Received {
            body,
            notes: Arc::clone(&notes),
        })
    });
    let mut response = NOTES
        .scope(Arc::clone(&notes), next.run(request))
        .instrument(span.clone())
        .await;
    // A route that has not named itself is known by its pattern.
    if let Some(matched) = matched {
        let _ = notes.route.set(matched.as_str().to_owned());
    }
    let id = HeaderValue::try_from(notes.id.to_string()).expect("a UUID is printable ASCII");
    response.headers_mut().insert(X_REQUEST_ID, id);
    let line = Line {
        notes,
        due_bytes: due(&method, &response),
        method,
        status: response.status(),
        started,
        sent_bytes: 0,
        ended: false,
        span,
    };
    response.map(|body| Body::new(Sent { body, line }))
}

/// How long the answer's body will be, where that is known before it is sent.
fn due(method: &Method, response: &Response) -> Option<u64> {
    if method == Method::HEAD {
        return Some(0);
    }
    response.body().size_hint().exact().or_else(|| {
        let length = response.headers().get(CONTENT_LENGTH)?;
        length.to_str().ok()?.parse().ok()
    })
}

/// The line itself; written when it is dropped, that is when the answer's body has been sent or given up.
struct Line {
    notes: Arc<Notes>,
    method: Method,
    status: StatusCode,
    started: Instant,
    due_bytes: Option<u64>,
    sent_bytes: u64,
    ended: bool,
    /// Ends with the line; what it carries is known only then.
    span: Span,
}

/// The methods that are counted under their own name; a client can make up others without end.
const METHODS: [Method; 6] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];

impl Line {
    fn count(&self, route: &str) {
        let route = route.to_owned();
        let known = METHODS.contains(&self.method);
        let method = if known { self.method.as_str() } else { "other" };
        let (method, status) = (method.to_owned(), self.status.as_str().to_owned());
        let received = self.notes.received_bytes.load(Ordering::Relaxed);
        counter!("wharfinger_requests_total", "route" => route.clone(), "method" => method, "status" => status)
            .increment(1);
        histogram!("wharfinger_request_seconds", "route" => route.clone())
            .record(self.started.elapsed());
        counter!("wharfinger_received_bytes_total", "route" => route.clone()).increment(received);
        counter!("wharfinger_sent_bytes_total", "route" => route).increment(self.sent_bytes);
    }

    fn trace(&self, route: &str, user: &str, repository: &str) {
        self.span.record("otel.name", route);
        self.span.record("otel.kind", "server");
        self.span.record("method", self.method.as_str());
        self.span.record("status", self.status.as_u16());
        self.span.record("user", user);
        self.span.record("repository", repository);
        self.span.record("sent_bytes", self.sent_bytes);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let known = |note: &OnceLock<String>| note.get().cloned().unwrap_or_else(|| "-".to_owned());
        let (route, user) = (known(&self.notes.route), known(&self.notes.user));
        let repository = known(&self.notes.repository);
        let client = self.notes.client;
        let client = client.map_or_else(|| "-".to_owned(), |address| address.to_string());
        self.count(&route);
        self.trace(&route, &user, &repository);
        let milliseconds = self.started.elapsed().as_millis();
        macro_rules! write_line {
            ($level:ident) => {
                $level!(
                    request.id = %self.notes.id,
                    method = %self.method,
                    route,
                    status = self.status.as_u16(),
                    duration_ms = u64::try_from(milliseconds).unwrap_or(u64::MAX),
                    user,
                    client.address = client,
                    repository,
                    received_bytes = self.notes.received_bytes.load(Ordering::Relaxed),
                    sent_bytes = self.sent_bytes,
                    broken_off = self.due_bytes.map_or(!self.ended, |due| due != self.sent_bytes),
                    "{method} {route} answered {status} in {milliseconds} ms",
                    method = self.method,
                    status = self.status.as_u16(),
                )
            };
        }
        // Clients ask for each blob before they send it: such a miss is no news.
        if self.method == Method::HEAD && self.status == StatusCode::NOT_FOUND {
            write_line!(debug);
        } else {
            write_line!(info);
        }
    }
}

/// A request's body, counted.
struct Received {
    body: Body,
    notes: Arc<Notes>,
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.notes
                .received_bytes
                .fetch_add(length(frame), Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body, counted, with the line to write at its end.
struct Sent {
    body: Body,
    line: Line,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.line.sent_bytes += length(frame),
            Poll::Ready(None) => self.line.ended = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn length(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, |data| data.len() as u64)
}
