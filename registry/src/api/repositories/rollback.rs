//! `POST /repositories/{id}/rollback`: a task that lets an environment publish an earlier version.

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use storage::catalog::RepositoryId;
use storage::catalog::audit::Action;
use workflows::destination::Destination;
use workflows::rollback::{Rollback, RollbackError, submit};

use super::{environment_named, must_reach};
use crate::api::answer::{Accepted, BegunTask};
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::fields::Reason;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

/// What shall be published again, and where.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewRollback", example = json!({"environment": "Library", "version": 3}))]
pub(in crate::api) struct Wanted {
    /// The label of the environment. In Library a new version is made, equal to the old one; others are pointed to the old one.
    environment: String,
    /// The number of a version before the one that is published there.
    version: i64,
    /// Why, for the audit.
    reason: Option<Reason>,
}

pub(in crate::api) async fn rollback(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<RepositoryId>,
    Body(wanted): Body<Wanted>,
) -> Result<Accepted<BegunTask>, Problem> {
    let (row, environment) = {
        let mut tx = app.services.database.read().await?;
        let row = must_reach(&mut tx, &caller, id).await?;
        let (field, label) = ("environment", &wanted.environment);
        let environment = environment_named(&mut tx, &row, field, label).await?;
        (row, environment)
    };
    let rollback = Rollback {
        user: caller.user.id,
        login: caller.user.login.clone(),
        of: Destination::from(&row),
        environment: environment.id,
        environment_label: environment.label,
        library: environment.prior.is_none(),
        version: wanted.version,
    };
    let subject = format!(
        "{} in {} to version {}",
        rollback.of, rollback.environment_label, rollback.version
    );
    let mut audited = caller.does(Action::Rollback, subject);
    audited.reason = wanted.reason.map(String::from);
    let begun = submit(&app.node, rollback, audited).await;
    let task_id = begun.map_err(|error| match error {
        RollbackError::NoVersion { .. } | RollbackError::NotEarlier { .. } => {
            Problem::invalid_field("version", error.to_string())
        }
        RollbackError::NotPublished { .. } => {
            Problem::invalid_field("environment", error.to_string())
        }
        RollbackError::Catalog(error) => error.into(),
        RollbackError::Node(error) => error.into(),
    })?;
    Ok(Accepted(BegunTask { task_id }))
}
