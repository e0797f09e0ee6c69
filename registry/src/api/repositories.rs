//! `/repositories`: what pushes have made.

pub(super) mod create;
pub(super) mod delete;
pub(super) mod delete_image;
pub(super) mod manifests;
pub(super) mod promote;
pub(super) mod rollback;
mod scope;
mod search;
pub(super) mod tags;
pub(super) mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use engine::journal::PlanId;
use schemars::JsonSchema;
use serde::Serialize;
use storage::catalog::environments::{self, Environment, LIBRARY};
use storage::catalog::grants::{Place, Scope};
use storage::catalog::publications::{self, Labelled};
use storage::catalog::repositories::{self, RepositoryRow};
use storage::catalog::roles::Permission;
use storage::catalog::{DestinationId, RepositoryId, pushed, repository_names, settings};
use storage::{Digest, Tx};
use workflows::destination::label_form;

use super::answer::Located;
use super::caller::Caller;
use super::page::{Listed, Orders, Page, Wanted};
use super::path::Path;
use super::problem::Problem;
use super::products;
use super::time::Time;
use crate::app::App;

/// Katello's word for what pushes are published by.
const CONTENT_VIEW: &str = "Default Organization View";

/// A repository as REST shows it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Repository")]
pub(super) struct Shown {
    /// Its number.
    id: RepositoryId,
    /// Its name in its product; may hold slashes.
    name: String,
    /// Katello's label of it.
    label: String,
    /// The organization's label.
    organization: String,
    /// The product's label.
    product: String,
    /// The names that pushes go to and that are always pullable.
    pushed_names: Vec<String>,
    /// The names under which each environment publishes it, by the environment's label.
    published_names: BTreeMap<String, Vec<String>>,
    /// What each environment publishes of it, Library first.
    published: Vec<Published>,
    /// Null before the first push.
    latest_version: Option<i64>,
    /// The version that Library publishes.
    published_version: Option<i64>,
    /// Of everything that Library publishes, each blob counted once.
    size_bytes: u64,
    /// Of what Library publishes.
    tags_count: u64,
    /// Katello's word for what pushes are published by.
    content_view: &'static str,
    /// Where pushes land before they are filed; only for who may operate tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    push_repository: Option<PushRepository>,
    /// The push that Library publishes; null before it, and for who may pull only because everybody may.
    last_push: Option<LastPush>,
    created_at: Time,
}

impl Located for Shown {
    const PATH: &'static str = "/repositories/{id}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Any {
        by: search::ORDERS,
        usual: "id",
    };
    const SEARCH: Option<&'static [&'static str]> = Some(search::FIELDS);
}

/// What an environment publishes of a repository.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Published")]
struct Published {
    /// The environment's label.
    environment: String,
    /// The version's number.
    version: i64,
    since: Time,
    /// The login of whose push or action that was; null for who may pull only because everybody may.
    by: Option<String>,
    /// The task that published it; null for who may pull only because everybody may.
    task_id: Option<PlanId>,
}

/// Where pushes land before they are filed; only for who may operate tasks.
#[derive(Debug, JsonSchema, Serialize)]
struct PushRepository {
    name: String,
    /// What was pushed and is not filed yet.
    pending: Vec<Digest>,
}

#[derive(Debug, JsonSchema, Serialize)]
struct LastPush {
    task_id: PlanId,
    /// The login of who pushed.
    user: String,
    at: Time,
}

impl Shown {
    async fn of(
        app: &App,
        tx: &mut Tx,
        caller: &Caller,
        row: RepositoryRow,
    ) -> Result<Self, Problem> {
        let push_repository = push_repository(tx, caller, &row).await?;
        let (tags_count, size_bytes) = match row.published_version {
            Some(version) => (
                app.sizes.tags(tx, row.id, version).await?,
                app.sizes.bytes(tx, row.id, version).await?,
            ),
            None => (0, 0),
        };
        let has_role = caller.may(Permission::Pull, &place(&row));
        let last_push = row.last_push.clone().filter(|_| has_role);
        let pushed_names = vec![pushed_name(&row)];
        let (published, published_names) = published(tx, &row, has_role).await?;
        Ok(Self {
            id: row.id,
            name: row.name,
            label: row.label,
            organization: row.organization,
            product: row.product,
            published_names,
            published,
            pushed_names,
            latest_version: row.latest_version,
            published_version: row.published_version,
            size_bytes,
            tags_count,
            content_view: CONTENT_VIEW,
            push_repository,
            last_push: last_push.map(|push| LastPush {
                task_id: push.plan,
                user: push.user,
                at: push.at.into(),
            }),
            created_at: row.created_at.into(),
        })
    }
}

