//! Whether the head of a request can be read in one way only. What two servers could read in two ways is refused: a proxy in
//! front may have judged the other one.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{StatusCode, Version};

/// Passes on what is sound; answers the rest, after which the connection closes.
pub(super) async fn head(request: Request, next: Next) -> Response {
    match unsound(&request) {
        None => next.run(request).await,
        Some((status, why)) => {
            (status, [(CONNECTION, "close")], format!("{why}\n")).into_response()
        }
    }
}

fn unsound<B>(request: &http::Request<B>) -> Option<(StatusCode, &'static str)> {
    let headers = request.headers();
    let hosts = headers.get_all(HOST).iter().count();
    // RFC 9112, 3.2.
    if hosts > 1 {
        return Some((
            StatusCode::BAD_REQUEST,
            "the request has more than one Host",
        ));
    }
    if hosts == 0 && request.version() == Version::HTTP_11 {
        return Some((
            StatusCode::BAD_REQUEST,
            "the request has no Host, which HTTP/1.1 asks for",
        ));
    }
    // RFC 9112, 6.1: a coding that is not understood.
    let chunked = |value: &HeaderValue| {
        value
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"chunked")
    };
    if !headers.get_all(TRANSFER_ENCODING).iter().all(chunked) {
        return Some((
            StatusCode::NOT_IMPLEMENTED,
            "of the transfer codings only `chunked` is understood",
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(version: Version, headers: &[(&str, &str)]) -> Option<StatusCode> {
        let mut request = http::Request::builder().version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        unsound(&request.body(()).unwrap()).map(|(status, _)| status)
    }

    #[test]
    fn a_request_of_http_1_1_has_exactly_one_host() {
        let (one, two) = (("host", "a"), ("host", "b"));

        assert_eq!(judged(Version::HTTP_11, &[one]), None);
        assert_eq!(judged(Version::HTTP_11, &[]), Some(StatusCode::BAD_REQUEST));
        assert_eq!(
            judged(Version::HTTP_11, &[one, two]),
            Some(StatusCode::BAD_REQUEST)
        );
    }

    #[test]
    fn older_and_newer_requests_need_no_host() {
        for version in [Version::HTTP_10, Version::HTTP_2] {
            assert_eq!(judged(version, &[]), None);
            assert_eq!(
                judged(version, &[("host", "a"), ("host", "a")]),
                Some(StatusCode::BAD_REQUEST)
            );
        }
    }

    #[test]
    fn only_the_coding_chunked_is_understood() {
        let coded = |coding| judged(Version::HTTP_10, &[("transfer-encoding", coding)]);

        assert_eq!(coded("Chunked"), None);
        for other in ["gzip, chunked", "identity", "chunked, chunked", ""] {
            assert_eq!(coded(other), Some(StatusCode::NOT_IMPLEMENTED), "{other}");
        }
    }
}
