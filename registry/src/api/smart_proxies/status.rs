//! `GET /smart_proxies/{id}/status`: what a proxy has of what it shall have.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use engine::clock::Timestamp;
use engine::gate::{GateId, GateState};
use engine::journal::PlanId;
use schemars::JsonSchema;
use serde::Serialize;
use storage::catalog::smart_proxies::contents::{self, Status};
use storage::catalog::{RepositoryId, SmartProxyId};
use workflows::gate::smart_proxy;

use super::known;
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::time::Time;
use crate::app::App;

/// What a proxy has of what it shall have.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "SmartProxyStatus")]
pub(in crate::api) struct Shown {
    /// Its number.
    id: SmartProxyId,
    name: String,
    /// It has all that it shall have, and nothing else, as far as is known.
    current: bool,
    /// The gate before it: closed while it does not answer.
    gate: GateState,
    /// Why the gate is not open.
    gate_reason: Option<String>,
    /// How many versions it is behind, of all repositories together.
    lag_versions: i64,
    /// Since when it is behind, in seconds: of the repository that has waited longest.
    lag_seconds: i64,
    /// The sync that is under way on this node; null: none.
    syncing: Option<Syncing>,
    /// When a sync has last brought all.
    synced_at: Option<Time>,
    /// What the last sync failed with; null: it brought all.
    error: Option<String>,
    /// What it has and shall have, by repository and environment.
    repositories: Vec<Held>,
}

/// How far a sync is.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "SmartProxySyncing")]
pub(in crate::api) struct Syncing {
    /// Blobs that have come there.
    blobs_done: u64,
    /// The bytes of blobs that have come there so far.
    bytes_done: u64,
    /// The bytes of blobs that are missing there. It grows while manifests are read.
    bytes_total: u64,
}

/// What it has of a repository.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "SmartProxyRepository")]
pub(in crate::api) struct Held {
    /// The repository's number.
    repository: RepositoryId,
    /// Its pushed path; null: it is gone here.
    name: Option<String>,
    /// The environment's label; null: it is gone here.
    environment: Option<String>,
    /// The version that the environment publishes; null: the proxy shall not have it any more.
    version_here: Option<i64>,
    /// The version that the proxy has; null: nothing has come there yet.
    version_there: Option<i64>,
    /// It has just what it shall have, by all its names.
    current: bool,
    /// How many versions it is behind.
    lag_versions: i64,
    /// For how long it has been behind, in seconds.
    lag_seconds: i64,
    /// When it was brought.
    synced_at: Option<Time>,
    /// The last sync.
    last_task: Option<PlanId>,
    /// What that failed with.
    error: Option<String>,
}

pub(in crate::api) async fn status(
    State(app): State<Arc<App>>,
    _: Caller,
    Path(id): Path<SmartProxyId>,
) -> Result<Json<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let proxy = known(&mut tx, id).await?;
    let now = app.services.clock.now();
    let rows = contents::status(&mut tx, id).await?;
    let repositories: Vec<Held> = rows.into_iter().map(|row| shown(row, now)).collect();
    let gate = app
        .node
        .gate(&GateId::Backend(smart_proxy(&proxy.name)))
        .gate;
    let syncing = app.services.progresses.of(id);
    let seconds = repositories.iter().map(|repository| repository.lag_seconds);
    Ok(Json(Shown {
        id,
        name: proxy.name,
        current: repositories.iter().all(|repository| repository.current),
        gate: gate.state,
        gate_reason: gate.reason.filter(|_| gate.state != GateState::Open),
        lag_versions: repositories.iter().map(|it| it.lag_versions).sum(),
        lag_seconds: seconds.max().unwrap_or(0),
        syncing: syncing.map(|progress| Syncing {
            blobs_done: progress.blobs_done,
            bytes_done: progress.bytes_done,
            bytes_total: progress.bytes_total,
        }),
        synced_at: proxy.synced_at.map(Into::into),
        error: proxy.error,
        repositories,
    }))
}

fn shown(row: Status, now: Timestamp) -> Held {
    let behind = row.behind_since.map(|since| now.since(since).as_secs());
    Held {
        repository: row.place.repository,
        name: row.repository_name,
        environment: row.environment_label,
        version_here: row.here,
        version_there: row.there,
        current: row.is_current,
        lag_versions: row.versions_behind,
        lag_seconds: behind
            .and_then(|seconds| seconds.try_into().ok())
            .unwrap_or(0),
        synced_at: row.synced_at.map(Into::into),
        last_task: row.task,
        error: row.error,
    }
}
