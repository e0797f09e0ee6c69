//! `GET /v2/token`: a login turned into a short-lived token.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::json;
use workflows::destination::PushName;

use super::access::Caller;
use super::error::OciError;
use crate::app::App;
use crate::auth::Via;
use crate::auth::challenge;
use crate::auth::scope::{Access, RepositoryAction, Scope};

/// A token for the caller, with what they asked for cut down to what they may.
///
/// The answer has no `issued_at`: without it a client measures the lifetime by its own clock.
pub(super) async fn sign(
    caller: &Caller<'_>,
    service: Option<String>,
    scopes: Option<Vec<String>>,
) -> Result<Response, OciError> {
    let ours = challenge::service(&caller.app.config, &caller.head.headers);
    if let Some(other) = service.filter(|asked| *asked != ours) {
        return Err(OciError::Denied(format!(
            "this registry is the service `{ours}` and signs no tokens for `{other}`"
        )));
    }
    if let Via::Bearer { .. } = caller.via() {
        return Err(OciError::Denied(
            "a token is no way to get another token; show login and password".to_owned(),
        ));
    }
    let scope = match scopes {
        None => Scope::Login,
        Some(scopes) => Scope::Only(allowed(caller, &scopes).await?),
    };
    let holder = caller.holder();
    let now = caller.app.services.clock.now();
    let signed = caller
        .app
        .tokens
        .sign(holder, &ours, scope, now)
        .map_err(OciError::internal)?;
    let body = json!({
        "token": signed.token,
        "access_token": signed.token,
        "expires_in": signed.lifetime.as_secs(),
    });
    let mut response = Json(body).into_response();
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The public halves of the keys that tokens are signed with, as a JSON Web Key Set: for everyone.
pub(super) fn keys(app: &App) -> Response {
    let mut response = Json(app.tokens.public_keys()).into_response();
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/jwk-set+json"),
    );
    response
}

async fn allowed(caller: &Caller<'_>, scopes: &[String]) -> Result<Vec<Access>, OciError> {
    let mut tx = caller.app.services.database.look_up().await?;
    let mut allowed = Vec::new();
    for asked in Access::parse_all(scopes.iter().map(String::as_str)) {
        // Everybody may list what they may pull.
        if asked.is_to_catalog() {
            allowed.push(asked);
            continue;
        }
        // A name that cannot be opens nothing; the request for it will say what is wrong with it.
        let Ok(name) = asked.name.parse::<PushName>() else {
            continue;
        };
        let mut actions = Vec::new();
        for action in asked.actions {
            let may = match action {
                RepositoryAction::Pull => caller.pull_from(&mut tx, &name).await.map(drop),
                RepositoryAction::Push => caller.push_to(&mut tx, &name).await.map(drop),
                RepositoryAction::Delete => caller.delete_from(&mut tx, &name).await.map(drop),
            };
            match may {
                Ok(()) => actions.push(action),
                Err(failed @ (OciError::Internal(_) | OciError::Full)) => return Err(failed),
                Err(_) => {}
            }
        }
        if !actions.is_empty() {
            allowed.push(Access::to_repository(asked.name, actions));
        }
    }
    Ok(allowed)
}
