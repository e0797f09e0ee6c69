//! `/gates`: what steps go through on their way to a backend. By hand a gate is closed and opened at once, on every node.

pub(super) mod close;
pub(super) mod open;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use engine::gate::{Gate, GateId, GateState};
use engine::node::GateSeen;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::catalog::audit::Action;

use super::answer::Located;
use super::caller::Caller;
use super::fields::Reason;
use super::page::{Listed, Orders, Page, Wanted};
use super::path::Path;
use super::problem::Problem;
use super::tasks::{said, written_down};
use super::time::Time;
use crate::app::App;

/// A gate as REST shows it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Gate")]
pub(super) struct Shown {
    /// Of what stands behind it.
    name: String,
    state: GateState,
    /// The login of who closed or opened it by hand; null: it did so by itself, or it was never closed.
    by: Option<String>,
    /// Why, in words.
    reason: Option<String>,
    /// Since when it is in this state; null: it was never closed.
    since: Option<Time>,
    /// When it looks whether what stands behind it is back; null: it does not look.
    next_probe_at: Option<Time>,
    /// While it opens: how many steps pass at once on each node; null otherwise.
    at_once: Option<u32>,
    /// How many steps wait at it on the node that answers.
    waiting: usize,
    /// The part of its retry budget that the node which answers has used up, from 0 to 1: beyond it the gate closes.
    budget_used: f64,
}

impl Located for Shown {
    const PATH: &'static str = "/gates/{name}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("name");
}

impl From<GateSeen> for Shown {
    fn from(seen: GateSeen) -> Self {
        let GateSeen {
            gate,
            used,
            waiting,
        } = seen;
        Self {
            name: gate.id.name(),
            state: gate.state,
            since: (gate.revision > 0).then(|| gate.since.into()),
            next_probe_at: gate.probe_at.map(Into::into),
            at_once: (gate.state == GateState::Opening).then_some(gate.at_once),
            by: gate.by,
            reason: gate.reason,
            waiting,
            budget_used: used,
        }
    }
}

/// Who holds a workflow or a node.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Hold")]
pub(super) struct Held {
    /// The login of who holds it.
    by: String,
    /// Why, in words.
    reason: Option<String>,
    since: Time,
}

impl Held {
    /// The hold that a closed gate is; none while it is open.
    pub(super) fn of(gate: Gate) -> Option<Self> {
        if gate.state == GateState::Open {
            return None;
        }
        Some(Self {
            by: gate.by.unwrap_or_default(),
            reason: gate.reason,
            since: gate.since.into(),
        })
    }
}

/// The body of what is done to a gate, a workflow or a node: why.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[schemars(rename = "GateWhy", example = json!({"reason": "its disk is being replaced"}))]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    /// In words, for whoever wonders why tasks wait, and for the audit.
    reason: Option<Reason>,
}

/// `GET /gates`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    _: Caller,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let name = |seen: &GateSeen| seen.gate.id.name();
    Ok(Page::cut(app.node.gates(), &wanted, name)?.map(Shown::from))
}

/// `GET /gates/{name}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    _: Caller,
    Path(name): Path<String>,
) -> Result<Json<Shown>, Problem> {
    let gate = found(&app, name)?;
    Ok(Json(app.node.gate(&gate).into()))
}

fn found(app: &App, name: String) -> Result<GateId, Problem> {
    let wanted = GateId::Backend(name);
    let mut all = app.node.gates().into_iter();
    if all.any(|seen| seen.gate.id == wanted) {
        Ok(wanted)
    } else {
        Err(Problem::not_found(wanted.to_string()))
    }
}

/// Does it by hand, and writes into the audit who did.
pub(super) async fn by_hand(
    app: &App,
    caller: Caller,
    gate: GateId,
    action: Action,
    why: Why,
) -> Result<GateSeen, Problem> {
    let reason = said(why.reason);
    let mut entry = caller.does(action, gate.to_string());
    entry.reason.clone_from(&reason);
    let (by, written) = (caller.user.login, written_down(app, entry));
    let closes = matches!(action, Action::Close | Action::Hold);
    let seen = if closes {
        app.node.close_gate(gate, by, reason, written).await?
    } else {
        app.node.open_gate(gate, by, reason, written).await?
    };
    Ok(seen)
}
