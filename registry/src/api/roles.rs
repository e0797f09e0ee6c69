//! `/roles`: the built-in ones, which never change, and those made here.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::catalog::CatalogError;
use storage::catalog::audit::{self, Action};
use storage::catalog::roles::{self, NamedRole, Permission, PermissionSet};

use super::answer::{Created, Located, NoContent};
use super::body::Body;
use super::caller::Caller;
use super::fields::{self, RoleName, Told};
use super::page::{Listed, Orders, Page, Wanted};
use super::path::Path;
use super::problem::{Kind, Problem};
use crate::app::App;

/// A role as REST shows it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Role")]
pub(super) struct Shown {
    /// What grants call it; never changes.
    name: String,
    /// What it gives.
    permissions: PermissionSet,
    /// Built-in roles never change.
    built_in: bool,
}

impl Located for Shown {
    const PATH: &'static str = "/roles/{name}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("name");
}

impl From<NamedRole> for Shown {
    fn from(role: NamedRole) -> Self {
        Self {
            permissions: role.permissions(),
            built_in: role.built_in().is_some(),
            name: role.name().to_owned(),
        }
    }
}

/// `GET /roles`: every role, with what it gives; the built-in ones first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    _: Caller,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let all = roles::list(&mut app.services.database.read().await?).await?;
    let place = |role: &NamedRole| (role.built_in().is_none(), role.name().to_owned());
    let mut all = all;
    all.sort_by_key(place);
    Ok(Page::cut(all, &wanted, place)?.map(Shown::from))
}

/// `GET /roles/{name}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    _: Caller,
    Path(name): Path<String>,
) -> Result<Json<Shown>, Problem> {
    let found = roles::find(&mut app.services.database.read().await?, &name).await?;
    found
        .map(|role| Json(role.into()))
        .ok_or_else(|| unknown(&name))
}

/// The body of a POST.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewRole", example = json!({"name": "release_manager", "permissions": ["pull", "promote"]}))]
pub(super) struct New {
    /// What grants call it; never changes.
    name: RoleName,
    /// What it gives: nothing that the caller does not have.
    permissions: Vec<Permission>,
}

/// `POST /roles`. Nobody makes a role that gives more than they have.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(new): Body<New>,
) -> Result<Created<Shown>, Problem> {
    let permissions = PermissionSet::from(new.permissions);
    must_have(&caller, permissions)?;
    let name = String::from(new.name);
    let mut entry = caller.does(Action::Create, format!("role {name}"));
    entry.reason = fields::given(&[("permissions", Told::permissions(Some(permissions)))]);
    let at = app.services.clock.now();
    let created = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let created = roles::create(tx, &name, permissions, at).await?;
            audit::record(tx, &entry, at).await?;
            Ok::<_, CatalogError>(created)
        })
    });
    Ok(Created(created.await??.into()))
}

/// The body of a PATCH.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RoleChanges", example = json!({"permissions": ["pull", "promote", "view_tasks"]}))]
pub(super) struct Changes {
    /// What it gives from now on.
    permissions: Vec<Permission>,
}

/// `PATCH /roles/{name}`: what it gives, at once and wherever it was granted. The name never changes.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Body(changes): Body<Changes>,
) -> Result<Json<Shown>, Problem> {
    let permissions = PermissionSet::from(changes.permissions);
    let found = roles::find(&mut app.services.database.read().await?, &name).await?;
    let role = own(found, &name)?;
    must_have(&caller, permissions.union(role.permissions()))?;
    let mut entry = caller.does(Action::Change, format!("role {name}"));
    entry.reason = fields::given(&[("permissions", Told::permissions(Some(permissions)))]);
    let at = app.services.clock.now();
    let after = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let after = roles::change(tx, role.name(), permissions).await?;
            audit::record(tx, &entry, at).await?;
            Ok::<_, CatalogError>(after)
        })
    });
    after
        .await??
        .map(|role| Json(role.into()))
        .ok_or_else(|| unknown(&name))
}

/// `DELETE /roles/{name}`, as long as nobody has it.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<NoContent, Problem> {
    let found = roles::find(&mut app.services.database.read().await?, &name).await?;
    let role = own(found, &name)?;
    let entry = caller.does(Action::Delete, format!("role {name}"));
    let at = app.services.clock.now();
    let deleted = app.services.database.transact(move |tx| {
        Box::pin(async move {
            if !roles::delete(tx, role.name()).await? {
                return Err(match roles::uses(tx, role.name()).await? {
                    0 => unknown(role.name()),
                    uses => Problem::new(
                        Kind::DoesNotFit,
                        format!("role {role} is given by {uses} grants; take them back first"),
                    ),
                });
            }
            Ok(audit::record(tx, &entry, at).await?)
        })
    });
    deleted.await??;
    Ok(NoContent)
}

/// The role, if it was made here.
fn own(found: Option<NamedRole>, name: &str) -> Result<NamedRole, Problem> {
    let role = found.ok_or_else(|| unknown(name))?;
    if role.built_in().is_some() {
        let text = format!("role {name} is built in and never changes; make one of your own");
        return Err(Problem::new(Kind::DoesNotFit, text));
    }
    Ok(role)
}

fn must_have(caller: &Caller, permissions: PermissionSet) -> Result<(), Problem> {
    let lacking = permissions.without(caller.permissions_everywhere());
    match lacking.iter().next() {
        None => Ok(()),
        Some(permission) => {
            let text =
                format!("the role gives `{permission}`, which you do not have everywhere yourself");
            Err(Problem::new(Kind::NotAllowed, text))
        }
    }
}

fn unknown(name: &str) -> Problem {
    Problem::not_found(format!("role {name}"))
}
