//! `DELETE /organizations/{label}`: a task that deletes it with everything in it, and can be reverted for a while.

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use storage::catalog::audit::Action;
use storage::catalog::{environments, products, robots};
use workflows::delete_organization::DeleteOrganization;
use workflows::delete_together::submit;

use super::visible;
use crate::api::answer::BegunTask;
use crate::api::body::Body;
use crate::api::caller::{Caller, in_organization};
use crate::api::deletes::{Deleted, Wanted, WouldDelete};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::products::delete::unavailable;
use crate::app::App;

/// An organization that would be deleted.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "WouldDeleteOrganization")]
pub(in crate::api) struct WouldDeleteOrganization {
    /// Its label.
    organization: String,
    /// How many products go with it.
    products: u64,
    /// How many environments, Library among them.
    environments: u64,
    /// The logins of the robots that can log in no more.
    robots: Vec<String>,
    /// The repositories of all its products.
    repositories: Vec<WouldDelete>,
}

/// 200 with what would be deleted, or 202 with the task.
pub(in crate::api) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(label): Path<String>,
    Body(wanted): Body<Wanted>,
) -> Result<Deleted<WouldDeleteOrganization>, Problem> {
    let mut tx = app.services.database.read().await?;
    let organization = visible(&mut tx, &caller, &label).await?;
    let named = format!("in organization {}", organization.label);
    caller.must_here(Some(&in_organization(organization.id)), named)?;
    let delete = DeleteOrganization::find(&mut tx, &caller.user, &organization).await;
    let delete = delete.map_err(unavailable)?;
    if wanted.dry_run {
        let id = organization.id;
        let repositories = delete.together.look(&mut tx).await?;
        let robots = robots::of(&mut tx, id).await?;
        return Ok(Deleted::Preview(WouldDeleteOrganization {
            organization: organization.label,
            products: products::count(&mut tx, id).await?,
            environments: environments::count(&mut tx, id).await?,
            robots: robots.into_iter().map(|robot| robot.login).collect(),
            repositories: repositories.into_iter().map(WouldDelete::from).collect(),
        }));
    }
    drop(tx);
    let subject = format!("organization {}", organization.label);
    let mut audited = caller.does(Action::Delete, subject);
    audited.reason = wanted.reason.map(String::from);
    let task_id = submit(&app.node, delete, &caller.user, audited).await?;
    Ok(Deleted::Task(BegunTask { task_id }))
}
