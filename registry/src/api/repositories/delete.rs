//! `DELETE /repositories/{id}`: a task that deletes it, and can be reverted for a while.

use std::sync::Arc;

use axum::extract::State;
use storage::catalog::RepositoryId;
use storage::catalog::audit::Action;
use workflows::delete_repository::{DeleteError, DeleteRepository, look, submit};
use workflows::destination::Destination;

use super::{must_reach, pushed_name};
use crate::api::answer::BegunTask;
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::deletes::{Deleted, Wanted, WouldDelete};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

/// `DELETE /repositories/{id}`: 200 with what would be deleted, or 202 with the task.
pub(in crate::api) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<RepositoryId>,
    Body(wanted): Body<Wanted>,
) -> Result<Deleted<WouldDelete>, Problem> {
    let mut tx = app.services.database.read().await?;
    let row = must_reach(&mut tx, &caller, id).await?;
    if wanted.dry_run {
        let would = look(&mut tx, row.id).await?;
        let would = WouldDelete::of(pushed_name(&row), &would);
        return Ok(Deleted::Preview(would));
    }
    drop(tx);
    let delete = DeleteRepository {
        user: caller.user.id,
        login: caller.user.login.clone(),
        repository: Destination::from(&row),
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
