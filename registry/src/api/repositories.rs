//! `/repositories`: what pushes have made.

pub(super) mod create;
pub(super) mod manifests;
mod scope;
mod search;
pub(super) mod tags;
pub(super) mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use storage::catalog::environments::LIBRARY;
use storage::catalog::grants::{Place, Scope};
use storage::catalog::repositories::{self, RepositoryRow};
use storage::catalog::roles::Permission;
use storage::catalog::{DestinationId, RepositoryId, pushed};
use storage::{Digest, Tx};
use workflows::destination::label_form;

use super::caller::Caller;
use super::page::{Page, Wanted};
use super::path::Path;
use super::problem::Problem;
use super::products;
use crate::app::App;

/// Katello's word for what pushes are published by.
const CONTENT_VIEW: &str = "Default Organization View";

/// A repository as REST shows it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    id: RepositoryId,
    name: String,
    label: String,
    organization: String,
    product: String,
    pushed_names: Vec<String>,
    published_names: BTreeMap<&'static str, Vec<String>>,
    latest_version: Option<i64>,
    published_version: Option<i64>,
    size_bytes: u64,
    tags_count: u64,
    content_view: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    push_repository: Option<PushRepository>,
    last_push: Option<LastPush>,
    created_at: String,
}

/// Where pushes land before they are filed; only for who may operate tasks.
#[derive(Debug, Serialize)]
struct PushRepository {
    name: String,
    pending: Vec<Digest>,
}

#[derive(Debug, Serialize)]
struct LastPush {
    task_id: String,
    user: String,
    at: String,
}

impl Shown {
    fn of(row: RepositoryRow, push_repository: Option<PushRepository>) -> Self {
        let pushed_names = vec![pushed_name(&row)];
        let published = row
            .published_version
            .map(|_| (LIBRARY, pushed_names.clone()));
        Self {
            id: row.id,
            name: row.name,
            label: row.label,
            organization: row.organization,
            product: row.product,
            published_names: published.into_iter().collect(),
            pushed_names,
            latest_version: row.latest_version,
            published_version: row.published_version,
            size_bytes: row.size_bytes,
            tags_count: row.tags_count,
            content_view: CONTENT_VIEW,
            push_repository,
            last_push: row.last_push.map(|push| LastPush {
                task_id: push.plan.to_string(),
                user: push.user,
                at: push.at.to_rfc3339(),
            }),
            created_at: row.created_at.to_rfc3339(),
        }
    }
}

/// The name by which tasks and people call it.
fn pushed_name(row: &RepositoryRow) -> String {
    label_form(&row.organization, &row.product, &row.name)
}

/// `GET /repositories?search=`: those the caller may pull from.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    wanted: Wanted,
) -> Result<Page<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let visible = scope::pullable(&caller);
    search::page(&app, &mut tx, &caller, &wanted, &visible).await
}

/// `GET /organizations/{label}/products/{label}/repositories`.
pub(super) async fn list_of_product(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((organization, product)): Path<(String, String)>,
    wanted: Wanted,
) -> Result<Page<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let (organization, product) =
        products::visible(&mut tx, &caller, &organization, &product).await?;
    let product = Scope {
        organization: Some(organization.id),
        product: Some(product.id),
        repository: None,
    };
    let visible = scope::within(&scope::pullable(&caller), &product);
    search::page(&app, &mut tx, &caller, &wanted, &visible).await
}

/// `GET /repositories/{id}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let row = visible(&mut tx, &caller, &id).await?;
    let push_repository = push_repository(&mut tx, &caller, &row).await?;
    Ok(Json(Shown::of(row, push_repository)))
}

async fn push_repository(
    tx: &mut Tx,
    caller: &Caller,
    row: &RepositoryRow,
) -> Result<Option<PushRepository>, Problem> {
    if !caller.may(Permission::OperateTasks, &place(row)) {
        return Ok(None);
    }
    let pending = pushed::pending(tx, DestinationId::from(row.id)).await?;
    Ok(Some(PushRepository {
        name: format!("wharfinger-push/{}", row.id),
        pending,
    }))
}

/// The repository with the number in the path, if the caller may pull from it.
async fn visible(tx: &mut Tx, caller: &Caller, id: &str) -> Result<RepositoryRow, Problem> {
    let unknown = || Problem::not_found(format!("repository {id}"));
    let number: RepositoryId = id.parse().map_err(|_| unknown())?;
    let filter = repositories::Filter {
        repository: Some(number),
        ..repositories::Filter::default()
    };
    let found = repositories::list(tx, filter, None, 1).await?.pop();
    found
        .filter(|row| caller.may_here(Some(&place(row))))
        .ok_or_else(unknown)
}

fn place(row: &RepositoryRow) -> Place {
    Place {
        organization: row.organization_id,
        product: Some(row.product_id),
        repository: Some(row.id),
    }
}
