//! `/organizations/{label}/products`.

pub(super) mod delete;
pub(super) mod retention;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::catalog::audit::{self, Action};
use storage::catalog::grants::Place;
use storage::catalog::organizations::{Organization, find as find_organization};
use storage::catalog::products::{self, NewProduct, Product, ProductChanges};
use storage::catalog::roles::Permission;
use storage::catalog::{CatalogError, ProductId, settings};
use storage::retention::Retention;
use storage::{Label, TagGlob, Tx};

use super::answer::{Created, Located};
use super::body::Body;
use super::caller::{Caller, in_organization};
use super::fields::{self, Globs, Name, Told, not_null, or_null};
use super::organizations;
use super::page::{Listed, Orders, Page, Wanted};
use super::path::Path;
use super::problem::Problem;
use super::time::Time;
use crate::app::App;

/// A product as REST shows it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Product")]
pub(super) struct Shown {
    /// Its number, as in image names that begin with `id/`.
    id: ProductId,
    /// How it stands in image names; never changes.
    label: String,
    /// What people call it.
    name: String,
    /// The organization's label.
    organization: String,
    /// Its repositories are pulled from without a login.
    anonymous_pull: bool,
    /// Tags that cannot be moved once they are pushed: globs, in which `*` stands for any characters and `?` for one.
    immutable_tags: Vec<TagGlob>,
    /// What of its repositories stays, and what the workflow `retention` removes; null: everything stays.
    retention: Option<Retention>,
    created_at: Time,
}

impl Located for Shown {
    const PATH: &'static str = "/organizations/{organization}/products/{label}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("id");
}

impl Shown {
    fn of(product: Product, organization: &Organization) -> Self {
        Self {
            id: product.id,
            label: product.label,
            name: product.name,
            organization: organization.label.clone(),
            anonymous_pull: product.anonymous_pull,
            immutable_tags: product.immutable_tags,
            retention: product.retention,
            created_at: product.created_at.into(),
        }
    }
}

/// `GET /organizations/{label}/products`: those in which the caller has a role, and those that everybody may pull from.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(label): Path<String>,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let organization = find_organization(&mut tx, &label).await?;
    let mut open = open(&mut tx).await?;
    open.retain(|product| Some(product.organization) == organization.as_ref().map(|it| it.id));
    let organization = organization
        .filter(|it| caller.sees_organization(it.id) || !open.is_empty())
        .ok_or_else(|| organizations::unknown(&label))?;
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
        .chain(open.iter().map(|product| product.id))
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
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewProduct", example = json!({"label": "tools", "name": "Tools", "anonymous_pull": false, "immutable_tags": ["v*"]}))]
pub(super) struct New {
    /// How it stands in image names; unique in its organization whatever its case, and never changes.
    label: Label,
    /// What people call it.
    name: Name,
    /// Its repositories are pulled from without a login; false unless given.
    anonymous_pull: Option<bool>,
    /// Tags that cannot be moved once they are pushed: globs, in which `*` stands for any characters and `?` for one.
    #[serde(default, deserialize_with = "not_null")]
    immutable_tags: Option<Globs>,
    /// What of its repositories stays, and what the workflow `retention` removes; everything stays unless given.
    retention: Option<Retention>,
}

