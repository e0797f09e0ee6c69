//! `DELETE /organizations/{label}/products/{label}`: a task that deletes it with its repositories, and can be reverted for a while.

use std::sync::Arc;

use axum::extract::State;
use engine::node::NodeError;
use engine::step::StepError;
use engine::store::StoreError;
use schemars::JsonSchema;
use serde::Serialize;
use storage::catalog::audit::Action;
use storage::catalog::roles::Permission;
use workflows::delete_product::DeleteProduct;
use workflows::delete_together::submit;

use super::{place, subject, visible};
use crate::api::answer::BegunTask;
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::deletes::{Deleted, Wanted, WouldDelete};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

/// A product that would be deleted.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "WouldDeleteProduct")]
pub(in crate::api) struct WouldDeleteProduct {
    /// The organization's label.
    organization: String,
    /// The product's label.
    product: String,
    /// Its repositories, which go with it.
    repositories: Vec<WouldDelete>,
}

/// 200 with what would be deleted, or 202 with the task.
pub(in crate::api) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((organization, label)): Path<(String, String)>,
    Body(wanted): Body<Wanted>,
) -> Result<Deleted<WouldDeleteProduct>, Problem> {
    let mut tx = app.services.database.read().await?;
    let (organization, product) = visible(&mut tx, &caller, &organization, &label).await?;
    let named = format!(
        "in product {} of organization {}",
        product.label, organization.label
    );
    caller.must_here(Some(&place(&product)), &named)?;
    caller.must(Permission::Delete, &place(&product), named)?;
    let delete = DeleteProduct::find(&mut tx, &caller.user, &organization, &product).await;
    let delete = delete.map_err(unavailable)?;
    if wanted.dry_run {
        let repositories = delete.together.look(&mut tx).await?;
        return Ok(Deleted::Preview(WouldDeleteProduct {
            organization: organization.label,
            product: product.label,
            repositories: repositories.into_iter().map(WouldDelete::from).collect(),
        }));
    }
    drop(tx);
    let mut audited = caller.does(Action::Delete, subject(&product.label, &organization));
    audited.reason = wanted.reason.map(String::from);
    let task_id = submit(&app.node, delete, &caller.user, audited).await?;
    Ok(Deleted::Task(BegunTask { task_id }))
}

/// What is there could not be looked at.
pub(in crate::api) fn unavailable(error: StepError) -> Problem {
    NodeError::from(StoreError::Unavailable(error.0.message)).into()
}
