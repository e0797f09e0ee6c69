//! `GET /tasks/{id}/history`: every entry of the journal, in order.

use std::sync::Arc;

use axum::extract::State;
use engine::journal::{NodeId, PlanId};
use engine::node::HistoryRow;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::visible;
use crate::api::answer::Located;
use crate::api::caller::Caller;
use crate::api::page::{Listed, Orders, Page, Wanted};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::time::Time;
use crate::app::App;

/// An entry of the journal as REST shows it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "HistoryEntry")]
pub(in crate::api) struct Shown {
    /// Counts the entries of the task; a row of the journal may hold several.
    n: usize,
    /// The number of its row.
    pub(super) seq: i64,
    at: Time,
    /// The node that wrote it.
    node: NodeId,
    /// The login of who asked for it; null: nobody did.
    actor: Option<String>,
    /// The step it is about; null: the task.
    step: Option<String>,
    /// What happened, as `step_started`.
    event: String,
    /// What of it; its fields are the event's own.
    detail: Value,
}

impl Located for Shown {
    const PATH: &'static str = "";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("n");
}

impl Shown {
    /// The whole history, in order.
    pub(super) fn all(history: Vec<HistoryRow>) -> impl Iterator<Item = Self> {
        history
            .into_iter()
            .enumerate()
            .map(|(before, row)| Self::of(before + 1, row))
    }

    fn of(n: usize, row: HistoryRow) -> Self {
        let (event, detail) = row.event_and_detail();
        Self {
            n,
            seq: row.seq,
            at: row.at.into(),
            node: row.node,
            actor: row.actor,
            step: row.step,
            event,
            detail,
        }
    }
}

pub(in crate::api) async fn history(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<PlanId>,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let plan = visible(&app, &caller, task).await?.id;
    let rows = app.node.history(plan).await?;
    Page::cut(Shown::all(rows).collect(), &wanted, |entry| entry.n)
}
