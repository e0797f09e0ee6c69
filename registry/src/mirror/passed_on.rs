//! Requests that a smart proxy passes on for its clients, as the main server sees them: they count as if the client had called this server
//! by the proxy's name.

use std::net::{IpAddr, SocketAddr};

use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use storage::catalog::CatalogError;
use workflows::mirror::wire::{CLIENT, ORIGIN, PASSED_ON};

use super::main_server::{of_secret, service_of};
use crate::app::App;
use crate::auth::challenge::KnownAs;
use crate::http::Peer;

/// Why a request is not passed on any further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOurs {
    /// The secret is none of ours.
    #[error(
        "the smart proxy that passes this on is not known to its main server, or is disabled there"
    )]
    Stranger,
    /// The proxies could not be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// Notes in the request by which proxy it came, if by one. What only proxies may say is taken away from everybody else.
pub(crate) async fn recognize(app: &App, head: &mut Parts) -> Result<(), NotOurs> {
    let secret = head.headers.remove(PASSED_ON);
    let origin = head.headers.remove(ORIGIN);
    let client = head.headers.remove(CLIENT);
    let Some(secret) = secret else {
        return Ok(());
    };
    let secret = secret.to_str().map_err(|_| NotOurs::Stranger)?;
    let proxy = of_secret(app, secret).await?.ok_or(NotOurs::Stranger)?;
    head.extensions.insert(KnownAs {
        service: service_of(&proxy),
        origin: text(origin.as_ref()),
    });
    let client: Option<IpAddr> = text(client.as_ref()).and_then(|address| address.parse().ok());
    if let Some(client) = client {
        head.extensions.insert(Peer(SocketAddr::new(client, 0)));
    }
    Ok(())
}

fn text(value: Option<&HeaderValue>) -> Option<String> {
    Some(value?.to_str().ok()?.to_owned())
}

/// Takes away what only proxies may say: nobody passes it on from a client.
pub(super) fn take_away(headers: &mut HeaderMap) {
    for name in [PASSED_ON, ORIGIN, CLIENT] {
        headers.remove(name);
    }
}
