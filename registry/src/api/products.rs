//! `/organizations/{label}/products`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::LOCATION;
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::ProductId;
use storage::catalog::grants::Place;
use storage::catalog::organizations::Organization;
use storage::catalog::products::{self, NewProduct, Product};
use storage::catalog::roles::Permission;

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
    created_at: String,
}

impl Shown {
    fn of(product: Product, organization: &Organization) -> Self {
        Self {
            id: product.id,
            label: product.label,
            name: product.name,
            organization: organization.label.clone(),
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
    caller.must(
        Permission::ManageProducts,
        &in_organization(organization.id),
        named,
    )?;
    let new = NewProduct {
        label: fields::label("label", &new.label)?,
        name: fields::name("name", new.name)?,
    };
    let (at, id) = (app.services.clock.now(), organization.id);
    let created = app
        .services
        .database
        .transact(move |tx| Box::pin(async move { products::create(tx, id, &new, at).await }))
        .await??;
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
}

/// `PATCH /organizations/{label}/products/{label}`: the name; the label never changes.
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
    caller.must(Permission::ManageProducts, &place(&product), named)?;
    let Some(name) = changes.name else {
        return Ok(Json(Shown::of(product, &organization)));
    };
    let name = fields::name("name", name)?;
    let after = app
        .services
        .database
        .transact(move |tx| Box::pin(async move { products::rename(tx, product.id, &name).await }))
        .await??;
    after
        .map(|after| Json(Shown::of(after, &organization)))
        .ok_or_else(|| unknown(&label))
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
    let seen = found.filter(|product| {
        let in_it = caller
            .grants
            .iter()
            .any(|grant| grant.scope.product == Some(product.id));
        in_it || !caller.permissions(&place(product)).is_empty()
    });
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
