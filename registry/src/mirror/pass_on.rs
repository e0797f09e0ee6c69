//! Passing a request on to the main server, and its answer back, both as they stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use futures_util::StreamExt as _;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use reqwest::RequestBuilder;
use secrecy::ExposeSecret as _;
use tokio::sync::oneshot;
use workflows::mirror::wire::{CLIENT, ORIGIN, PASSED_ON};
use workflows::mirror::{Upstream, is_of_a_gateway};

use super::passed_on::take_away;
use super::proxy::Proxy;
use crate::app::App;
use crate::auth;
use crate::auth::challenge::origin_of;
use crate::oci::{DOCKER_DISTRIBUTION_API_VERSION, OciError};

/// A login computes a password's hash, at worst behind others.
pub(super) const LOGS_IN_WITHIN: Duration = Duration::from_secs(30);

/// A question without a body is answered at once, or nobody is there.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// What ends a body is answered once it is on disk, and a push once its task has published it.
const ANSWERS_A_BODY_WITHIN: Duration = Duration::from_mins(5);

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
    let body = Passing::of(body);
    take_away(&mut headers);
    of_this_connection(&mut headers);
    headers.remove(HOST);
    let mut request = upstream
        .passed_on(head.method.clone(), path)
        .headers(headers);
    request = signed(request, upstream, app, head);
    if has_body {
        request = request.body(body.bytes);
    } else {
        drop(body.bytes); // nothing comes
    }
    let patience = if has_body {
        ANSWERS_A_BODY_WITHIN
    } else {
        ANSWERS_WITHIN
    };
    let late = async {
        let _all_is_sent = body.ended.await;
        tokio::time::sleep(patience).await;
    };
    let answered = tokio::select! {
        answered = request.send() => answered.map_err(|error| {
            // Only this says that nobody is there: all else may be the work of whoever sends the body.
            if error.is_connect() {
                proxy.note_main_down();
            }
            upstream.silent(error)
        }),
        () = late => {
            let why = format!("nothing came for {} s", patience.as_secs());
            Err(upstream.silent_because(why))
        }
    };
    let answered = answered.and_then(|answer| {
        // This program says on each answer under /v2 what it is.
        let is_its_own = answer
            .headers()
            .contains_key(DOCKER_DISTRIBUTION_API_VERSION);
        if is_of_a_gateway(answer.status()) && !is_its_own {
            return Err(upstream.hidden(answer.status()));
        }
        Ok(answer)
    });
    let answer = match answered {
        Ok(answer) => answer,
        Err(_) if body.broke.load(Ordering::Relaxed) => return Err(OciError::BodyBroken),
        Err(error) => {
            return Err(OciError::MainServerDown {
                why: error.to_string(),
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

/// A client's body on its way.
struct Passing {
    bytes: reqwest::Body,
    /// Fires at its end, whatever that is.
    ended: oneshot::Receiver<()>,
    /// It broke off, which is the client's doing.
    broke: Arc<AtomicBool>,
}

impl Passing {
    fn of(body: Body) -> Self {
        let broke = Arc::new(AtomicBool::new(false));
        let (at_its_end, ended) = oneshot::channel::<()>();
        let seen = Arc::clone(&broke);
        let bytes = body.into_data_stream().inspect(move |part| {
            let _held_until_the_stream_is_dropped = &at_its_end;
            if part.is_err() {
                seen.store(true, Ordering::Relaxed);
            }
        });
        Self {
            bytes: reqwest::Body::wrap_stream(bytes),
            ended,
            broke,
        }
    }
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
