//! Which requests are answered at once, and which are not: the limits that count requests, not connections.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode};
use hyper::body::{Frame, SizeHint};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Peer;
use super::shares::Shares;
use crate::config::{Limits, TrustedProxies};

/// When a client may try again: by then some of what was under way has ended.
const TRY_AGAIN_AFTER_SECONDS: u64 = 1;

/// Whoever watches over this server must get through to it also when it is busy.
const ALWAYS_ADMITTED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The requests that are being answered.
#[derive(Debug)]
pub(super) struct Admission {
    places: Arc<Semaphore>,
    shares: Shares,
    limits: Limits,
}

impl Admission {
    /// Nobody yet.
    pub(super) fn new(limits: Limits, proxies: TrustedProxies) -> Arc<Self> {
        Arc::new(Self {
            shares: Shares::new(limits.requests_per_address, proxies),
            places: Arc::new(Semaphore::new(limits.requests)),
            limits,
        })
    }

    /// The places that the request has to take: one of its address, and one among all. In this order, so that who waits
    /// for his own share stands in nobody's way.
    fn wanted(&self, request: &Request) -> Vec<Arc<Semaphore>> {
        let peer = request.extensions().get::<Peer>();
        let share = peer.and_then(|Peer(peer)| self.shares.of(peer.ip()));
        share
            .into_iter()
            .chain([Arc::clone(&self.places)])
            .collect()
    }
}

/// A place among all, and one in the share of an address. Nobody takes the first without the second.
type Taken = Vec<OwnedSemaphorePermit>;

/// The places if all of them are free now.
fn take(wanted: Vec<Arc<Semaphore>>) -> Option<Taken> {
    let taken = wanted.into_iter().map(Semaphore::try_acquire_owned);
    taken.collect::<Result<_, _>>().ok()
}

/// The places, once they are free.
async fn wait_for(wanted: Vec<Arc<Semaphore>>) -> Taken {
    let mut taken = Vec::with_capacity(wanted.len());
    for places in wanted {
        let place = places.acquire_owned().await;
        taken.push(place.expect("the semaphore is never closed"));
    }
    taken
}

/// Answers the request when there is a place for it, and within its time.
///
/// Only a GET or a HEAD is told to try again. Anything else waits for its place: its client would send the whole body again,
/// or, with the last request of an upload, which often has none, the whole layer. It also takes what time it needs.
pub(super) async fn admit(
    State(admission): State<Arc<Admission>>,
    request: Request,
    next: Next,
) -> Response {
    if ALWAYS_ADMITTED.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let oci = request.uri().path().starts_with("/v2");
    let wanted = admission.wanted(&request);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads || !request.body().is_end_stream() {
        let taken = wait_for(wanted).await;
        return held(next.run(request).await, taken);
    }
    let Some(taken) = take(wanted) else {
        metrics::counter!("wharfinger_requests_refused_total", "reason" => "busy").increment(1);
        return TOO_MANY.answer(oci);
    };
    let answered = tokio::time::timeout(admission.limits.request_time, next.run(request)).await;
    let Ok(response) = answered else {
        metrics::counter!("wharfinger_requests_refused_total", "reason" => "slow").increment(1);
        return TOO_SLOW.answer(oci);
    };
    held(response, taken)
}

/// Why a request is not answered as it should be, in both languages.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    kind: &'static str,
    text: &'static str,
}

const TOO_MANY: Refusal = Refusal {
    status: StatusCode::TOO_MANY_REQUESTS,
    code: "TOOMANYREQUESTS",
    kind: "too_many_requests",
    text: "the registry answers as many requests as it may just now, of all clients or of yours; try again",
};

const TOO_SLOW: Refusal = Refusal {
    status: StatusCode::SERVICE_UNAVAILABLE,
    code: "UNKNOWN",
    kind: "too_slow",
    text: "the registry had no answer within its time for one; try again, its log says what it waits for",
};

