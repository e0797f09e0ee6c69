//! `/grants`: who has which role where.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::LOCATION;
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::grants::{self, Filter, Grant, Place, Scope};
use storage::catalog::repositories;
use storage::catalog::roles::{Permission, Role};
use storage::catalog::{GrantId, RepositoryId, organizations, products, users};
use workflows::destination::{self, PushName, ResolveError};

use super::body::Body;
use super::caller::Caller;
use super::page::{Page, Wanted};
use super::path::Path;
use super::problem::{Kind, Problem};
use crate::app::App;

/// A grant as REST shows it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    id: GrantId,
    user: String,
    role: Role,
    organization: Option<String>,
    product: Option<String>,
    repository: Option<RepositoryId>,
    created_at: String,
}

impl Shown {
    async fn of(tx: &mut Tx, grant: Grant) -> Result<Self, Problem> {
        let user = users::get(tx, grant.user)
            .await?
            .map_or_else(String::new, |user| user.login);
        let organization = match grant.scope.organization {
            Some(id) => organizations::get(tx, id)
                .await?
                .map(|organization| organization.label),
            None => None,
        };
        let product = match grant.scope.product {
            Some(id) => products::get(tx, id).await?.map(|product| product.label),
            None => None,
        };
        Ok(Self {
            id: grant.id,
            user,
            role: grant.role,
            organization,
            product,
            repository: grant.scope.repository,
            created_at: grant.created_at.to_rfc3339(),
        })
    }
}

/// `GET /grants`: one's own, and those at places where one manages access.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    wanted: Wanted,
) -> Result<Page<Shown>, Problem> {
    wanted.only_sorted_by("id")?;
    wanted.not_searched("grants")?;
    let mut tx = app.services.database.read().await?;
    let page = if caller.may_everywhere(Permission::ManageAccess) {
        let total = grants::count(&mut tx, Filter::default()).await?;
        let found = grants::list(
            &mut tx,
            Filter::default(),
            wanted.after()?,
            wanted.one_more(),
        )
        .await?;
        Page::of_rows(found, total, &wanted, |grant| grant.id)
    } else {
        let mut seen = all(&mut tx).await?;
        seen.retain(|grant| sees(&caller, grant));
        Page::cut(seen, &wanted, |grant| grant.id)?
    };
    let mut shown = Vec::with_capacity(page.results.len());
    for grant in page.results {
        shown.push(Shown::of(&mut tx, grant).await?);
    }
    Ok(Page {
        results: shown,
        total: page.total,
        next: page.next,
    })
}

async fn all(tx: &mut Tx) -> Result<Vec<Grant>, Problem> {
    const AT_ONCE: u32 = 500;
    let mut all: Vec<Grant> = Vec::new();
    loop {
        let page = grants::list(
            tx,
            Filter::default(),
            all.last().map(|last| last.id),
            AT_ONCE,
        )
        .await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

fn sees(caller: &Caller, grant: &Grant) -> bool {
    grant.user == caller.user.id || manages(caller, &grant.scope)
}

/// True if the caller manages access at all places of the scope.
fn manages(caller: &Caller, scope: &Scope) -> bool {
    match place(scope) {
        Some(place) => caller.may(Permission::ManageAccess, &place),
        None => caller.may_everywhere(Permission::ManageAccess),
    }
}

/// The scope as a place; none: everywhere.
fn place(scope: &Scope) -> Option<Place> {
    let organization = scope.organization?;
    Some(Place {
        organization,
        product: scope.product,
        repository: scope.repository,
    })
}

/// The body of a POST.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    user: String,
    role: String,
    organization: Option<String>,
    product: Option<String>,
    repository: Option<RepositoryNamed>,
}

/// A repository by its number or by a name it is pushed as.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RepositoryNamed {
    Id(RepositoryId),
    Name(String),
}

