//! `POST /tasks/{id}/resume`: a paused task goes on with its failed and not-run steps.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::explain::Preview;
use engine::journal::{Action, PlanId};
use engine::state::PlanState;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use workflows::ResumeError;

use super::{GoOn, Shown, go_on, operable};
use crate::api::answer::Accepted;
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::fields::Reason;
use crate::api::openapi::{Answers, Operation};
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::app::App;

/// The body.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[schemars(example = json!({"reason": "the disk was full", "dry_run": true}))]
#[serde(default, deny_unknown_fields)]
pub(in crate::api) struct Resume {
    /// In words, for the task's history and the audit.
    reason: Option<Reason>,
    /// Only say what would run, and what would be different in the input.
    dry_run: bool,
    /// What is different in the task's input, merged into it (RFC 7396): what is null is taken away, what is not named stays.
    /// Only fields that the workflow lets an operator change.
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    input: Option<Value>,
    /// Also when whoever started the task has lost the right to it; needs a reason.
    #[serde(rename = "override")]
    overrule: bool,
}

impl From<ResumeError> for Problem {
    fn from(error: ResumeError) -> Self {
        match error {
            ResumeError::Node(error) => error.into(),
            ResumeError::NotAllowedAnyMore { .. } => Self::new(Kind::DoesNotFit, error.to_string())
                .with("state", json!(PlanState::Paused))
                .with("can", json!(["resume", "cancel"])),
            ResumeError::OutputNotTaken { .. } => Self::invalid_field("output", error.to_string()),
            ResumeError::OverrideNeedsReason => Self::invalid_field("reason", error.to_string()),
        }
    }
}

/// 200 with what would run, or 202 with the task that goes on.
pub(in crate::api) enum Resumed {
    Preview(Preview),
    Task(Box<Shown>),
}

impl IntoResponse for Resumed {
    fn into_response(self) -> Response {
        match self {
            Self::Preview(preview) => Json(preview).into_response(),
            Self::Task(task) => Accepted(*task).into_response(),
        }
    }
}

impl Answers for Resumed {
    fn answer(operation: &mut Operation) {
        operation.answers_json::<Preview>(200, "For a `dry_run`: what would run.");
        Accepted::<Shown>::answer(operation);
    }
}

pub(in crate::api) async fn resume(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<PlanId>,
    Body(body): Body<Resume>,
) -> Result<Resumed, Problem> {
    let plan = operable(&app, &caller, task).await?.id;
    let wanted = body.input.as_ref();
    if body.dry_run {
        let preview = app.node.resume_preview(plan, wanted).await?;
        return Ok(Resumed::Preview(preview));
    }
    let action = match wanted {
        Some(wanted) => app.node.edited(plan, wanted).await?,
        None => Action::Resume,
    };
    let why = GoOn {
        reason: body.reason,
        overrule: body.overrule,
    };
    let task = go_on(&app, caller, plan, action, why).await?;
    Ok(Resumed::Task(Box::new(task)))
}
