//! `/organizations/{label}/products`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::LOCATION;
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::audit::{self, Action};
use storage::catalog::grants::Place;
use storage::catalog::organizations::Organization;
use storage::catalog::products::{self, NewProduct, Product, ProductChanges};
use storage::catalog::{CatalogError, ProductId};

use super::body::Body;
use super::caller::{Caller, in_organization};
use super::page::{Page, Wanted};
use super::path::Path;
use super::problem::Problem;
use super::{fields, organizations};
use crate::app::App;

/// A product as REST shows it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    id: ProductId,
    label: String,
    name: String,
    organization: String,
    /// Its repositories are pulled from without a login.
    anonymous_pull: bool,
    created_at: String,
}

impl Shown {
    fn of(product: Product, organization: &Organization) -> Self {
        Self {
            id: product.id,
            label: product.label,
            name: product.name,
            organization: organization.label.clone(),
            anonymous_pull: product.anonymous_pull,
            created_at: product.created_at.to_rfc3339(),
        }
    }
}

/// `GET /organizations/{label}/products`: those in which the caller has a role.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(label): Path<String>,
    wanted: Wanted,
) -> Result<Page<Shown>, Problem> {
    wanted.only_sorted_by("id")?;
    wanted.not_searched("products")?;
    let mut tx = app.services.database.read().await?;
    let organization = organizations::visible(&mut tx, &caller, &label).await?;
    if !caller
        .permissions(&in_organization(organization.id))
        .is_empty()
    {
        let total = products::count(&mut tx, organization.id).await?;
        let found =
            products::list(&mut tx, organization.id, wanted.after()?, wanted.one_more()).await?;
        let page = Page::of_rows(found, total, &wanted, |product| product.id);
        return Ok(page.map(|product| Shown::of(product, &organization)));
    }
    let mut ids: Vec<ProductId> = caller
        .grants
        .iter()
        .filter_map(|grant| grant.scope.product)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let mut seen = Vec::new();
    for id in ids {
        seen.extend(
            products::get(&mut tx, id)
                .await?
                .filter(|product| product.organization == organization.id),
        );
    }
    Ok(Page::cut(seen, &wanted, |product| product.id)?
        .map(|product| Shown::of(product, &organization)))
}

/// `GET /organizations/{label}/products/{label}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((organization, product)): Path<(String, String)>,
) -> Result<Json<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let (organization, product) = visible(&mut tx, &caller, &organization, &product).await?;
    Ok(Json(Shown::of(product, &organization)))
}

/// The body of a POST.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    label: String,
    name: String,
    anonymous_pull: Option<bool>,
}

/// `POST /organizations/{label}/products`.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(organization): Path<String>,
    Body(new): Body<New>,
) -> Result<Response, Problem> {
    let organization = organizations::visible(
        &mut app.services.database.read().await?,
        &caller,
        &organization,
    )
    .await?;
    let named = format!("in organization {}", organization.label);
    caller.must_here(Some(&in_organization(organization.id)), named)?;
    let changes = ProductChanges {
        anonymous_pull: new.anonymous_pull,
        ..ProductChanges::default()
    };
    let new = NewProduct {
        label: fields::label("label", &new.label)?,
        name: fields::name("name", new.name)?,
    };
    let entry = caller.does(Action::Create, subject(new.label.as_str(), &organization));
    let (at, id) = (app.services.clock.now(), organization.id);
    let created = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let created = products::create(tx, id, &new, at).await?;
            audit::record(tx, &entry, at).await?;
            let opened = products::update(tx, created.id, &changes).await?;
            Ok::<_, CatalogError>(opened.unwrap_or(created))
        })
    });
    let created = created.await??;
    let location = format!(
        "/api/v1/organizations/{}/products/{}",
        organization.label, created.label
    );
    Ok((
        StatusCode::CREATED,
        [(LOCATION, location)],
        Json(Shown::of(created, &organization)),
    )
        .into_response())
}

/// The body of a PATCH.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Changes {
    name: Option<String>,
    anonymous_pull: Option<bool>,
}

/// `PATCH /organizations/{label}/products/{label}`: name and anonymous pull; the label never changes.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((organization, label)): Path<(String, String)>,
    Body(changes): Body<Changes>,
) -> Result<Json<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let (organization, product) = visible(&mut tx, &caller, &organization, &label).await?;
    drop(tx);
    let named = format!(
        "in product {} of organization {}",
        product.label, organization.label
    );
    caller.must_here(Some(&place(&product)), named)?;
    let mut entry = caller.does(Action::Change, subject(&product.label, &organization));
    entry.reason = fields::changed(&[
        ("name", changes.name.is_some()),
        ("anonymous_pull", changes.anonymous_pull.is_some()),
    ]);
    if entry.reason.is_none() {
        return Ok(Json(Shown::of(product, &organization)));
    }
    let changes = ProductChanges {
        name: changes
            .name
            .map(|name| fields::name("name", name))
            .transpose()?,
        anonymous_pull: changes.anonymous_pull,
    };
    let at = app.services.clock.now();
    let after = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let after = products::update(tx, product.id, &changes).await?;
            audit::record(tx, &entry, at).await?;
            Ok::<_, CatalogError>(after)
        })
    });
    after
        .await??
        .map(|after| Json(Shown::of(after, &organization)))
        .ok_or_else(|| unknown(&label))
}

/// How the audit names a product.
fn subject(label: &str, organization: &Organization) -> String {
    format!("product {label} of organization {}", organization.label)
}

/// The product with this label, if the caller has a role in it.
pub(super) async fn visible(
    tx: &mut Tx,
    caller: &Caller,
    organization: &str,
    label: &str,
) -> Result<(Organization, Product), Problem> {
    let organization = organizations::visible(tx, caller, organization).await?;
    let found = products::find(tx, organization.id, label).await?;
    let seen = found.filter(|product| caller.sees(&place(product)));
    seen.map(|product| (organization, product))
        .ok_or_else(|| unknown(label))
}

fn place(product: &Product) -> Place {
    Place {
        organization: product.organization,
        product: Some(product.id),
        repository: None,
    }
}

fn unknown(label: &str) -> Problem {
    Problem::not_found(format!("product {label}"))
}