/// `POST /grants`. Nobody gives what they do not have at that place.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(new): Body<New>,
) -> Result<Response, Problem> {
    let role: Role = new.role.parse().map_err(|_| {
        Problem::invalid_field(
            "role",
            format!(
                "there is no role {:?}; GET /api/v1/roles lists them",
                new.role
            ),
        )
    })?;
    let mut tx = app.services.database.read().await?;
    let scope = scope(&mut tx, &new).await?;
    let at_place = place(&scope);
    if !manages(&caller, &scope) {
        return Err(match at_place {
            Some(place) if caller.sees_organization(place.organization) => {
                Problem::not_allowed(Permission::ManageAccess, "there")
            }
            Some(_) => no_such("organization"),
            None => Problem::not_allowed(Permission::ManageAccess, "everywhere"),
        });
    }
    let lacking = role
        .permissions()
        .iter()
        .find(|permission| match &at_place {
            Some(place) => !caller.may(*permission, place),
            None => !caller.may_everywhere(*permission),
        });
    if let Some(permission) = lacking {
        let text =
            format!("role {role} gives `{permission}`, which you do not have there yourself");
        return Err(Problem::new(Kind::NotAllowed, text));
    }
    let user = users::find(&mut tx, &new.user).await?;
    let user = user.ok_or_else(|| {
        Problem::invalid_field("user", format!("there is no user {:?}", new.user))
    })?;
    drop(tx);
    let at = app.services.clock.now();
    let shown = app
        .services
        .database
        .transact(move |tx| {
            Box::pin(async move {
                let same = |grant: &Grant| grant.role == role && grant.scope == scope;
                if let Some(known) = grants::of(tx, user.id)
                    .await?
                    .iter()
                    .find(|grant| same(grant))
                {
                    let text = format!(
                        "user {} has this role there already, by grant {}",
                        user.login, known.id
                    );
                    return Err(Problem::new(Kind::Duplicate, text));
                }
                let created = grants::create(tx, user.id, role, scope, at).await?;
                Shown::of(tx, created).await
            })
        })
        .await??;
    let location = format!("/api/v1/grants/{}", shown.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(shown)).into_response())
}

/// The scope with every part above the one that was named.
async fn scope(tx: &mut Tx, new: &New) -> Result<Scope, Problem> {
    if let Some(named) = &new.repository {
        let id = match named {
            RepositoryNamed::Id(id) => Some(*id),
            RepositoryNamed::Name(name) => pushed_as(tx, name).await?,
        };
        let found = match id {
            Some(repository) => {
                let filter = repositories::Filter {
                    repository: Some(repository),
                    ..repositories::Filter::default()
                };
                repositories::list(tx, filter, None, 1).await?.pop()
            }
            None => None,
        };
        let row = found.ok_or_else(|| no_such("repository"))?;
        let contradicts = |asked: &Option<String>, is: &str| {
            asked
                .as_ref()
                .is_some_and(|asked| !asked.eq_ignore_ascii_case(is))
        };
        if contradicts(&new.organization, &row.organization)
            || contradicts(&new.product, &row.product)
        {
            let text = format!(
                "repository {} is in product {} of organization {}",
                row.id, row.product, row.organization
            );
            return Err(Problem::invalid_field("repository", text));
        }
        return Ok(Scope {
            organization: Some(row.organization_id),
            product: Some(row.product_id),
            repository: Some(row.id),
        });
    }
    let Some(organization) = &new.organization else {
        if new.product.is_some() {
            return Err(Problem::invalid_field(
                "organization",
                "is missing: a product is one of an organization",
            ));
        }
        return Ok(Scope::default());
    };
    let organization = organizations::find(tx, organization)
        .await?
        .ok_or_else(|| no_such("organization"))?;
    let product = match &new.product {
        Some(label) => {
            let found = products::find(tx, organization.id, label).await?;
            Some(found.ok_or_else(|| no_such("product"))?.id)
        }
        None => None,
    };
    Ok(Scope {
        organization: Some(organization.id),
        product,
        repository: None,
    })
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

fn no_such(field: &'static str) -> Problem {
    Problem::invalid_field(
        field,
        format!("there is no such {field}, or none that you may see"),
    )
}

/// `DELETE /grants/{id}`.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let unknown = || Problem::not_found(format!("grant {id}"));
    let number: GrantId = id.parse().map_err(|_| unknown())?;
    let found = grants::get(&mut app.services.database.read().await?, number).await?;
    let grant = found
        .filter(|grant| sees(&caller, grant))
        .ok_or_else(unknown)?;
    if !manages(&caller, &grant.scope) {
        return Err(Problem::not_allowed(Permission::ManageAccess, "there"));
    }
    app.services
        .database
        .transact(move |tx| {
            Box::pin(async move {
                if makes_administrator(&grant) && !another_administrator(tx, grant.id).await? {
                    let text = "this is the last grant that makes an administrator; give another user the role first";
                    return Err(Problem::new(Kind::DoesNotFit, text));
                }
                Ok(grants::delete(tx, grant.id).await?)
            })
        })
        .await??;
    Ok(StatusCode::NO_CONTENT)
}

fn makes_administrator(grant: &Grant) -> bool {
    grant.role == Role::Admin && grant.scope.is_everywhere()
}

/// True if somebody who may log in administers everything by another grant.
async fn another_administrator(tx: &mut Tx, without: GrantId) -> Result<bool, Problem> {
    for grant in all(tx).await? {
        if grant.id != without && makes_administrator(&grant) {
            let user = users::get(tx, grant.user).await?;
            if user.is_some_and(|user| user.enabled) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
