//! What a main server and its smart proxies tell each other, as JSON over HTTP. Each shows the other the secret that they share, as a
//! Bearer token.
//!
//! | | |
//! | --- | --- |
//! | `POST /api/v1/mirror/sync` at the proxy | come and fetch this ([`Sync`]); answered with [`State`]. The same again is harmless |
//! | `GET /api/v1/mirror/sync/{id}` at the proxy | how far it is ([`State`]); 404: it knows of no such sync, and is asked to begin |
//! | `GET /api/v1/mirror/state` at the main server | keys of tokens, and what is open to everybody ([`Told`]) |
//! | `POST /api/v1/mirror/introspect` at the main server | does this token still count ([`Shown`], [`Counts`])? |
//! | `GET /api/v1/mirror/environments/{id}/repositories/{id}?since` at the main server | what is published, and what leads there ([`Lead`]); 410: the proxy shall not hold it |
//! | `GET /api/v1/mirror/repositories/{id}/manifests/{digest}` at the main server | its bytes, and its media type as `Content-Type` |
//! | `GET /api/v1/mirror/repositories/{id}/blobs/{digest}` at the main server | its bytes; `Range` goes on where a fetch broke off |

use crate::proxy::{End, Progress};
use serde::{Deserialize, Serialize};
use storage::catalog::EnvironmentId;
use storage::catalog::smart_proxies::contents::{Place, Wanted};
use storage::catalog::versions::Difference;
use storage::mirror::Open;
use uuid::Uuid;

/// Where requests between main servers and proxies begin.
pub const ROOT: &str = "/api/v1/mirror";

/// The header in which a proxy shows the secret with a request that it passes on for somebody, whose `Authorization` it carries.
pub const PASSED_ON: &str = "wharfinger-mirror";

/// The header that says what a client called the proxy by, as `http://host:port`: it is sent there for tokens.
pub const ORIGIN: &str = "wharfinger-origin";

/// The header that says where the client called the proxy from.
pub const CLIENT: &str = "wharfinger-client";

/// Come and fetch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sync {
    /// The sync: of one id there is one, however often it is asked for.
    pub id: Uuid,
    /// What to hold from now on.
    pub wanted: Vec<Wanted>,
    /// What not to hold any more.
    pub gone: Vec<Place>,
    /// Look at all that is held, whether it shall be.
    #[serde(default)]
    pub whole: bool,
    /// So many blobs at once.
    pub concurrency: u32,
    /// So fast in all; none: as fast as it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
}

/// What the main server publishes of a repository now, and what leads there. It is asked for each that a sync names, so that a sync that
/// somebody sends again leads nowhere else.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lead {
    /// What to hold.
    pub wanted: Wanted,
    /// What leads to it from the version that is held, or from nothing.
    pub difference: Difference,
}

/// How far a sync is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// Which.
    pub id: Uuid,
    /// It has ended.
    pub ended: bool,
    /// What became of each repository so far.
    pub ends: Vec<End>,
    /// How far it is.
    #[serde(flatten)]
    pub progress: Progress,
    /// Why it ended before all was done, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// Why a sync came to its end early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// In words.
    pub message: String,
}

/// What a proxy must know of its main server besides content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The main server itself, by the identity that it got at its first start.
    pub main_server: Uuid,
    /// The environments that the proxy holds. What it has of others it drops.
    pub environments: Vec<EnvironmentId>,
    /// The name of the proxy there.
    pub proxy: String,
    /// The service that tokens for the proxy are signed for: the host that the main server reaches it by.
    pub service: String,
    /// The public halves of the keys that sign tokens, as a JSON Web Key Set.
    pub keys: serde_json::Value,
    /// Products that are pulled from without a login.
    pub open_products: Vec<Open>,
    /// Environments that are pulled from without a login.
    pub open_environments: Vec<Open>,
}

/// A token that somebody has shown to a proxy.
#[derive(Clone, Serialize, Deserialize)]
pub struct Shown {
    /// The token.
    pub token: String,
}

/// What a token is good for now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// It counts, and so does whoever it was signed for.
    pub active: bool,
    /// What it is good for and its holder still has a right to, in the words of its own claim `access`; none: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<serde_json::Value>,
}
