//! `POST /tasks/{id}/resume`: a paused task goes on with its failed and not-run steps.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use storage::catalog::audit;
use workflows::ResumeError;

use super::{Shown, about_task, id, operable, write_down};
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::app::App;

/// The body.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::api) struct Resume {
    reason: Option<String>,
    /// Only say what would run.
    dry_run: bool,
    /// Also when whoever started the task has lost the right to it; needs a reason.
    #[serde(rename = "override")]
    overrule: bool,
}

impl From<ResumeError> for Problem {
    fn from(error: ResumeError) -> Self {
        match error {
            ResumeError::Node(error) => error.into(),
            ResumeError::NotAllowedAnyMore { .. } => Self::new(Kind::DoesNotFit, error.to_string()),
            ResumeError::OverrideNeedsReason => Self::invalid_field("reason", error.to_string()),
        }
    }
}

pub(in crate::api) async fn resume(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<String>,
    Body(body): Body<Resume>,
) -> Result<Response, Problem> {
    let plan = operable(&app, &caller, id(&task)?).await?.id;
    if body.dry_run {
        return Ok(Json(app.node.resume_preview(plan).await?).into_response());
    }
    // A reason of blanks gives none: an override would stand in the history without its why.
    let reason = body.reason.filter(|reason| !reason.trim().is_empty());
    let entry = about_task(&caller, audit::Action::Resume, plan, reason.clone());
    let after =
        workflows::resume(&app.node, plan, caller.user.login, reason, body.overrule).await?;
    write_down(&app, entry).await?;
    let task = app.node.explained(&after).await?;
    Ok((StatusCode::ACCEPTED, Shown::from(task)).into_response())
}
