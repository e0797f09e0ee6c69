//! One connection.

use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tower::ServiceExt;
use tracing::debug;

use super::linger::{self, Lent};
use super::{Draining, Peer};

/// The first byte of every TLS hello: a record of type "handshake". No HTTP method starts with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a client that speaks TLS to this port is told: Go's clients (podman, skopeo, docker) turn an answer that begins
/// with `HTTP/` into "server gave HTTP response to HTTPS client", by which people find out what is wrong.
const NOT_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\n\
    This port speaks plain HTTP, and the client spoke TLS.\n";

/// Answers the requests of one connection until either side closes it.
pub(super) async fn talk(
    mut stream: TcpStream,
    peer: Peer,
    router: Router,
    watcher: Watcher,
    draining: Draining,
    head: Duration,
) {
    let mut first = [0];
    let spoke = tokio::select! {
        () = draining.0.cancelled() => return,
        spoke = tokio::time::timeout(head, stream.peek(&mut first)) => spoke,
    };
    match spoke {
        Ok(Ok(1)) if first[0] == TLS_HANDSHAKE => {
            // Whoever breaks off here is not interested in the answer.
            let _ = stream.write_all(NOT_TLS).await;
            return linger::close(stream).await;
        }
        Ok(Ok(1)) => {}
        Ok(Ok(_) | Err(_)) | Err(_) => return, // closed, broken or silent: there is nobody to answer
    }
    // Refused only for a socket that is gone already, which the first read will tell.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(draining.clone());
        router.clone().oneshot(request)
    });
    let (stream, returned) = Lent::new(stream);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(broken) = watcher.watch(connection).await {
        debug!(peer = %peer.0, error = %broken, "a connection broke");
    }
    if let Ok(stream) = returned.await {
        linger::close(stream).await;
    }
}
