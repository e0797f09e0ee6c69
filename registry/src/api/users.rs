//! `/users`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::Tx;
use storage::catalog::audit::{self, Action};
use storage::catalog::grants;
use storage::catalog::users::{self, NewUser, User, UserChanges};
use storage::catalog::{CatalogError, UserId};

use super::answer::{Created, Located, NoContent};
use super::body::Body;
use super::caller::Caller;
use super::fields::{self, Login, Name, NameOrNone, Password, Told};
use super::grants as grants_api;
use super::page::{Listed, Orders, Page, Wanted};
use super::path::Path;
use super::problem::{Kind, Problem};
use super::time::Time;
use crate::app::App;
use crate::auth::passwords::{self, PasswordError};

/// A user as REST shows him.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "User")]
pub(super) struct Shown {
    /// Their number.
    id: UserId,
    /// What they log in with; never changes and is never given to anybody else.
    login: String,
    /// What people call them.
    name: String,
    email: Option<String>,
    /// False: they cannot log in, and their tokens do not count.
    enabled: bool,
    created_at: Time,
}

impl Located for Shown {
    const PATH: &'static str = "/users/{login}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("id");
}

impl From<User> for Shown {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            login: user.login,
            name: user.name,
            email: user.email,
            enabled: user.enabled,
            created_at: user.created_at.into(),
        }
    }
}

/// `GET /users`: all of them for who manages access, else oneself.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    if !caller.may_here(None) {
        return Ok(Page::cut(vec![caller.user], &wanted, |user| user.id)?.map(Shown::from));
    }
    let mut tx = app.services.database.read().await?;
    let total = users::count(&mut tx).await?;
    let found = users::list(&mut tx, wanted.after()?, wanted.one_more()).await?;
    Ok(Page::of_rows(found, total, &wanted, |user| user.id).map(Shown::from))
}

/// `GET /users/me`.
pub(super) async fn me(caller: Caller) -> Json<Shown> {
    Json(caller.user.into())
}

/// `GET /users/{login}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(login): Path<String>,
) -> Result<Json<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    Ok(Json(visible(&mut tx, &caller, &login).await?.into()))
}

/// The body of a POST.
#[derive(JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewUser", example = json!({"login": "ana", "password": "correct horse battery staple", "name": "Ana"}))]
pub(super) struct New {
    /// What they log in with; never changes.
    login: Login,
    /// At most 1024 bytes; kept hashed.
    password: Password,
    /// What people call them; the login unless given.
    name: Option<Name>,
    email: Option<Name>,
    /// True unless given.
    enabled: Option<bool>,
}

/// `POST /users`. The new user may do nothing until somebody grants a role.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(new): Body<New>,
) -> Result<Created<Shown>, Problem> {
    let login = String::from(new.login);
    let new = NewUser {
        name: new.name.map_or_else(|| login.clone(), Into::into),
        login,
        email: new.email.map(Into::into),
        password_hash: hash(new.password).await?,
        enabled: new.enabled.unwrap_or(true),
    };
    let mut entry = caller.does(Action::Create, format!("user {}", new.login));
    let disabled = (!new.enabled).then_some(false);
    entry.reason = fields::given(&[("enabled", Told::what(disabled))]);
    let at = app.services.clock.now();
    let created = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let created = users::create(tx, &new, at).await?;
            audit::record(tx, &entry, at).await?;
            Ok::<_, CatalogError>(created)
        })
    });
    Ok(Created(created.await??.into()))
}

/// The body of a PATCH.
#[derive(Default, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "UserChanges", example = json!({"name": "Ana Maria"}))]
pub(super) struct Changes {
    /// What people call them.
    name: Option<Name>,
    /// Given empty: no email any more.
    email: Option<NameOrNone>,
    /// False: they cannot log in, and their tokens do not count. Nobody disables themselves.
    enabled: Option<bool>,
    /// At most 1024 bytes; changed only by who has logged in with a password.
    password: Option<Password>,
}

