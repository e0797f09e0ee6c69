//! `/organizations`.

pub(super) mod delete;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::catalog::audit::{self, Action};
use storage::catalog::organizations::{self, NewOrganization, Organization};
use storage::catalog::{CatalogError, OrganizationId};
use storage::{Label, Tx};

use super::answer::{Created, Located};
use super::body::Body;
use super::caller::{Caller, in_organization};
use super::fields::{self, Name, Told};
use super::page::{Listed, Orders, Page, Wanted};
use super::path::Path;
use super::problem::Problem;
use super::time::Time;
use crate::app::App;

/// An organization as REST shows it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Organization")]
pub(super) struct Shown {
    /// Its number, as in image names that begin with `id/`.
    id: OrganizationId,
    /// What image names begin with; never changes.
    label: String,
    /// What people call it.
    name: String,
    created_at: Time,
}

impl Located for Shown {
    const PATH: &'static str = "/organizations/{label}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("id");
}

impl From<Organization> for Shown {
    fn from(organization: Organization) -> Self {
        Self {
            id: organization.id,
            label: organization.label,
            name: organization.name,
            created_at: organization.created_at.into(),
        }
    }
}

/// `GET /organizations`: those in which the caller has a role.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    if caller.sees_every_organization() {
        let total = organizations::count(&mut tx).await?;
        let found = organizations::list(&mut tx, wanted.after()?, wanted.one_more()).await?;
        return Ok(
            Page::of_rows(found, total, &wanted, |organization| organization.id).map(Shown::from),
        );
    }
    let mut ids: Vec<OrganizationId> = caller
        .grants
        .iter()
        .filter_map(|grant| grant.scope.organization)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let mut seen = Vec::new();
    for id in ids {
        seen.extend(organizations::get(&mut tx, id).await?);
    }
    Ok(Page::cut(seen, &wanted, |organization| organization.id)?.map(Shown::from))
}

/// `GET /organizations/{label}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(label): Path<String>,
) -> Result<Json<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    Ok(Json(visible(&mut tx, &caller, &label).await?.into()))
}

/// The body of a POST.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewOrganization", example = json!({"label": "acme", "name": "Acme, Ltd."}))]
pub(super) struct New {
    /// What image names begin with; unique whatever its case, and never changes.
    label: Label,
    /// What people call it.
    name: Name,
}

/// `POST /organizations`.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(new): Body<New>,
) -> Result<Created<Shown>, Problem> {
    let new = NewOrganization {
        label: new.label,
        name: new.name.into(),
    };
    let entry = caller.does(Action::Create, format!("organization {}", new.label));
    let at = app.services.clock.now();
    let created = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let created = organizations::create(tx, &new, at).await?;
            audit::record(tx, &entry, at).await?;
            Ok::<_, CatalogError>(created)
        })
    });
    Ok(Created(created.await??.into()))
}

/// The body of a PATCH.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "OrganizationChanges", example = json!({"name": "Acme Group"}))]
pub(super) struct Changes {
    /// What people call it.
    name: Option<Name>,
}

/// `PATCH /organizations/{label}`: the name; the label never changes.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(label): Path<String>,
    Body(changes): Body<Changes>,
) -> Result<Json<Shown>, Problem> {
    let organization = visible(&mut app.services.database.read().await?, &caller, &label).await?;
    let named = format!("in organization {}", organization.label);
    caller.must_here(Some(&in_organization(organization.id)), named)?;
    let Some(name) = changes.name else {
        return Ok(Json(organization.into()));
    };
    let name = String::from(name);
    let mut entry = caller.does(
        Action::Change,
        format!("organization {}", organization.label),
    );
    entry.reason = fields::given(&[("name", Told::what(Some(&name)))]);
    let at = app.services.clock.now();
    let after = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let after = organizations::rename(tx, organization.id, &name).await?;
            audit::record(tx, &entry, at).await?;
            Ok::<_, CatalogError>(after)
        })
    });
    after
        .await??
        .map(|after| Json(after.into()))
        .ok_or_else(|| unknown(&label))
}

/// The organization with this label, if the caller has a role in it.
pub(super) async fn visible(
    tx: &mut Tx,
    caller: &Caller,
    label: &str,
) -> Result<Organization, Problem> {
    let found = organizations::find(tx, label).await?;
    found
        .filter(|organization| caller.sees_organization(organization.id))
        .ok_or_else(|| unknown(label))
}

pub(super) fn unknown(label: &str) -> Problem {
    Problem::not_found(format!("organization {label}"))
}
