//! `POST /organizations/{label}/products/{label}/repositories`: a repository without a push.

use std::sync::Arc;

use axum::extract::State;
use engine::clock::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use storage::Tx;
use storage::catalog::audit::{self, Action};
use storage::catalog::grants::Place;
use storage::catalog::products::Product;
use storage::catalog::repositories::{self, RepositoryRow};
use storage::catalog::{CatalogError, destinations, repository_names};
use workflows::destination::{self, PushName, ResolveError};

use super::Shown;
use crate::api::answer::Created;
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::api::products;
use crate::app::App;

/// The body.
#[derive(Debug, JsonSchema, Deserialize)]
#[schemars(rename = "NewRepository", example = json!({"name": "app"}))]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct New {
    /// The name in the product: lower case, may hold slashes.
    #[schemars(
        length(max = 255),
        regex(pattern = r"^[a-z0-9]+((\.|_|__|-+|/)[a-z0-9]+)*$")
    )]
    name: String,
}

/// Makes the destination and its repository, which has no version until something is pushed there.
pub(in crate::api) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((organization, product)): Path<(String, String)>,
    Body(new): Body<New>,
) -> Result<Created<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let (organization, product) =
        products::visible(&mut tx, &caller, &organization, &product).await?;
    drop(tx);
    let place = Place {
        organization: organization.id,
        product: Some(product.id),
        repository: None,
    };
    let named = format!(
        "in product {} of organization {}",
        product.label, organization.label
    );
    caller.must_here(Some(&place), named)?;
    let name = push_name(&organization.label, &product.label, &new.name)?;
    let entry = caller.does(Action::Create, format!("repository {name}"));
    let at = app.services.clock.now();
    let row = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let row = make(tx, &product, &name, at).await?;
            audit::record(tx, &entry, at).await?;
            Ok::<_, Problem>(row)
        })
    });
    let row = row.await??;
    let mut tx = app.services.database.read().await?;
    Ok(Created(Shown::of(&app, &mut tx, &caller, row).await?))
}

/// The name by which it will be pushed, or a 422 that says why there can be no such name.
fn push_name(organization: &str, product: &str, name: &str) -> Result<PushName, Problem> {
    let labels = format!("{organization}/{product}").to_ascii_lowercase();
    let text = format!("{labels}/{name}");
    text.parse::<PushName>()
        .map_err(|error| wrong_name(error.to_string()))
}

fn wrong_name(why: String) -> Problem {
    Problem::invalid_field("name", why)
}

async fn make(
    tx: &mut Tx,
    product: &Product,
    name: &PushName,
    at: Timestamp,
) -> Result<RepositoryRow, Problem> {
    let to = destination::resolve(tx, name).await.map_err(unresolved)?;
    let to = destination::make(tx, &to, at).await.map_err(unresolved)?;
    let missing = || CatalogError::Missing {
        what: "repository",
        id: name.to_string(),
    };
    let row = destinations::get(tx, to.id).await?.ok_or_else(missing)?;
    let made = repositories::create(tx, &row, product.id, at).await?;
    repository_names::ensure(tx, &to.label_form(), made.id).await?;
    let filter = repositories::Filter {
        repository: Some(made.id),
        ..repositories::Filter::default()
    };
    let found = repositories::list(tx, filter, None, 1).await?.pop();
    Ok(found.ok_or_else(missing)?)
}

fn unresolved(error: ResolveError) -> Problem {
    match error {
        ResolveError::Catalog(error) => error.into(),
        ResolveError::UnknownOrganization { .. } | ResolveError::UnknownProduct { .. } => {
            Problem::not_found(error)
        }
        ResolveError::LabelOfEnvironment { .. } | ResolveError::Name(_) => {
            wrong_name(error.to_string())
        }
        ResolveError::PublishedName { .. } => Problem::new(Kind::Duplicate, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_could_be_pushed() {
        for good in ["app", "deep/down/app", "a.b_c-d"] {
            let name = push_name("Acme", "Tools", good).unwrap();
            assert_eq!(name.as_str(), format!("acme/tools/{good}"));
            assert_eq!(name.in_product(), good);
        }
        let too_long = "x".repeat(250);
        for bad in ["", "App", "a//b", "/a", "a/", "a b", "..", &too_long] {
            assert!(push_name("Acme", "Tools", bad).is_err(), "{bad}");
        }
    }
}
