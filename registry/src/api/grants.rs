//! `/grants`: who has which role where.

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use storage::Tx;
use storage::catalog::audit::{self, Action};
use storage::catalog::grants::{self, Filter, Grant, Place, Scope};
use storage::catalog::repositories;
use storage::catalog::roles::{self, NamedRole, Permission, Role};
use storage::catalog::users::{self, User};
use storage::catalog::{GrantId, RepositoryId, UserId, organizations, products};
use workflows::destination::{self, PushName, ResolveError};

use super::answer::{Created, Located, NoContent};
use super::body::Body;
use super::caller::Caller;
use super::fields::not_null;
use super::page::{Listed, Orders, Page, Wanted};
use super::path::Path;
use super::problem::{Kind, Problem};
use super::time::Time;
use crate::app::App;

/// A grant as REST shows it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Grant")]
pub(super) struct Shown {
    /// Its number.
    id: GrantId,
    /// Who has the role; null: a robot has it.
    user: Option<String>,
    /// The login of the robot that has it; null: a user has it.
    robot: Option<String>,
    role: String,
    /// Where: the organization's label; null: everywhere.
    organization: Option<String>,
    /// The product's label; null: in the whole organization.
    product: Option<String>,
    /// The repository's number; null: in the whole product.
    repository: Option<RepositoryId>,
    created_at: Time,
}

impl Located for Shown {
    const PATH: &'static str = "/grants/{id}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("id");
}

impl Shown {
    async fn of(tx: &mut Tx, grant: Grant) -> Result<Self, Problem> {
        let (user, robot) = match users::get(tx, grant.user).await? {
            Some(robot) if robot.robot_of.is_some() => (None, Some(robot.login)),
            Some(user) => (Some(user.login), None),
            None => (None, None),
        };
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
            robot,
            role: grant.role.name().to_owned(),
            organization,
            product,
            repository: grant.scope.repository,
            created_at: grant.created_at.into(),
        })
    }
}

impl Shown {
    /// `user bob`.
    fn whose(&self) -> String {
        match (&self.user, &self.robot) {
            (_, Some(robot)) => format!("robot {robot}"),
            (user, None) => format!("user {}", user.as_deref().unwrap_or_default()),
        }
    }

    /// `role reader, organization acme`.
    fn in_words(&self) -> String {
        let parts = [
            ("role", Some(self.role.clone())),
            ("organization", self.organization.clone()),
            ("product", self.product.clone()),
            ("repository", self.repository.map(|id| id.to_string())),
        ];
        let named = parts
            .into_iter()
            .filter_map(|(part, name)| Some(format!("{part} {}", name?)));
        named.collect::<Vec<_>>().join(", ")
    }
}

/// `GET /grants`: one's own, and those at places where one manages access.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let page = if caller.may_here(None) {
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
    // Of the caller's own: those that what was shown has something of.
    caller.grants.iter().any(|own| own.id == grant.id) || manages(caller, &grant.scope)
}

/// True if the caller manages access at all places of the scope.
fn manages(caller: &Caller, scope: &Scope) -> bool {
    caller.may_here(place(scope).as_ref())
}

/// What the role gives in that scope and the caller does not have there: nobody gives it, and nobody takes it back.
pub(super) fn lacking(caller: &Caller, role: &NamedRole, scope: &Scope) -> Option<Permission> {
    let held = match place(scope) {
        Some(place) => caller.permissions(&place),
        None => caller.permissions_everywhere(),
    };
    role.permissions().without(held).iter().next()
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
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewGrant", example = json!({"user": "ana", "role": "publisher", "organization": "acme"}))]
pub(super) struct New {
    /// The login of the user who gets it.
    #[serde(default, deserialize_with = "not_null")]
    #[schemars(with = "String")]
    user: Option<String>,
    /// The login of the robot that gets it, in its own organization.
    #[serde(default, deserialize_with = "not_null")]
    #[schemars(with = "String")]
    robot: Option<String>,
    /// The role's name.
    role: String,
    /// Where: the organization's label; everywhere unless given, and never null.
    #[serde(default, deserialize_with = "not_null")]
    #[schemars(with = "String")]
    organization: Option<String>,
    /// The product's label; in the whole organization unless given.
    #[serde(default, deserialize_with = "not_null")]
    #[schemars(with = "String")]
    product: Option<String>,
    /// The repository, which names its organization and product too.
    #[serde(default, deserialize_with = "not_null")]
    #[schemars(with = "RepositoryNamed")]
    repository: Option<RepositoryNamed>,
}

/// A repository by its number or by a name it is pushed as.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
enum RepositoryNamed {
    Id(RepositoryId),
    Name(String),
}

impl<'de> Deserialize<'de> for RepositoryNamed {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let named = match Value::deserialize(reader)? {
            Value::String(name) => Some(Self::Name(name)),
            Value::Number(number) => number.as_i64().map(|id| Self::Id(RepositoryId(id))),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        let wrong = "must be the number of a repository, or a name that it is pushed as";
        named.ok_or_else(|| D::Error::custom(wrong))
    }
}

/// `POST /grants`. Nobody gives what they do not have at that place.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(new): Body<New>,
) -> Result<Created<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let role = roles::find(&mut tx, &new.role).await?.ok_or_else(|| {
        let text = format!(
            "there is no role {:?}; GET /api/v1/roles lists them",
            new.role
        );
        Problem::invalid_field("role", text)
    })?;
    let scope = scope(&mut tx, &caller, &new).await?;
    let named = place(&scope).map_or("everywhere", |_| "there");
    caller.must_here(place(&scope).as_ref(), named)?;
    if let Some(permission) = lacking(&caller, &role, &scope) {
        let text =
            format!("role {role} gives `{permission}`, which you do not have there yourself");
        return Err(Problem::new(Kind::NotAllowed, text));
    }
    let user = given_to(&mut tx, &new, &scope).await?;
    drop(tx);
    let kind = user.robot_of.map_or("user", |_| "robot");
    let mut entry = caller.does(Action::Create, format!("grant to {kind} {}", user.login));
    let at = app.services.clock.now();
    let shown = app
        .services
        .database
        .transact(move |tx| {
            Box::pin(async move {
                if roles::find(tx, role.name()).await?.as_ref() != Some(&role) {
                    let text =
                        format!("role {role} was changed meanwhile; look at it and try again");
                    return Err(Problem::new(Kind::DoesNotFit, text));
                }
                let same = |grant: &Grant| grant.role == role && grant.scope == scope;
                if let Some(known) = grants::of(tx, user.id)
                    .await?
                    .iter()
                    .find(|grant| same(grant))
                {
                    let text = format!(
                        "{} has this role there already, by grant {}",
                        user.login, known.id
                    );
                    return Err(Problem::new(Kind::Duplicate, text));
                }
                let created = grants::create(tx, user.id, role, scope, at).await?;
                let shown = Shown::of(tx, created).await?;
                entry.reason = Some(shown.in_words());
                audit::record(tx, &entry, at).await?;
                Ok(shown)
            })
        })
        .await??;
    Ok(Created(shown))
}

