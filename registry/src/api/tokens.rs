//! `/tokens`: one's own personal tokens.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use chrono::DateTime;
use engine::clock::Timestamp;
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::Tx;
use storage::catalog::audit::{self, Action};
use storage::catalog::roles::{Permission, PermissionSet};
use storage::catalog::tokens::{self, NewToken, Token};
use storage::catalog::{CatalogError, TokenId, settings};

use super::answer::{Created, Located, NoContent};
use super::body::Body;
use super::caller::Caller;
use super::fields::{self, Name, Told};
use super::page::{Listed, Orders, Page, Wanted};
use super::path::Path;
use super::problem::Problem;
use super::time::Time;
use crate::app::App;
use crate::auth::personal_tokens::Secret;

const DAY: Duration = Duration::from_hours(24);

/// The end of the year 9999: later times have no form in RFC 3339.
const LAST: Timestamp = Timestamp(253_402_300_799_999);

/// A token as REST shows it; the token itself is in the answer that made it, and never again.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Token")]
pub(super) struct Shown {
    /// Its number.
    id: TokenId,
    name: String,
    /// What it gives at most; null: whatever its user may.
    scope: Option<PermissionSet>,
    created_at: Time,
    /// When it ends; null: never.
    expires_at: Option<Time>,
    /// When it was last used, to the minute; null: never.
    last_used_at: Option<Time>,
    /// The token, a password for Basic: only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl Located for Shown {
    const PATH: &'static str = "/tokens/{id}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("id");
}

impl From<Token> for Shown {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            name: token.name,
            scope: token.scope,
            created_at: token.created_at.into(),
            expires_at: token.expires_at.map(Into::into),
            last_used_at: token.last_used_at.map(Into::into),
            token: None,
        }
    }
}

/// `GET /tokens`; for a token that gives nothing, only itself.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    if !caller.sees_own() {
        let itself = match caller.token {
            Some(id) => tokens::get(&mut tx, id).await?,
            None => None,
        };
        let itself = itself.into_iter().collect();
        return Ok(Page::cut(itself, &wanted, |token| token.id)?.map(Shown::from));
    }
    let total = tokens::count(&mut tx, caller.user.id).await?;
    let found = tokens::list(&mut tx, caller.user.id, wanted.after()?, wanted.one_more()).await?;
    Ok(Page::of_rows(found, total, &wanted, |token| token.id).map(Shown::from))
}

/// The body of a POST.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewToken", example = json!({"name": "laptop", "scope": ["pull", "push"]}))]
pub(super) struct New {
    /// What its user calls it.
    name: Name,
    /// When it ends, by RFC 3339: a time to come, and not later than the setting `personal_token_max_days` allows.
    #[schemars(extend("format" = "date-time"))]
    expires_at: Option<String>,
    /// What it gives at most; whatever its user may unless given.
    scope: Option<Vec<Permission>>,
}

/// `POST /tokens`. A token makes no other token: what can be done with one ends with it.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(new): Body<New>,
) -> Result<Created<Shown>, Problem> {
    caller.must_have_shown_a_password("making a token")?;
    let at = app.services.clock.now();
    let expires_at = {
        let mut tx = app.services.database.read().await?;
        expires_at(&mut tx, new.expires_at.as_deref(), at).await?
    };
    let secret = Secret::generate().map_err(|error| Problem::internal(&error))?;
    let new = NewToken {
        user: caller.user.id,
        name: new.name.into(),
        secret_sha256: secret.sha256,
        scope: new.scope.map(PermissionSet::from),
        expires_at,
    };
    let mut entry = caller.does(
        Action::Create,
        format!("token {} of user {}", new.name, caller.user.login),
    );
    entry.reason = fields::given(&[
        ("scope", Told::permissions(new.scope)),
        ("expires_at", Told::what(new.expires_at)),
    ]);
    let created = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let created = tokens::create(tx, &new, at).await?;
            audit::record(tx, &entry, at).await?;
            Ok::<_, CatalogError>(created)
        })
    });
    Ok(Created(Shown {
        token: Some(secret.shown.expose_secret().to_owned()),
        ..Shown::from(created.await??)
    }))
}

/// When a new token ends: a time to come, and not later than the setting `personal_token_max_days` allows.
async fn expires_at(
    tx: &mut Tx,
    asked: Option<&str>,
    now: Timestamp,
) -> Result<Option<Timestamp>, Problem> {
    let wrong = |message: String| Problem::invalid_field("expires_at", message);
    let end = match asked {
        None => None,
        Some(text) => {
            let end = DateTime::parse_from_rfc3339(text).map_err(|error| {
                wrong(format!(
                    "is not a time: {error}; write for example \"2030-01-31T12:00:00Z\""
                ))
            })?;
            Some(Timestamp(end.timestamp_millis()))
        }
    };
    if end.is_some_and(|end| end <= now) {
        return Err(wrong("must be a time to come".to_owned()));
    }
    // A leap second at the end of the last year that RFC 3339 can write.
    if end.is_some_and(|end| end > LAST) {
        return Err(wrong(format!("must not be later than {LAST}")));
    }
    let Some(days) = settings::personal_token_max_days(tx).await? else {
        return Ok(end);
    };
    let latest = now + DAY.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX));
    match end {
        Some(end) if end <= latest => Ok(Some(end)),
        Some(_) | None => Err(wrong(format!(
            "must be given and not later than {latest}: tokens count at most {days} days here"
        ))
        .with("latest", json!(latest.to_rfc3339()))),
    }
}

/// `GET /tokens/{id}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<TokenId>,
) -> Result<Json<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    Ok(Json(own(&mut tx, &caller, id).await?.into()))
}

/// `DELETE /tokens/{id}`: revoked at once, with all tokens of `/v2/token` that were got with it.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<TokenId>,
) -> Result<NoContent, Problem> {
    let token = own(&mut app.services.database.read().await?, &caller, id).await?;
    // A token ends itself, as `wharfinger logout` has it; another one takes more than a token.
    if caller.token != Some(token.id) {
        caller.must_have_shown_a_password("revoking another token")?;
    }
    let entry = caller.does(
        Action::Delete,
        format!("token {} of user {}", token.name, caller.user.login),
    );
    let at = app.services.clock.now();
    let deleted = app.services.database.transact(move |tx| {
        Box::pin(async move {
            tokens::delete(tx, token.id).await?;
            audit::record(tx, &entry, at).await
        })
    });
    deleted.await??;
    Ok(NoContent)
}

async fn own(tx: &mut Tx, caller: &Caller, id: TokenId) -> Result<Token, Problem> {
    let unknown = || Problem::not_found(format!("token {id}"));
    let found = tokens::get(tx, id).await?;
    found
        .filter(|token| token.user == caller.user.id)
        .ok_or_else(unknown)
}
