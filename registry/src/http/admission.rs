//! Which requests are answered at once, and which are not: the limits that count requests, not connections.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Json;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use hyper::body::{Frame, SizeHint};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;

/// When a client may try again: by then some of what was under way has ended.
const TRY_AGAIN_AFTER_SECONDS: u64 = 1;

/// Whoever watches over this server must get through to it also when it is busy.
const ALWAYS_ADMITTED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The requests that are being answered.
#[derive(Debug)]
pub(super) struct Admission {
    places: Arc<Semaphore>,
    limits: Limits,
}

impl Admission {
    /// Nobody yet.
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(limits.requests)),
            limits,
        })
    }
}

/// Answers the request when there is a place for it, and within its time.
///
/// One with a body waits for its place, and takes what time it needs: its client would send the whole body again.
pub(super) async fn admit(
    State(admission): State<Arc<Admission>>,
    request: Request,
    next: Next,
) -> Response {
    if ALWAYS_ADMITTED.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let oci = request.uri().path().starts_with("/v2");
    let places = Arc::clone(&admission.places);
    if !request.body().is_end_stream() {
        let place = places.acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        return held(next.run(request).await, place);
    }
    let Ok(place) = places.try_acquire_owned() else {
        metrics::counter!("wharfinger_requests_refused_total", "reason" => "busy").increment(1);
        return TOO_MANY.answer(oci);
    };
    let answered = tokio::time::timeout(admission.limits.request_time, next.run(request)).await;
    let Ok(response) = answered else {
        metrics::counter!("wharfinger_requests_refused_total", "reason" => "slow").increment(1);
        return TOO_SLOW.answer(oci);
    };
    held(response, place)
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
    text: "the registry answers as many requests as it may just now; try again",
};

const TOO_SLOW: Refusal = Refusal {
    status: StatusCode::SERVICE_UNAVAILABLE,
    code: "UNKNOWN",
    kind: "too_slow",
    text: "the registry had no answer within its time for one; try again, its log says what it waits for",
};

impl Refusal {
    fn answer(&self, oci: bool) -> Response {
        let body = if oci {
            json!({ "errors": [{ "code": self.code, "message": self.text, "detail": null }] })
        } else {
            json!({
                "type": format!("urn:wharfinger:problem:{}", self.kind),
                "title": "Not now",
                "status": self.status.as_u16(),
                "detail": self.text,
            })
        };
        let again = [(RETRY_AFTER, HeaderValue::from(TRY_AGAIN_AFTER_SECONDS))];
        (self.status, again, Json(body)).into_response()
    }
}

/// The answer, which gives the place back once it has been sent or given up.
fn held(response: Response, place: OwnedSemaphorePermit) -> Response {
    response.map(|body| {
        Body::new(Held {
            body,
            _place: place,
        })
    })
}

struct Held {
    body: Body,
    _place: OwnedSemaphorePermit,
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
        let admit = axum::middleware::from_fn_with_state(Admission::new(limits), admit);
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

        for path in ["/v2/", "/api/v1/tasks"] {
            let refused = ask(&router, "GET", path, "").await;

            assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(refused.headers()[RETRY_AFTER], "1");
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
