//! `DELETE /repositories/{id}`: a task that deletes it, and can be reverted for a while.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::catalog::RepositoryId;
use storage::catalog::audit::Action;
use workflows::delete_repository::{DeleteError, DeleteRepository, look, submit};

use super::{destination, must_reach, pushed_name};
use crate::api::answer::{Accepted, BegunTask};
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::fields::Reason;
use crate::api::openapi::{Answers, Operation};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

/// The body, which may be left out.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "RepositoryDelete", example = json!({"dry_run": true}))]
pub(in crate::api) struct Wanted {
    /// Only say what would be deleted.
    dry_run: bool,
    /// Why, for the audit.
    reason: Option<Reason>,
}

/// What would be deleted.
#[derive(Debug, JsonSchema, Serialize)]
pub(in crate::api) struct WouldDelete {
    /// The name by which it is pushed.
    repository: String,
    /// How many versions it has.
    versions: u64,
    /// How many tags Library publishes.
    tags: u64,
    /// How many environments publish something of it.
    environments: usize,
}

/// 200 with what would be deleted, or 202 with the task.
pub(in crate::api) enum Deleted {
    Preview(WouldDelete),
    Task(BegunTask),
}

impl IntoResponse for Deleted {
    fn into_response(self) -> Response {
        match self {
            Self::Preview(preview) => Json(preview).into_response(),
            Self::Task(task) => Accepted(task).into_response(),
        }
    }
}

impl Answers for Deleted {
    fn answer(operation: &mut Operation) {
        operation.answers_json::<WouldDelete>(200, "For a `dry_run`: what would be deleted.");
        Accepted::<BegunTask>::answer(operation);
    }
}

pub(in crate::api) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<RepositoryId>,
    Body(wanted): Body<Wanted>,
) -> Result<Deleted, Problem> {
    let mut tx = app.services.database.read().await?;
    let row = must_reach(&mut tx, &caller, id).await?;
    if wanted.dry_run {
        let would = look(&mut tx, row.id).await?;
        return Ok(Deleted::Preview(WouldDelete {
            repository: pushed_name(&row),
            versions: would.versions,
            tags: would.tags,
            environments: would.environments,
        }));
    }
    drop(tx);
    let delete = DeleteRepository {
        user: caller.user.id,
        login: caller.user.login.clone(),
        repository: destination(&row),
    };
    let mut audited = caller.does(Action::Delete, format!("repository {}", pushed_name(&row)));
    audited.reason = wanted.reason.map(String::from);
    let begun = submit(&app.node, delete, audited).await;
    let task_id = begun.map_err(|error| match error {
        DeleteError::Gone(_) => Problem::not_found(format!("repository {id}")),
        DeleteError::Step(_) => Problem::internal(&error),
        DeleteError::Catalog(error) => error.into(),
        DeleteError::Node(error) => error.into(),
    })?;
    Ok(Deleted::Task(BegunTask { task_id }))
}
