//! `POST /tasks/groups/{key}/resume`: the tasks of a group that the caller may operate go on.

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use workflows::bulk::{MOST_PLANS, Verb};

use super::find;
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::fields::Reason;
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::api::tasks::bulk::{self, Answer, Chosen};
use crate::app::App;

/// The body.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[schemars(rename = "ResumeGroup", example = json!({"reason": "the disk was full", "dry_run": true}))]
#[serde(default, deny_unknown_fields)]
pub(in crate::api) struct Resume {
    /// In words, for the tasks' histories and the audit.
    reason: Option<Reason>,
    /// Only say which would be resumed.
    dry_run: bool,
}

pub(in crate::api) async fn resume(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(key): Path<String>,
    Body(body): Body<Resume>,
) -> Result<Answer, Problem> {
    let among = bulk::operable_ones(&app, &caller).await?;
    let Some(group) = find(&app, &key, &among).await? else {
        let text = format!(
            "no task that you may operate is stopped by what group {key} is about, or none is any more; look at the groups again"
        );
        return Err(Problem::new(Kind::DoesNotFit, text));
    };
    // The oldest first: they have waited longest. What is too much for one task is still there for the next.
    let plans = group.plans.into_iter().rev();
    let chosen = Chosen {
        found_by: format!("group {key}"),
        plans: plans.take(MOST_PLANS as usize).collect(),
        among,
    };
    bulk::run(
        &app,
        &caller,
        Verb::Resume,
        chosen,
        body.dry_run,
        body.reason,
    )
    .await
}