impl Refusal {
    fn answer(&self, oci: bool) -> Response {
        let (media_type, body) = if oci {
            let error = json!({ "code": self.code, "message": self.text, "detail": null });
            ("application/json", json!({ "errors": [error] }))
        } else {
            let problem = json!({
                "type": format!("urn:wharfinger:problem:{}", self.kind),
                "title": "Not now",
                "status": self.status.as_u16(),
                "detail": self.text,
            });
            ("application/problem+json", problem)
        };
        let headers = [
            (RETRY_AFTER, HeaderValue::from(TRY_AGAIN_AFTER_SECONDS)),
            (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        ];
        (self.status, headers, body.to_string()).into_response()
    }
}

/// The answer, which gives the places back once it has been sent or given up.
fn held(response: Response, taken: Taken) -> Response {
    response.map(|body| {
        Body::new(Held {
            body,
            _taken: taken,
        })
    })
}

struct Held {
    body: Body,
    _taken: Taken,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::routing::{any, get};
    use tower::ServiceExt;

    use super::*;

    /// A router with one route that never answers and some that do, behind one place.
    fn router() -> Router {
        let limits = Limits {
            requests: 1,
            request_time: Duration::from_secs(5),
            ..Limits::default()
        };
        let admit = axum::middleware::from_fn_with_state(
            Admission::new(limits, TrustedProxies::default()),
            admit,
        );
        Router::new()
            .route("/stuck", get(std::future::pending::<()>))
            .route("/v2/", any(async || "here"))
            .route("/api/v1/tasks", any(async || "here"))
            .route("/healthz", get(async || "ok"))
            .layer(admit)
    }

    async fn ask(router: &Router, method: &str, path: &str, body: &'static str) -> Response {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::from(body)).unwrap();
        router.clone().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn past_the_limit_a_request_without_a_body_is_told_when_to_try_again() {
        let router = router();
        let held = ask(&router, "GET", "/v2/", "").await;

        for (path, media_type) in [
            ("/v2/", "application/json"),
            ("/api/v1/tasks", "application/problem+json"),
        ] {
            let refused = ask(&router, "GET", path, "").await;

            assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(refused.headers()[RETRY_AFTER], "1");
            assert_eq!(refused.headers()[CONTENT_TYPE], media_type);
        }
        drop(held);
        assert_eq!(ask(&router, "GET", "/v2/", "").await.status(), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn past_the_limit_a_request_with_a_body_waits_for_its_place() {
        let router = router();
        let held = ask(&router, "GET", "/v2/", "").await;
        let mut put = std::pin::pin!(ask(&router, "PUT", "/v2/", "a layer"));

        let waited = tokio::time::timeout(Duration::from_hours(1), &mut put).await;
        assert!(waited.is_err(), "it was answered without a place");
        drop(held);

        assert_eq!(put.await.status(), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn past_the_limit_the_last_request_of_an_upload_waits_although_it_has_no_body() {
        let router = router();
        let held = ask(&router, "GET", "/v2/", "").await;
        for method in ["PUT", "POST", "PATCH", "DELETE"] {
            let mut asked = std::pin::pin!(ask(&router, method, "/v2/", ""));

            let waited = tokio::time::timeout(Duration::from_hours(1), &mut asked).await;

            assert!(waited.is_err(), "{method} was answered without a place");
        }
        drop(held);
    }

    #[tokio::test]
    async fn an_address_past_its_share_leaves_the_others_theirs() {
        let limits = Limits {
            requests_per_address: 1,
            ..Limits::default()
        };
        let admission = Admission::new(limits, TrustedProxies::default());
        let router = Router::new()
            .route("/v2/", any(async || "here"))
            .layer(axum::middleware::from_fn_with_state(admission, admit));
        let ask = async |address: [u8; 4]| {
            let peer = Peer((address, 1).into());
            let request = Request::builder().uri("/v2/").extension(peer);
            let request = request.body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap()
        };
        let _unread = ask([192, 0, 2, 7]).await;

        let own = ask([192, 0, 2, 7]).await.status();
        let others = ask([192, 0, 2, 8]).await.status();

        assert_eq!(own, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(others, StatusCode::OK);
    }

    #[tokio::test]
    async fn health_is_shown_also_past_the_limit() {
        let router = router();
        let _held = ask(&router, "GET", "/v2/", "").await;

        assert_eq!(ask(&router, "GET", "/healthz", "").await.status(), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_a_body_is_given_up_after_its_time() {
        let router = router();

        let answer = ask(&router, "GET", "/stuck", "").await;

        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()[RETRY_AFTER], "1");
        assert_eq!(ask(&router, "GET", "/v2/", "").await.status(), 200);
    }
}