/// `PATCH /users/{login}`: oneself, but for `enabled`; all of it for who manages access and may all that the user may.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(login): Path<String>,
    Body(changes): Body<Changes>,
) -> Result<Json<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let user = visible(&mut tx, &caller, &login).await?;
    let oneself = user.id == caller.user.id;
    if !oneself || changes.enabled.is_some() {
        caller.must_here(None, "everywhere")?;
    }
    if !oneself {
        must_outrank(&mut tx, &caller, user.id, &user.login).await?;
    }
    drop(tx);
    if oneself && changes.enabled == Some(false) {
        let text = "you cannot disable yourself; another administrator can";
        return Err(Problem::new(Kind::DoesNotFit, text));
    }
    if oneself {
        caller.must_stand_for_the_whole_user("changing oneself")?;
    }
    if changes.password.is_some() {
        caller.must_have_shown_a_password("changing a password")?;
    }
    let mut entry = caller.does(Action::Change, format!("user {}", user.login));
    // The audit never forgets, so that what is personal does not stand in it.
    entry.reason = fields::given(&[
        ("name", Told::that(changes.name.as_ref())),
        ("email", Told::that(changes.email.as_ref())),
        ("enabled", Told::what(changes.enabled)),
        ("password", Told::that(changes.password.as_ref())),
    ]);
    let password_hash = match changes.password {
        Some(password) => Some(hash(password).await?),
        None => None,
    };
    let changes = UserChanges {
        name: changes.name.map(Into::into),
        email: changes.email.map(Into::into),
        enabled: changes.enabled,
        password_hash,
    };
    let at = app.services.clock.now();
    let after = app.services.database.transact(move |tx| {
        Box::pin(async move {
            if changes.enabled == Some(false) {
                must_leave_an_administrator(tx, user.id).await?;
            }
            let after = users::update(tx, user.id, &changes).await?;
            audit::record(tx, &entry, at).await?;
            Ok::<_, Problem>(after)
        })
    });
    after
        .await??
        .map(|after| Json(after.into()))
        .ok_or_else(|| unknown(&login))
}

/// `DELETE /users/{login}`: with all roles and tokens. Tasks and audit go on naming the login, which nobody is given again.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(login): Path<String>,
) -> Result<NoContent, Problem> {
    let mut tx = app.services.database.read().await?;
    let user = visible(&mut tx, &caller, &login).await?;
    if user.id == caller.user.id {
        let text = "you cannot delete yourself; another administrator can";
        return Err(Problem::new(Kind::DoesNotFit, text));
    }
    must_outrank(&mut tx, &caller, user.id, &user.login).await?;
    drop(tx);
    let entry = caller.does(Action::Delete, format!("user {}", user.login));
    let at = app.services.clock.now();
    let deleted = app.services.database.transact(move |tx| {
        Box::pin(async move {
            must_leave_an_administrator(tx, user.id).await?;
            users::delete(tx, user.id, at).await?;
            Ok::<_, Problem>(audit::record(tx, &entry, at).await?)
        })
    });
    deleted.await??;
    Ok(NoContent)
}

/// Refused if nobody would be left who has the role `admin` everywhere: a role made here does not count, because it changes.
async fn must_leave_an_administrator(tx: &mut Tx, without: UserId) -> Result<(), Problem> {
    if grants_api::administrator_besides(tx, without).await? {
        return Ok(());
    }
    let text = "this is the last administrator; give another user the role `admin` first";
    Err(Problem::new(Kind::DoesNotFit, text))
}

/// Refused if that user or robot may do something somewhere that the caller may not do there: with their password, their
/// token or their end, the caller would get or take more than they have.
pub(super) async fn must_outrank(
    tx: &mut Tx,
    caller: &Caller,
    other: UserId,
    login: &str,
) -> Result<(), Problem> {
    for grant in grants::of(tx, other).await? {
        if let Some(permission) = grants_api::lacking(caller, &grant.role, &grant.scope) {
            let text = format!(
                "{login} has `{permission}` by role {}, which you do not have there yourself",
                grant.role
            );
            return Err(Problem::new(Kind::NotAllowed, text));
        }
    }
    Ok(())
}

async fn hash(password: Password) -> Result<String, Problem> {
    match passwords::hash(password.into()).await {
        Ok(hash) => Ok(hash),
        Err(error @ PasswordError::TooLong) => {
            Err(Problem::invalid_field("password", error.to_string()))
        }
        Err(error @ (PasswordError::Failed(_) | PasswordError::NotYet(_))) => {
            Err(Problem::internal(&error))
        }
    }
}

async fn visible(tx: &mut Tx, caller: &Caller, login: &str) -> Result<User, Problem> {
    let found = users::find(tx, login).await?;
    let seen = found.filter(|user| {
        user.robot_of.is_none() && (user.id == caller.user.id || caller.may_here(None))
    });
    seen.ok_or_else(|| unknown(login))
}

fn unknown(login: &str) -> Problem {
    Problem::not_found(format!("user {login}"))
}