/// The user or robot that the grant is for. A robot has roles in its own organization only.
async fn given_to(tx: &mut Tx, new: &New, scope: &Scope) -> Result<User, Problem> {
    let (field, login) = match (&new.user, &new.robot) {
        (Some(login), None) => ("user", login),
        (None, Some(login)) => ("robot", login),
        (Some(_), Some(_)) => {
            let text = "cannot be given beside `user`: a grant is for one of them";
            return Err(Problem::invalid_field("robot", text));
        }
        (None, None) => {
            let text = "is missing: name a `user` or a `robot`";
            return Err(Problem::invalid_field("user", text));
        }
    };
    let found = users::find(tx, login).await?;
    let found = found.filter(|found| found.robot_of.is_some() == (field == "robot"));
    let found = found
        .ok_or_else(|| Problem::invalid_field(field, format!("there is no {field} {login:?}")))?;
    if found.robot_of.is_some() && found.robot_of != scope.organization {
        let text = "has roles in its own organization only; name that as `organization`";
        return Err(Problem::invalid_field("robot", text));
    }
    Ok(found)
}

/// The scope with every part above the one that was named. What the caller may not see is told like what is not there.
async fn scope(tx: &mut Tx, caller: &Caller, new: &New) -> Result<Scope, Problem> {
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
        let seen = found.filter(|row| {
            caller.sees(&Place {
                organization: row.organization_id,
                product: Some(row.product_id),
                repository: Some(row.id),
            })
        });
        let row = seen.ok_or_else(|| no_such("repository"))?;
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
        .filter(|found| caller.sees_organization(found.id))
        .ok_or_else(|| no_such("organization"))?;
    let product = match &new.product {
        Some(label) => {
            let found = products::find(tx, organization.id, label).await?;
            let seen = found.filter(|product| {
                caller.sees(&Place {
                    organization: organization.id,
                    product: Some(product.id),
                    repository: None,
                })
            });
            Some(seen.ok_or_else(|| no_such("product"))?.id)
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
    Path(id): Path<GrantId>,
) -> Result<NoContent, Problem> {
    let unknown = || Problem::not_found(format!("grant {id}"));
    let found = grants::get(&mut app.services.database.read().await?, id).await?;
    let grant = found
        .filter(|grant| sees(&caller, grant))
        .ok_or_else(unknown)?;
    let named = place(&grant.scope).map_or("everywhere", |_| "there");
    caller.must_here(place(&grant.scope).as_ref(), named)?;
    if let Some(permission) = lacking(&caller, &grant.role, &grant.scope) {
        let text = format!(
            "role {} gives `{permission}`, which you do not have there yourself",
            grant.role
        );
        return Err(Problem::new(Kind::NotAllowed, text));
    }
    let mut entry = caller.does(Action::Delete, "");
    let at = app.services.clock.now();
    app.services
        .database
        .transact(move |tx| {
            Box::pin(async move {
                if makes_administrator(&grant) && !another_administrator(tx, grant.id).await? {
                    let text = "this is the last grant that makes an administrator; give another user the role first";
                    return Err(Problem::new(Kind::DoesNotFit, text));
                }
                let id = grant.id;
                let shown = Shown::of(tx, grant).await?;
                entry.subject = format!("grant to {}", shown.whose());
                entry.reason = Some(shown.in_words());
                grants::delete(tx, id).await?;
                Ok(audit::record(tx, &entry, at).await?)
            })
        })
        .await??;
    Ok(NoContent)
}

fn makes_administrator(grant: &Grant) -> bool {
    grant.role.built_in() == Some(Role::Admin) && grant.scope.is_everywhere()
}

/// True if somebody who may log in administers everything by another grant.
async fn another_administrator(tx: &mut Tx, without: GrantId) -> Result<bool, Problem> {
    administrator(tx, |grant| grant.id != without).await
}

/// True if somebody else who may log in administers everything.
pub(super) async fn administrator_besides(tx: &mut Tx, user: UserId) -> Result<bool, Problem> {
    administrator(tx, |grant| grant.user != user).await
}

async fn administrator(tx: &mut Tx, counts: impl Fn(&Grant) -> bool) -> Result<bool, Problem> {
    for grant in all(tx).await? {
        if counts(&grant) && makes_administrator(&grant) {
            let user = users::get(tx, grant.user).await?;
            if user.is_some_and(|user| user.enabled) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
