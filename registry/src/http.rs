//! The listener: every connection and every request, from accept to the last byte of the answer.

mod connection;
mod linger;
mod log;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub(crate) use log::{about_repository, answered_by, asked_by, request_id};

/// How long a pause is after an accept that failed, most often for want of file descriptors.
const PAUSE_AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(100);

/// What one listener allows its clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long a connection may take to send the head of a request; also how long it may idle between two.
    pub(crate) head: Duration,
    /// How many connections are open at once; further ones wait in the kernel's queue.
    pub(crate) connections: usize,
    /// How long requests may still run once the server stops.
    pub(crate) grace: Duration,
}

impl Limits {
    /// The limits of a server that gives running requests `grace` when it stops.
    pub(crate) const fn with_grace(grace: Duration) -> Self {
        Self {
            // As long as the usual proxies keep an idle connection, so that it is not us who breaks a reused one.
            head: Duration::from_secs(75),
            // Well below the 1024 descriptors a process is commonly given: a download holds two.
            connections: 400,
            grace,
        }
    }
}

/// Where a request came from; in the extensions of every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Cancelled when the server begins to stop; in the extensions of every request, for those that wait.
#[derive(Clone, Debug)]
pub(crate) struct Draining(pub(crate) CancellationToken);

/// Serves `router` until `shutdown`. On return every connection is closed: those with a request under way were given
/// the grace to end it.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
    limits: Limits,
) {
    let router = router.layer(axum::middleware::from_fn(log::request));
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = connections.join_next() => {
                if let Err(panic) = ended {
                    error!(error = %panic, "a connection's task panicked; its client saw the connection break");
                }
                continue;
            }
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let talk = connection::talk(
                    stream,
                    Peer(peer),
                    router.clone(),
                    graceful.watcher(),
                    Draining(shutdown.clone()),
                    limits.head,
                );
                connections.spawn(async move {
                    talk.await;
                    drop(place);
                });
            }
            Err(failed) => {
                warn!(error = %failed, "a connection could not be accepted; trying again");
                tokio::time::sleep(PAUSE_AFTER_FAILED_ACCEPT).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(limits.grace, graceful.shutdown())
        .await
        .is_err()
    {
        info!(
            connections = connections.len(),
            "requests still under way after the grace are broken off"
        );
    }
    connections.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A listener with `router` behind it, on a port of its own.
    struct Server {
        address: SocketAddr,
        shutdown: CancellationToken,
        task: JoinSet<()>,
    }

    impl Server {
        async fn start(router: Router, limits: Limits) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let shutdown = CancellationToken::new();
            let mut task = JoinSet::new();
            task.spawn(serve(listener, router, shutdown.clone(), limits));
            Self {
                address,
                shutdown,
                task,
            }
        }

        async fn say(&self, bytes: &[u8]) -> Vec<u8> {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            answer
        }

        async fn stop(mut self) {
            self.shutdown.cancel();
            self.task.join_next().await.unwrap().unwrap();
        }
    }

    fn limits() -> Limits {
        Limits::with_grace(Duration::from_secs(10))
    }

    #[tokio::test]
    async fn every_answer_has_a_request_id_of_its_own() {
        let server =
            Server::start(Router::new().route("/", get(|| async { "here" })), limits()).await;
        let ask = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

        let (first, second) = (server.say(ask).await, server.say(ask).await);

        let id = |answer: &[u8]| {
            let text = String::from_utf8(answer.to_vec()).unwrap();
            let line = text.lines().find(|line| line.starts_with("x-request-id: "));
            line.expect("an X-Request-Id").to_owned()
        };
        assert_ne!(id(&first), id(&second));
        server.stop().await;
    }

    #[tokio::test]
    async fn http_1_0_is_answered_and_closed() {
        let server =
            Server::start(Router::new().route("/", get(|| async { "here" })), limits()).await;

        let answer = server.say(b"GET / HTTP/1.0\r\n\r\n").await;

        assert!(answer.starts_with(b"HTTP/1.0 200"));
        assert!(answer.ends_with(b"here"));
        server.stop().await;
    }

    #[tokio::test]
    async fn a_client_that_is_still_sending_sees_why_it_is_refused() {
        let refuse = |_: axum::body::Body| async { (axum::http::StatusCode::FORBIDDEN, "not you") };
        let server = Server::start(
            Router::new().route("/", axum::routing::put(refuse)),
            limits(),
        )
        .await;
        let length = 64 << 20;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");

        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![0; length]).await.unwrap();

        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(
            answer.starts_with(b"HTTP/1.1 403"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        server.stop().await;
    }

    #[tokio::test]
    async fn a_tls_hello_is_told_that_this_is_plain_http_and_closed_at_once() {
        let server = Server::start(Router::new(), limits()).await;
        let hello = [
            0x16, 0x03, 0x01, 0x00, 0xa5, 0x01, 0x00, 0x00, 0xa1, 0x03, 0x03,
        ];

        let answer = server.say(&hello).await;

        assert!(answer.starts_with(b"HTTP/1.0 400 "), "{answer:?}");
        server.stop().await;
    }

    #[tokio::test]
    async fn a_connection_that_never_sends_a_request_is_closed() {
        let limits = Limits {
            head: Duration::from_millis(50),
            ..limits()
        };
        let server = Server::start(Router::new(), limits).await;

        assert_eq!(server.say(b"").await, b"");
        let half_a_head = server.say(b"GET / HT").await;

        assert!(!half_a_head.starts_with(b"HTTP/1.1 200"));
        server.stop().await;
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_after_the_stop_and_a_new_one_is_not_taken() {
        let arrived = Arc::new(tokio::sync::Notify::new());
        let tell = Arc::clone(&arrived);
        let wait_for_the_stop =
            move |axum::Extension(Draining(stop)): axum::Extension<Draining>| {
                tell.notify_one();
                async move {
                    stop.cancelled().await;
                    "drained"
                }
            };
        let server =
            Server::start(Router::new().route("/", get(wait_for_the_stop)), limits()).await;
        let address = server.address;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        arrived.notified().await;

        server.stop().await;

        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.ends_with(b"drained"));
        assert!(TcpStream::connect(address).await.is_err());
    }
}
