//! `POST /tasks/{id}/revert`: what it did is undone, as far as its steps can be.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::decide;
use engine::explain::RevertPreview;
use engine::journal::{Action, PlanId};
use engine::node::NodeError;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Shown, Why, act, operable};
use crate::api::answer::Accepted;
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::fields::Reason;
use crate::api::openapi::{Answers, Operation};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

/// The body.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[schemars(example = json!({"reason": "the wrong image", "dry_run": true}))]
#[serde(default, deny_unknown_fields)]
pub(in crate::api) struct Revert {
    /// In words, for the task's history and the audit.
    reason: Option<Reason>,
    /// Only say what would be undone.
    dry_run: bool,
}

/// 200 with what would be undone, or 202 with the task that is being reverted.
pub(in crate::api) enum Reverted {
    Preview(RevertPreview),
    Task(Box<Accepted<Shown>>),
}

impl IntoResponse for Reverted {
    fn into_response(self) -> Response {
        match self {
            Self::Preview(preview) => Json(preview).into_response(),
            Self::Task(task) => (*task).into_response(),
        }
    }
}

impl Answers for Reverted {
    fn answer(operation: &mut Operation) {
        operation.answers_json::<RevertPreview>(200, "For a `dry_run`: what would be undone.");
        Accepted::<Shown>::answer(operation);
    }
}

pub(in crate::api) async fn revert(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<PlanId>,
    Body(body): Body<Revert>,
) -> Result<Reverted, Problem> {
    let id = operable(&app, &caller, task).await?.id;
    if body.dry_run {
        let plan = app.node.plan(id).await?;
        let now = app.services.clock.now();
        decide::fits(&plan, &Action::Revert, now).map_err(NodeError::from)?;
        return Ok(Reverted::Preview(RevertPreview::of(&plan)));
    }
    let why = Why {
        reason: body.reason,
    };
    let task = act(&app, &caller, id, Action::Revert, why).await?;
    Ok(Reverted::Task(Box::new(task)))
}
