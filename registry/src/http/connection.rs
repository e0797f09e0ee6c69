//! One connection: which protocol it speaks, and its requests until either side closes it.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};
use tower::ServiceExt;
use tracing::debug;

use super::linger::{self, Lent};
use super::opening::{self, Version};
use super::places::Places;
use super::pulse::{Finding, Pulse};
use super::streams::Streams;
use super::tls::{self, Certificates};
use super::{Draining, Peer, forwarded};
use crate::config::{Limits, TrustedProxies};

/// What a client that speaks TLS to a plain port is told: Go's clients (podman, skopeo, docker) turn an answer that begins
/// with `HTTP/` into "server gave HTTP response to HTTPS client", by which people find out what is wrong.
const NOT_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\n\
    This port speaks plain HTTP, and the client spoke TLS.\n";

/// What a client is told that does not speak TLS where it must.
const NOT_PLAIN: &[u8] = b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\n\
    This port speaks TLS, and the client spoke plain HTTP: write https:// in front of its address.\n";

/// How many requests of one HTTP/2 connection are answered at once: more than any client of a registry sends, and few
/// enough that one connection is no multitude.
const STREAMS: u32 = 100;

/// So much of what a client sends is read ahead at most. A thousand clients that stand still in the middle of a body hold as
/// many of these, and a larger one makes no upload faster.
const READ_BYTES: usize = 128 * 1024;

/// What all connections of a listener have in common.
#[derive(Clone)]
pub(super) struct House {
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) places: Arc<Places>,
    pub(super) proxies: TrustedProxies,
    /// None: plain HTTP.
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) draining: Draining,
    pub(super) streams: Streams,
}

/// Answers the requests of one connection until either side closes it.
pub(super) async fn talk(stream: TcpStream, peer: Peer, house: House) {
    let spoke = tokio::select! {
        () = house.draining.0.cancelled() => return,
        spoke = tokio::time::timeout(house.limits.header_time, opening::is_tls(&stream)) => spoke,
    };
    let Ok(Ok(is_tls)) = spoke else {
        return; // closed, broken or silent: there is nobody to answer
    };
    // Refused only for a socket that is gone already, which the first read will tell.
    let _ = stream.set_nodelay(true);
    match (is_tls, house.certificates.clone()) {
        (true, Some(certificates)) => talk_tls(stream, peer, &house, &certificates).await,
        (false, None) => talk_plain(stream, peer, &house).await,
        (true, None) => refuse(stream, NOT_TLS).await,
        (false, Some(_)) => refuse(stream, NOT_PLAIN).await,
    }
}

async fn refuse(mut stream: TcpStream, why: &[u8]) {
    // Whoever breaks off here is not interested in the answer.
    let _ = stream.write_all(why).await;
    linger::close(stream).await;
}

async fn talk_plain(mut stream: TcpStream, peer: Peer, house: &House) {
    let time = house.limits.header_time;
    let Ok(Ok((version, read))) = tokio::time::timeout(time, opening::version(&mut stream)).await
    else {
        return;
    };
    let (stream, returned) = Lent::new(stream, read);
    converse(stream, version, peer, house).await;
    if let Ok(stream) = returned.await {
        linger::close(stream).await;
    }
}

async fn talk_tls(stream: TcpStream, peer: Peer, house: &House, certificates: &Certificates) {
    let (stream, returned) = Lent::new(stream, Vec::new());
    let time = house.limits.header_time;
    match tokio::time::timeout(time, certificates.accept(stream)).await {
        Ok(Ok(stream)) => {
            let version = tls::version(&stream);
            converse(stream, version, peer, house).await;
        }
        Ok(Err(broken)) => {
            debug!(peer = %peer.0, error = %broken, "a TLS handshake failed");
        }
        Err(_) => return,
    }
    if let Ok(stream) = returned.await {
        linger::close(stream).await;
    }
}

async fn converse<S>(stream: S, version: Version, peer: Peer, house: &House)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pulse = Pulse::new();
    let service = {
        let (pulse, house) = (pulse.clone(), house.clone());
        service_fn(move |request| answer(request, peer, house.clone(), pulse.clone()))
    };
    let (stream, limits) = (TokioIo::new(stream), &house.limits);
    let ended = match version {
        Version::Http1 => {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                // Who has sent the whole request and closed his half still reads the answer.
                .half_close(true)
                .header_read_timeout(limits.header_time)
                .max_header_size(limits.header_bytes)
                .max_buf_size(READ_BYTES.max(limits.header_bytes))
                .serve_connection(stream, service);
            drive(connection, &pulse, house).await
        }
        Version::Http2 => {
            let header_bytes = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
            let connection = http2::Builder::new(house.streams.clone())
                .timer(TokioTimer::new())
                .max_header_list_size(header_bytes)
                .max_concurrent_streams(STREAMS)
                .serve_connection(stream, service);
            drive(connection, &pulse, house).await
        }
    };
    if let Err(broken) = ended {
        debug!(peer = %peer.0, error = %broken, "a connection broke");
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    Peer(peer): Peer,
    house: House,
    pulse: Pulse,
) -> Result<Response, Infallible> {
    let exchange = pulse.begin();
    let (mut head, body) = request.into_parts();
    forwarded::settle(&mut head, peer, &house.proxies);
    head.extensions.insert(house.draining);
    let request = hyper::Request::from_parts(head, Body::new(body));
    let response = house.router.oneshot(request).await?;
    Ok(exchange.answered_by(response))
}

/// Until the connection has ended: by itself, because the server stops, or because nothing moves on it.
async fn drive<C: GracefulConnection>(
    connection: C,
    pulse: &Pulse,
    house: &House,
) -> Result<(), C::Error> {
    let mut connection = pin!(connection);
    let mut looks = interval(Pulse::look_every(&house.limits));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked_to_end = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = house.draining.0.cancelled(), if !asked_to_end => {
                asked_to_end = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = looks.tick() => match pulse.look(&house.limits, house.places.are_short()) {
                Finding::Moving => {}
                Finding::Idle if !asked_to_end => {
                    asked_to_end = true;
                    connection.as_mut().graceful_shutdown();
                }
                Finding::Idle => return Ok(()),
                Finding::NotRead => {
                    debug!("a client has not read its answer for too long; its connection is closed");
                    metrics::counter!("wharfinger_connections_refused_total", "reason" => "not_reading")
                        .increment(1);
                    return Ok(());
                }
            }
        }
    }
}
