//! `GET /tasks/summary`: how many there are of each kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use super::sight;
use crate::api::caller::Caller;
use crate::api::problem::Problem;
use crate::app::App;

/// Counts of the tasks that the caller sees.
#[derive(Debug, Default, JsonSchema, Serialize)]
#[schemars(rename = "TaskSummary")]
pub(in crate::api) struct Summary {
    /// All of them.
    total: u64,
    /// How many there are in each state.
    state: BTreeMap<String, u64>,
    /// How many have ended in each way.
    result: BTreeMap<String, u64>,
    /// How many are paused or were cancelled for each reason.
    reason: BTreeMap<String, u64>,
}

pub(in crate::api) async fn summary(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Summary>, Problem> {
    let visible = sight(&mut app.services.database.read().await?, &caller).await?;
    let mut summary = Summary::default();
    for counted in app.node.count(visible).await? {
        summary.total += counted.plans;
        *summary.state.entry(counted.state.to_string()).or_default() += counted.plans;
        *summary
            .result
            .entry(counted.result.to_string())
            .or_default() += counted.plans;
        if let Some(reason) = counted.reason {
            *summary.reason.entry(reason.to_string()).or_default() += counted.plans;
        }
    }
    Ok(Json(summary))
}