/// What each environment publishes of it, and by which names.
async fn published(
    tx: &mut Tx,
    row: &RepositoryRow,
    has_role: bool,
) -> Result<(Vec<Published>, BTreeMap<String, Vec<String>>), Problem> {
    let (mut published, mut names) = (Vec::new(), BTreeMap::<String, Vec<String>>::new());
    let mut others = repository_names::published(tx, row.id).await?;
    for Labelled { environment, shown } in publications::labelled(tx, row.id).await? {
        let mine = names.entry(environment.clone()).or_default();
        if environment == LIBRARY {
            mine.push(pushed_name(row));
        }
        let here = others.extract_if(.., |(by, _)| *by == shown.environment);
        mine.extend(here.map(|(_, name)| name));
        published.push(Published {
            environment,
            version: shown.version,
            since: shown.since.into(),
            by: has_role.then_some(shown.by),
            task_id: has_role.then_some(shown.plan),
        });
    }
    Ok((published, names))
}

/// The name by which tasks and people call it.
fn pushed_name(row: &RepositoryRow) -> String {
    label_form(&row.organization, &row.product, &row.name)
}

/// `GET /repositories?search=`: those the caller may pull from, also because everybody may.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let visible = scope::visible(&mut tx, &caller).await?;
    search::page(&app, &mut tx, &caller, &wanted, &visible).await
}

/// `GET /organizations/{label}/products/{label}/repositories`.
pub(super) async fn list_of_product(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((organization, product)): Path<(String, String)>,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let (organization, product) =
        products::visible(&mut tx, &caller, &organization, &product).await?;
    let product = Scope {
        organization: Some(organization.id),
        product: Some(product.id),
        repository: None,
    };
    let visible = scope::within(&scope::visible(&mut tx, &caller).await?, &product);
    search::page(&app, &mut tx, &caller, &wanted, &visible).await
}

/// `GET /repositories/{id}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<RepositoryId>,
) -> Result<Json<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let row = visible(&mut tx, &caller, id).await?;
    Ok(Json(Shown::of(&app, &mut tx, &caller, row).await?))
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

/// The repository with the number in the path, if the caller may pull from it, also because everybody may.
async fn visible(tx: &mut Tx, caller: &Caller, id: RepositoryId) -> Result<RepositoryRow, Problem> {
    let filter = repositories::Filter {
        repository: Some(id),
        ..repositories::Filter::default()
    };
    let found = repositories::list(tx, filter, None, 1).await?.pop();
    let open = settings::anonymous_pull(tx).await?;
    found
        .filter(|row| caller.may_here(Some(&place(row))) || (open && row.anonymous_pull))
        .ok_or_else(|| Problem::not_found(format!("repository {id}")))
}

/// The repository with the number in the path, if the caller has the right of the route to it.
async fn must_reach(
    tx: &mut Tx,
    caller: &Caller,
    id: RepositoryId,
) -> Result<RepositoryRow, Problem> {
    let filter = repositories::Filter {
        repository: Some(id),
        ..repositories::Filter::default()
    };
    let found = repositories::list(tx, filter, None, 1).await?.pop();
    let row = found
        .filter(|row| caller.sees(&place(row)))
        .ok_or_else(|| Problem::not_found(format!("repository {id}")))?;
    let named = format!("on repository {}", pushed_name(&row));
    caller.must_here(Some(&place(&row)), named)?;
    Ok(row)
}

/// The environment of the repository's organization that this field of the body names.
async fn environment_named(
    tx: &mut Tx,
    row: &RepositoryRow,
    field: &str,
    label: &str,
) -> Result<Environment, Problem> {
    let found = environments::find(tx, row.organization_id, label).await?;
    found.ok_or_else(|| {
        let text = format!("names no environment of organization {}", row.organization);
        Problem::invalid_field(field, text)
    })
}

fn place(row: &RepositoryRow) -> Place {
    Place {
        organization: row.organization_id,
        product: Some(row.product_id),
        repository: Some(row.id),
    }
}
