//! `/nodes`: the processes that drive tasks. A held node begins nothing, and does everything else.

pub(super) mod hold;
pub(super) mod release;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use engine::gate::GateId;
use engine::journal::NodeId;
use engine::node::NodeSeen;
use schemars::JsonSchema;
use serde::Serialize;
use storage::catalog::audit::Action;

use super::answer::Located;
use super::caller::Caller;
use super::gates::{Held, Why, by_hand};
use super::page::{Listed, Orders, Page, Wanted};
use super::path::Path;
use super::problem::Problem;
use super::time::Time;
use crate::app::App;

/// A node as REST shows it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Node")]
pub(super) struct Shown {
    /// Kept in its data folder: after a restart it is the same.
    id: NodeId,
    /// Where it listens.
    name: String,
    /// The version of the program that runs on it.
    version: String,
    started_at: Time,
    /// When it last said that it runs.
    beat_at: Time,
    state: NodeState,
    /// Who holds it; null: nobody.
    held: Option<Held>,
    /// How many tasks that have not ended are its own.
    plans: u64,
}

/// How a node is.
#[derive(Clone, Copy, Debug, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum NodeState {
    /// It says so.
    Running,
    /// It has not said so for the time of a lease: others take its tasks over.
    Silent,
    /// It has signed off.
    Stopped,
}

impl Located for Shown {
    const PATH: &'static str = "/nodes/{id}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("name");
}

impl From<NodeSeen> for Shown {
    fn from(seen: NodeSeen) -> Self {
        let row = seen.row;
        Self {
            id: row.id,
            name: row.name,
            version: row.version,
            started_at: row.started_at.into(),
            beat_at: row.beat_at.into(),
            state: match (row.runs, seen.is_silent) {
                (false, _) => NodeState::Stopped,
                (true, true) => NodeState::Silent,
                (true, false) => NodeState::Running,
            },
            held: Held::of(seen.gate),
            plans: row.plans,
        }
    }
}

/// `GET /nodes`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    _: Caller,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let all = app.node.nodes().await?;
    let place = |seen: &NodeSeen| format!("{} {}", seen.row.name, seen.row.id);
    Ok(Page::cut(all, &wanted, place)?.map(Shown::from))
}

/// `GET /nodes/{id}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    _: Caller,
    Path(id): Path<NodeId>,
) -> Result<Json<Shown>, Problem> {
    Ok(Json(found(&app, id).await?.into()))
}

async fn found(app: &App, id: NodeId) -> Result<NodeSeen, Problem> {
    let mut all = app.node.nodes().await?.into_iter();
    all.find(|seen| seen.row.id == id)
        .ok_or_else(|| Problem::not_found(format!("node {id}")))
}

/// Holds or releases it, and answers with it as it is then.
async fn act(
    app: &App,
    caller: Caller,
    id: NodeId,
    action: Action,
    why: Why,
) -> Result<Json<Shown>, Problem> {
    found(app, id).await?;
    by_hand(app, caller, GateId::Node(id), action, why).await?;
    Ok(Json(found(app, id).await?.into()))
}
