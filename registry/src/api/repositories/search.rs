//! The search of repositories: which fields there are, and what they mean in the catalog.

use engine::search::Search;
use storage::Tx;
use storage::catalog::organizations::{self, Organization};
use storage::catalog::{RepositoryId, products};
use workflows::destination::{self, PushName, ResolveError};

use super::scope::Asked;
use crate::api::problem::Problem;

/// What a list of repositories can be searched by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
enum Field {
    Id,
    Name,
    Label,
    Organization,
    Product,
    PushedName,
}

/// What the search asks for; nothing if it cannot fit any repository.
pub(super) async fn asked(tx: &mut Tx, text: &str) -> Result<Vec<Asked>, Problem> {
    let mut asked = Asked::default();
    let mut product = None;
    for (field, value) in Search::<Field>::parse(text)?.terms {
        match field {
            Field::Id => match value.parse::<RepositoryId>() {
                Ok(id) if asked.repository.is_none_or(|other| other == id) => {
                    asked.repository = Some(id);
                }
                _ => return Ok(Vec::new()),
            },
            Field::Name | Field::Label => {
                if asked.name.as_ref().is_some_and(|other| *other != value) {
                    return Ok(Vec::new());
                }
                asked.name = Some(value);
            }
            Field::Organization => match organizations::find(tx, &value).await? {
                Some(found) if asked.organization.is_none_or(|other| other == found.id) => {
                    asked.organization = Some(found.id);
                }
                _ => return Ok(Vec::new()),
            },
            Field::Product => product = Some(value),
            Field::PushedName => match pushed_as(tx, &value).await? {
                Some(id) if asked.repository.is_none_or(|other| other == id) => {
                    asked.repository = Some(id);
                }
                _ => return Ok(Vec::new()),
            },
        }
    }
    match product {
        Some(product) => with_product(tx, asked, &product).await,
        None => Ok(vec![asked]),
    }
}

/// A label of a product means one in each organization.
async fn with_product(tx: &mut Tx, asked: Asked, label: &str) -> Result<Vec<Asked>, Problem> {
    let organizations = match asked.organization {
        Some(id) => organizations::get(tx, id).await?.into_iter().collect(),
        None => all_organizations(tx).await?,
    };
    let mut found = Vec::new();
    for organization in organizations {
        if let Some(product) = products::find(tx, organization.id, label).await? {
            found.push(Asked {
                organization: Some(organization.id),
                product: Some(product.id),
                ..asked.clone()
            });
        }
    }
    Ok(found)
}

async fn all_organizations(tx: &mut Tx) -> Result<Vec<Organization>, Problem> {
    const AT_ONCE: u32 = 500;
    let mut all: Vec<Organization> = Vec::new();
    loop {
        let page = organizations::list(tx, all.last().map(|last| last.id), AT_ONCE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

async fn pushed_as(tx: &mut Tx, name: &str) -> Result<Option<RepositoryId>, Problem> {
    let Ok(name) = name.parse::<PushName>() else {
        return Ok(None);
    };
    match destination::resolve(tx, &name).await {
        Ok(to) => Ok(to.repository),
        Err(ResolveError::Catalog(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}
