//! The listener: every connection and every request, from accept to the last byte of the answer.

mod admission;
mod connection;
mod forwarded;
mod linger;
mod log;
mod open_files;
mod opening;
mod places;
mod pulse;
mod shares;
mod sound;
mod streams;
#[cfg(test)]
mod tests;
pub(crate) mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub(crate) use forwarded::X_FORWARDED_PROTO;
pub(crate) use log::{about_repository, answered_by, asked_by, request_id};
pub(crate) use open_files::allow_as_many_open_files_as_possible;

use crate::config::{Limits, TrustedProxies};
use admission::Admission;
use connection::House;
use places::{Free, Places};
use streams::Streams;
use tls::Certificates;

/// How long a pause is after an accept that failed, most often for want of file descriptors.
const PAUSE_AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(100);

/// How one listener speaks with its clients.
#[derive(Clone)]
pub(crate) struct Manners {
    /// What they may ask at once, and how long they may take.
    pub(crate) limits: Limits,
    /// How long requests may still run once the server stops.
    pub(crate) grace: Duration,
    /// Whose word on a client counts.
    pub(crate) proxies: TrustedProxies,
    /// What clients are shown; none: plain HTTP.
    pub(crate) certificates: Option<Arc<Certificates>>,
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
    manners: Manners,
) {
    let limits = manners.limits;
    let places = Arc::new(Places::new(
        limits.connections,
        limits.connections_per_address,
        manners.proxies.clone(),
    ));
    let admission = Admission::new(limits, manners.proxies.clone());
    let house = House {
        // The outer one first: what is refused for want of a place has its line in the log too.
        router: router
            .layer(from_fn_with_state(admission, admission::admit))
            .layer(from_fn(sound::head))
            .layer(from_fn(log::request)),
        limits,
        places: Arc::clone(&places),
        proxies: manners.proxies,
        certificates: manners.certificates,
        draining: Draining(shutdown.clone()),
        streams: Streams::default(),
    };
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = connections.join_next() => {
                tell_panic(ended);
                continue;
            }
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, peer, free)) => {
                let Some(place) = places.seat(free, peer.ip()) else {
                    continue; // closed by this
                };
                let talk = connection::talk(stream, Peer(peer), house.clone());
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
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            tell_panic(ended);
        }
    };
    if tokio::time::timeout(manners.grace, all_ended)
        .await
        .is_err()
    {
        info!(
            connections = connections.len(),
            "requests still under way after the grace are broken off"
        );
    }
    connections.shutdown().await;
    house.streams.break_off().await;
}

fn tell_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(panic) = ended {
        error!(error = %panic, "a connection's task panicked; its client saw the connection break");
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Places,
) -> std::io::Result<(TcpStream, SocketAddr, Free)> {
    let free = places.free().await;
    let (stream, peer) = listener.accept().await?;
    // A listener on `[::]` sees IPv4 clients as IPv6 ones.
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    Ok((stream, peer, free))
}
