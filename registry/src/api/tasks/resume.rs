//! `POST /tasks/{id}/resume`: a paused task goes on with its failed and not-run steps.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::explain::Task;
use engine::journal::Action;
use serde::Deserialize;
use storage::catalog::users;
use workflows::destination::{self, PushName, ResolveError};
use workflows::permission::{self, Verdict};

use super::{act, id, operable};
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::app::App;

/// The body.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Resume {
    reason: Option<String>,
    /// Only say what would run.
    #[serde(default)]
    dry_run: bool,
}

pub(in crate::api) async fn resume(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<String>,
    Body(body): Body<Resume>,
) -> Result<Response, Problem> {
    let task = operable(&app, &caller, id(&task)?).await?;
    if body.dry_run {
        return Ok(Json(app.node.resume_preview(task.id).await?).into_response());
    }
    if body.reason.is_none()
        && let Some(lost) = right_lost_since(&app, &task).await?
    {
        let text = format!("the task stays paused: {lost}; resume it with a reason to override this");
        return Err(Problem::new(Kind::DoesNotFit, text));
    }
    act(&app, &caller, task.id, Action::Resume, body.reason).await
}

/// Why whoever pushed could not push the same today; none if they could, or if it is no push.
async fn right_lost_since(app: &App, task: &Task) -> Result<Option<String>, Problem> {
    let Some((login, name)) = task.user.as_deref().zip(task.link("repository")) else { return Ok(None) };
    let Ok(name) = name.parse::<PushName>() else { return Ok(None) };
    let mut tx = app.services.database.read().await?;
    let Some(user) = users::find(&mut tx, login).await?.filter(|user| user.enabled) else {
        return Ok(Some(format!("user `{login}` may no longer log in")));
    };
    let to = match destination::resolve(&mut tx, &name).await {
        Ok(to) => to,
        Err(ResolveError::Catalog(error)) => return Err(error.into()),
        Err(gone) => return Ok(Some(gone.to_string())),
    };
    Ok(match permission::judge_push(&mut tx, &user, &to).await? {
        Verdict::Allowed => None,
        Verdict::Denied(denied) => Some(denied.to_string()),
    })
}
