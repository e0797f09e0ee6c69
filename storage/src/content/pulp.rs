//! A real Pulp 3 as the content backend: it keeps blobs, manifests and versions; the catalog says which tags there are.
//!
//! * **In**: a blob is taken in as with the embedded backend, hashed into an object of ours, and from there carried into a push
//!   repository of Pulp. The object goes when a version of Pulp is known to have its bytes.
//! * **Versions**: each push makes a version of a repository in Pulp that has what those before had, and the tags that were
//!   copied last. What a version of ours has, the catalog knows.
//! * **Out**: tags are answered from the catalog, manifests from our own bytes, blobs by digest through one distribution for each
//!   destination, which serves the newest version.
//!
//! Only the service account speaks to that Pulp, under names that users do not see ([`names`]).

mod carry;
mod client;
mod distributions;
mod error;
mod names;
mod push;
mod registry;
mod remove;
mod repositories;
mod rows;
mod spool;
mod status;
pub mod syncing;
mod tasks;
mod units;

use std::fmt;
use std::sync::Arc;

use engine::clock::{Clock, Timestamp};
use reqwest::Url;
use tokio::sync::{Mutex, Semaphore};
use uuid::Uuid;

pub use client::Login;
pub use error::PulpError;
pub use push::{Asked, CopyTicket, InPulp, ServeTicket, tie};
pub use status::Lacking;

use super::{Blob, ContentError};
use crate::catalog::DestinationId;
use crate::{Digest, Tx};
use carry::Carriers;
use client::Client;
use names::Names;
use registry::Registry;
use spool::Spool;

pub(super) use spool::{NoRoom, Room};

/// Where Pulp is, and how it lets us in.
#[derive(Clone, Debug)]
pub struct PulpOptions {
    /// Of its API and its registry, without a path.
    pub url: Url,
    /// Of its content app, where that is reached otherwise than Pulp says; without a path.
    pub content_url: Option<Url>,
    /// The domain that everything lies in, where Pulp has domains.
    pub domain: Option<String>,
    /// What the names of all that is ours there begin with.
    pub prefix: String,
    /// How we show who we are.
    pub login: Login,
    /// PEM of authorities that its certificate may be of, besides those the system trusts.
    pub authorities: Vec<u8>,
    /// What is on its way there takes no more bytes here.
    pub spool_bytes: u64,
    /// What tells the time.
    pub clock: Clock,
}

/// A Pulp, as one instance of this registry uses it.
pub struct Pulp {
    client: Client,
    registry: Registry,
    names: Names,
    carriers: Carriers,
    uploads: Semaphore,
    behind: Arc<Semaphore>,
    pub(super) spool: Arc<Spool>,
    /// Held while names are looked at and taken.
    taking: Mutex<()>,
    clock: Clock,
}

impl fmt::Debug for Pulp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulp")
            .field("origin", &self.client.origin)
            .finish_non_exhaustive()
    }
}

impl Pulp {
    /// A Pulp of which nothing was asked yet. An error says that a certificate or key is none.
    pub fn new(options: PulpOptions, instance: Uuid) -> Result<Self, reqwest::Error> {
        let domain = options.domain.as_deref();
        let authorities = reqwest::Certificate::from_pem_bundle(&options.authorities)?;
        Ok(Self {
            client: Client::new(&options.url, domain, options.login, &authorities)?,
            registry: Registry::new(domain, options.content_url),
            names: Names {
                prefix: options.prefix,
                instance,
            },
            carriers: Carriers::default(),
            uploads: carry::uploads(),
            behind: carry::behind(),
            spool: Arc::new(Spool::new(options.spool_bytes)),
            taking: Mutex::default(),
            clock: options.clock,
        })
    }
}

/// Takes into account that the bytes of a blob lie here until Pulp has them.
pub(super) async fn spooled(
    tx: &mut Tx,
    destination: DestinationId,
    blob: &Blob,
    at: Timestamp,
) -> Result<(), ContentError> {
    spool::add(tx, &blob.digest, destination, blob.size_bytes, at).await
}

/// True if Pulp is known to have the blob.
pub(super) async fn has(tx: &mut Tx, digest: &Digest) -> Result<bool, ContentError> {
    rows::has(tx, digest).await
}
