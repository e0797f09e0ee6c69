//! `POST /repositories/{id}/promote`: a task that lets the next environment publish a version.

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use storage::catalog::RepositoryId;
use storage::catalog::audit::Action;
use workflows::destination::Destination;
use workflows::promote::{Promote, PromoteError, submit};

use super::{environment_named, must_reach};
use crate::api::answer::{Accepted, BegunTask};
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::fields::Reason;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

/// What is promoted, and to where.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewPromotion", example = json!({"version": 3, "to_environment": "dev"}))]
pub(in crate::api) struct Wanted {
    /// The number of a version that the environment before it on its path publishes; of Library any will do.
    version: i64,
    /// The label of the environment that shall publish it.
    to_environment: String,
    /// Why, for the audit.
    reason: Option<Reason>,
}

pub(in crate::api) async fn promote(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<RepositoryId>,
    Body(wanted): Body<Wanted>,
) -> Result<Accepted<BegunTask>, Problem> {
    let (row, environment) = {
        let mut tx = app.services.database.read().await?;
        let row = must_reach(&mut tx, &caller, id).await?;
        let (field, label) = ("to_environment", &wanted.to_environment);
        let environment = environment_named(&mut tx, &row, field, label).await?;
        (row, environment)
    };
    let promote = Promote {
        user: caller.user.id,
        login: caller.user.login.clone(),
        of: Destination::from(&row),
        version: wanted.version,
        to_environment: environment.id,
        to_environment_label: environment.label,
    };
    let subject = format!(
        "{} version {} to {}",
        promote.of, promote.version, promote.to_environment_label
    );
    let mut audited = caller.does(Action::Promote, subject);
    audited.reason = wanted.reason.map(String::from);
    let begun = submit(&app.node, promote, audited).await;
    let task_id = begun.map_err(|error| match error {
        PromoteError::NoVersion { .. } | PromoteError::NotInPrior { .. } => {
            Problem::invalid_field("version", error.to_string())
        }
        PromoteError::NoEnvironment { .. } | PromoteError::Library { .. } => {
            Problem::invalid_field("to_environment", error.to_string())
        }
        PromoteError::Catalog(error) => error.into(),
        PromoteError::Node(error) => error.into(),
    })?;
    Ok(Accepted(BegunTask { task_id }))
}