/// `POST /organizations/{label}/products`.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(organization): Path<String>,
    Body(new): Body<New>,
) -> Result<Created<Shown>, Problem> {
    let organization = organizations::visible(
        &mut app.services.database.read().await?,
        &caller,
        &organization,
    )
    .await?;
    let named = format!("in organization {}", organization.label);
    caller.must_here(Some(&in_organization(organization.id)), &named)?;
    if new.anonymous_pull == Some(true) {
        // Nobody gives what they do not have, and least of all to everybody.
        caller.must(Permission::Pull, &in_organization(organization.id), named)?;
    }
    let changes = ProductChanges {
        anonymous_pull: new.anonymous_pull,
        immutable_tags: new.immutable_tags.map(Into::into),
        retention: new.retention.map(Some),
        ..ProductChanges::default()
    };
    let new = NewProduct {
        label: new.label,
        name: new.name.into(),
    };
    let mut entry = caller.does(Action::Create, subject(new.label.as_str(), &organization));
    entry.reason = fields::given(&[
        ("anonymous_pull", Told::what(changes.anonymous_pull)),
        (
            "immutable_tags",
            Told::globs(changes.immutable_tags.as_ref()),
        ),
        ("retention", Told::or_none(changes.retention.as_ref())),
    ]);
    let (at, id) = (app.services.clock.now(), organization.id);
    let created = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let created = products::create(tx, id, &new, at).await?;
            audit::record(tx, &entry, at).await?;
            let opened = products::update(tx, created.id, &changes).await?;
            Ok::<_, CatalogError>(opened.unwrap_or(created))
        })
    });
    Ok(Created(Shown::of(created.await??, &organization)))
}

/// The body of a PATCH.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProductChanges", example = json!({"anonymous_pull": true}))]
pub(super) struct Changes {
    /// What people call it.
    name: Option<Name>,
    /// Its repositories are pulled from without a login.
    anonymous_pull: Option<bool>,
    /// Tags that cannot be moved once they are pushed, instead of those before: globs, in which `*` stands for any characters
    /// and `?` for one.
    #[serde(default, deserialize_with = "not_null")]
    immutable_tags: Option<Globs>,
    /// What of its repositories stays, instead of what was said before; null: everything.
    #[serde(default, deserialize_with = "or_null")]
    #[expect(clippy::option_option, reason = "left out, it stays; null, it goes")]
    retention: Option<Option<Retention>>,
}

/// `PATCH /organizations/{label}/products/{label}`: name, anonymous pull, immutable tags and retention; the label never changes.
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
    caller.must_here(Some(&place(&product)), &named)?;
    if changes.anonymous_pull == Some(true) {
        caller.must(Permission::Pull, &place(&product), named)?;
    }
    let mut entry = caller.does(Action::Change, subject(&product.label, &organization));
    let changes = ProductChanges {
        name: changes.name.map(Into::into),
        anonymous_pull: changes.anonymous_pull,
        immutable_tags: changes.immutable_tags.map(Into::into),
        retention: changes.retention,
    };
    entry.reason = fields::given(&[
        ("name", Told::what(changes.name.as_ref())),
        ("anonymous_pull", Told::what(changes.anonymous_pull)),
        (
            "immutable_tags",
            Told::globs(changes.immutable_tags.as_ref()),
        ),
        ("retention", Told::or_none(changes.retention.as_ref())),
    ]);
    if entry.reason.is_none() {
        return Ok(Json(Shown::of(product, &organization)));
    }
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
pub(super) fn subject(label: &str, organization: &Organization) -> String {
    format!("product {label} of organization {}", organization.label)
}

/// The product with this label, if the caller has a role in it or everybody may pull from it.
pub(super) async fn visible(
    tx: &mut Tx,
    caller: &Caller,
    organization: &str,
    label: &str,
) -> Result<(Organization, Product), Problem> {
    let unseen = || organizations::unknown(organization);
    let there = find_organization(tx, organization)
        .await?
        .ok_or_else(unseen)?;
    let found = products::find(tx, there.id, label).await?;
    if let Some(product) = found {
        let open = product.anonymous_pull && settings::anonymous_pull(tx).await?;
        if open || caller.sees(&place(&product)) {
            return Ok((there, product));
        }
    }
    if caller.sees_organization(there.id) {
        Err(unknown(label))
    } else {
        Err(unseen())
    }
}

/// The products that everybody may pull from.
async fn open(tx: &mut Tx) -> Result<Vec<Product>, CatalogError> {
    if settings::anonymous_pull(tx).await? {
        products::open(tx).await
    } else {
        Ok(Vec::new())
    }
}

pub(super) fn place(product: &Product) -> Place {
    Place {
        organization: product.organization,
        product: Some(product.id),
        repository: None,
    }
}

fn unknown(label: &str) -> Problem {
    Problem::not_found(format!("product {label}"))
}
