//! `POST /tasks/{id}/steps/{step}/skip`: the task goes on without what failed, or with an output that stands for its own.

use std::sync::Arc;

use axum::extract::State;
use engine::journal::{Action, PlanId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{GoOn, Shown, go_on, operable_step, output};
use crate::api::answer::Accepted;
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::fields::Reason;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

/// The body.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[schemars(example = json!({"reason": "the proxy is gone for good"}))]
#[serde(default, deny_unknown_fields)]
pub(in crate::api) struct Skip {
    /// What later steps read instead of the step's own output; without it, the steps that need one are skipped too.
    #[serde(deserialize_with = "output::given")]
    #[schemars(with = "Value")]
    output: Option<Value>,
    /// In words, for the task's history and the audit.
    reason: Option<Reason>,
    /// Also when whoever started the task has lost the right to it; needs a reason.
    #[serde(rename = "override")]
    overrule: bool,
}

pub(in crate::api) async fn skip(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((task, step)): Path<(PlanId, String)>,
    Body(body): Body<Skip>,
) -> Result<Accepted<Shown>, Problem> {
    let plan = operable_step(&app, &caller, task, &step).await?.id;
    let output = body.output.as_ref().map(output::recorded).transpose()?;
    let why = GoOn {
        reason: body.reason,
        overrule: body.overrule,
    };
    let task = go_on(&app, caller, plan, Action::Skip { step, output }, why).await?;
    Ok(Accepted(task))
}
