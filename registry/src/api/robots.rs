//! `/robots`: users of an organization that are no people, and log in with a token as `<organization label>+<name>`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::Tx;
use storage::catalog::audit::{self, Action};
use storage::catalog::robots::{self, Robot};
use storage::catalog::users::{self, UserChanges};
use storage::catalog::{CatalogError, UserId, organizations};

use super::answer::{Created, Located, NoContent};
use super::body::Body;
use super::caller::{Caller, in_organization};
use super::fields::{self, RobotName, Told};
use super::page::{Listed, Orders, Page, Wanted};
use super::path::Path;
use super::problem::{Kind, Problem};
use super::time::Time;
use super::users as people;
use crate::app::App;
use crate::auth::personal_tokens::Secret;

/// A robot as REST shows it; its token is in the answer that gave it one, and never again.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Robot")]
pub(super) struct Shown {
    /// Its number.
    id: UserId,
    /// What it logs in with: `<organization label>+<name>`.
    login: String,
    name: String,
    /// The organization's label.
    organization: String,
    /// False: it cannot log in.
    enabled: bool,
    created_at: Time,
    /// When its token was last used, to the minute; null: never.
    last_used_at: Option<Time>,
    /// Its token, a password for Basic: only in the answer that gave it one.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl Located for Shown {
    const PATH: &'static str = "/robots/{id}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("id");
}

impl Shown {
    async fn of(tx: &mut Tx, robot: Robot) -> Result<Self, Problem> {
        let organization = organizations::get(tx, robot.organization).await?;
        Ok(Self {
            id: robot.id,
            login: robot.login,
            name: robot.name,
            organization: organization.map_or_else(String::new, |found| found.label),
            enabled: robot.enabled,
            created_at: robot.created_at.into(),
            last_used_at: robot.last_used_at.map(Into::into),
            token: None,
        })
    }
}

/// `GET /robots`: those of the organizations where the caller manages access.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let page = if caller.may_here(None) {
        let total = robots::count(&mut tx).await?;
        let found = robots::list(&mut tx, wanted.after()?, wanted.one_more()).await?;
        Page::of_rows(found, total, &wanted, |robot| robot.id)
    } else {
        let granted = caller.grants.iter();
        let mut organizations: Vec<_> = granted
            .filter_map(|grant| grant.scope.organization)
            .filter(|organization| caller.may_here(Some(&in_organization(*organization))))
            .collect();
        organizations.sort_unstable();
        organizations.dedup();
        let mut seen = Vec::new();
        for organization in organizations {
            seen.extend(robots::of(&mut tx, organization).await?);
        }
        seen.sort_by_key(|robot| robot.id);
        Page::cut(seen, &wanted, |robot| robot.id)?
    };
    let mut results = Vec::with_capacity(page.results.len());
    for robot in page.results {
        results.push(Shown::of(&mut tx, robot).await?);
    }
    Ok(Page {
        results,
        total: page.total,
        next: page.next,
    })
}

/// The body of a POST.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewRobot", example = json!({"name": "ci", "organization": "acme"}))]
pub(super) struct New {
    /// Behind the organization's label and `+`, what it logs in with.
    name: RobotName,
    /// The organization's label.
    organization: String,
}

/// `POST /robots`. The new robot may do nothing until somebody grants it a role.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(new): Body<New>,
) -> Result<Created<Shown>, Problem> {
    let found = {
        let mut tx = app.services.database.read().await?;
        organizations::find(&mut tx, &new.organization).await?
    };
    let organization = found
        .filter(|found| caller.sees_organization(found.id))
        .ok_or_else(|| {
            let text = "there is no such organization, or none that you may see";
            Problem::invalid_field("organization", text)
        })?;
    let named = format!("in organization {}", organization.label);
    caller.must_here(Some(&in_organization(organization.id)), named)?;
    let name = String::from(new.name);
    let secret = Secret::generate().map_err(|error| Problem::internal(&error))?;
    let entry = caller.does(
        Action::Create,
        format!("robot {}+{name}", organization.label),
    );
    let (at, sha256) = (app.services.clock.now(), secret.sha256);
    let created = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let created = robots::create(tx, &organization, &name, sha256, at).await?;
            audit::record(tx, &entry, at).await?;
            Shown::of(tx, created).await
        })
    });
    Ok(Created(Shown {
        token: Some(secret.shown.expose_secret().to_owned()),
        ..created.await??
    }))
}

