//! Passing a request on to the main server, and its answer back, both as they stream.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use reqwest::RequestBuilder;
use secrecy::ExposeSecret as _;
use workflows::mirror::Upstream;
use workflows::mirror::wire::{CLIENT, ORIGIN, PASSED_ON};

use super::passed_on::take_away;
use super::proxy::Proxy;
use crate::app::App;
use crate::auth;
use crate::auth::challenge::origin_of;
use crate::oci::OciError;

/// A login computes a password's hash, at worst behind others.
pub(super) const LOGS_IN_WITHIN: Duration = Duration::from_secs(30);

/// What concerns one connection, and not what is behind it (RFC 9110, section 7.6.1).
const OF_A_CONNECTION: [HeaderName; 8] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    EXPECT,
];

/// Says for whom the request is passed on: that only a proxy may, by its secret.
pub(super) fn signed(
    request: RequestBuilder,
    upstream: &Upstream,
    app: &App,
    head: &Parts,
) -> RequestBuilder {
    let request = request
        .header(PASSED_ON, upstream.secret().expose_secret())
        .header(ORIGIN, origin_of(&app.config, &head.headers));
    match auth::address(head) {
        Some(address) => request.header(CLIENT, address.to_string()),
        None => request,
    }
}

/// What the main server answers to this request.
pub(crate) async fn pass_on(
    app: &App,
    proxy: &Proxy,
    head: &Parts,
    body: Body,
    writes: bool,
) -> Result<Response, OciError> {
    let upstream = proxy.mirror.upstream();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers = head.headers.clone();
    let has_body = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
    take_away(&mut headers);
    of_this_connection(&mut headers);
    headers.remove(HOST);
    let mut request = upstream
        .passed_on(head.method.clone(), path)
        .headers(headers);
    request = signed(request, upstream, app, head);
    if has_body {
        request = request.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => {
            return Err(OciError::MainServerDown {
                why: upstream.silent(error).to_string(),
                synced_at: proxy.synced_at(app).await,
                writes,
            });
        }
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    let mut headers = answer.headers().clone();
    of_this_connection(&mut headers);
    *response.headers_mut() = headers;
    *response.body_mut() = Body::from_stream(answer.bytes_stream());
    Ok(response)
}

/// Takes away what concerns this connection alone, also what it names itself.
fn of_this_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&OF_A_CONNECTION) {
        headers.remove(name);
    }
}