/// `GET /robots/{id}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let robot = visible(&mut tx, &caller, id).await?;
    Ok(Json(Shown::of(&mut tx, robot).await?))
}

/// The body of a PATCH.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "RobotChanges", example = json!({"renew_token": true}))]
pub(super) struct Changes {
    /// False: it cannot log in.
    enabled: Option<bool>,
    /// The answer holds a new token; the one before does not count any more.
    renew_token: bool,
}

/// `PATCH /robots/{id}`.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<UserId>,
    Body(changes): Body<Changes>,
) -> Result<Json<Shown>, Problem> {
    let robot = {
        let mut tx = app.services.database.read().await?;
        let robot = visible(&mut tx, &caller, id).await?;
        people::must_outrank(&mut tx, &caller, robot.id, &robot.login).await?;
        robot
    };
    if changes.renew_token && robot.id == caller.user.id {
        let text = "a robot does not renew its own token: who finds one would keep it for ever";
        return Err(Problem::new(Kind::NotAllowed, text));
    }
    let secret = changes
        .renew_token
        .then(Secret::generate)
        .transpose()
        .map_err(|error| Problem::internal(&error))?;
    let mut entry = caller.does(Action::Change, format!("robot {}", robot.login));
    entry.reason = fields::given(&[
        ("enabled", Told::what(changes.enabled)),
        ("token", Told::that(secret.as_ref())),
    ]);
    let at = app.services.clock.now();
    let (number, sha256) = (robot.id, secret.as_ref().map(|secret| secret.sha256));
    let changes = UserChanges {
        enabled: changes.enabled,
        ..UserChanges::default()
    };
    let after = app.services.database.transact(move |tx| {
        Box::pin(async move {
            users::update(tx, number, &changes).await?;
            if let Some(sha256) = sha256 {
                robots::renew_token(tx, number, sha256, at).await?;
            }
            audit::record(tx, &entry, at).await?;
            robots::get(tx, number).await
        })
    });
    let after = after.await??.ok_or_else(|| unknown(id))?;
    let mut tx = app.services.database.read().await?;
    Ok(Json(Shown {
        token: secret.map(|secret| secret.shown.expose_secret().to_owned()),
        ..Shown::of(&mut tx, after).await?
    }))
}

/// `DELETE /robots/{id}`: its token does not count any more, its roles are taken back, and its name stays taken.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<NoContent, Problem> {
    let robot = {
        let mut tx = app.services.database.read().await?;
        let robot = visible(&mut tx, &caller, id).await?;
        people::must_outrank(&mut tx, &caller, robot.id, &robot.login).await?;
        robot
    };
    let entry = caller.does(Action::Delete, format!("robot {}", robot.login));
    let at = app.services.clock.now();
    let deleted = app.services.database.transact(move |tx| {
        Box::pin(async move {
            users::delete(tx, robot.id, at).await?;
            audit::record(tx, &entry, at).await?;
            Ok::<_, CatalogError>(())
        })
    });
    deleted.await??;
    Ok(NoContent)
}

/// The robot with this number, if the caller has the right of the route in its organization.
async fn visible(tx: &mut Tx, caller: &Caller, id: UserId) -> Result<Robot, Problem> {
    let found = robots::get(tx, id).await?;
    let robot = found
        .filter(|robot| caller.sees_organization(robot.organization))
        .ok_or_else(|| unknown(id))?;
    let named = format!("where robot {} is", robot.login);
    caller.must_here(Some(&in_organization(robot.organization)), named)?;
    Ok(robot)
}

fn unknown(id: UserId) -> Problem {
    Problem::not_found(format!("robot {id}"))
}
