//! `GET /v2/token`: a login turned into a short-lived token.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Request};
use serde_json::json;
use workflows::destination::PushName;
use workflows::mirror::wire::Counts;

use super::access::Caller;
use super::error::OciError;
use super::request::OciRequest;
use crate::app::App;
use crate::auth::Via;
use crate::auth::challenge::{self, KnownAs};
use crate::auth::scope::{Access, RepositoryAction, Scope};

/// A token for the caller, with what they asked for cut down to what they may.
///
/// The answer has no `issued_at`: without it a client measures the lifetime by its own clock.
pub(super) async fn sign(
    caller: &Caller<'_>,
    service: Option<String>,
    scopes: Option<Vec<String>>,
) -> Result<Response, OciError> {
    let ours = challenge::service(&caller.app.config, caller.head);
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
    judged(caller, Access::parse_all(scopes.iter().map(String::as_str))).await
}

/// What of this the caller may.
pub(super) async fn judged(
    caller: &Caller<'_>,
    asked: Vec<Access>,
) -> Result<Vec<Access>, OciError> {
    let mut tx = caller.app.services.database.look_up().await?;
    let mut allowed = Vec::new();
    for asked in asked {
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

/// What a token for this service is good for now: cut down to what its holder may still do.
pub(crate) async fn introspect(
    app: &App,
    token: &str,
    service: String,
) -> Result<Counts, OciError> {
    let nothing = Counts {
        active: false,
        access: None,
    };
    let request = Request::builder().header(AUTHORIZATION, format!("Bearer {token}"));
    let Ok(request) = request.body(()) else {
        return Ok(nothing);
    };
    let (mut head, ()) = request.into_parts();
    let origin = None;
    head.extensions.insert(KnownAs { service, origin });
    let caller = match Caller::of(app, &head, &OciRequest::Version).await {
        Ok(caller) => caller,
        Err(OciError::Unauthorized { .. }) => return Ok(nothing),
        Err(error) => return Err(error),
    };
    let access = match caller.via() {
        Via::Bearer {
            scope: Scope::Only(accesses),
            ..
        } => Some(judged(&caller, accesses.clone()).await?),
        Via::Bearer {
            scope: Scope::Login,
            ..
        }
        | Via::Anonymous
        | Via::Password
        | Via::PersonalToken => None,
    };
    let access = access.map(serde_json::to_value).transpose();
    Ok(Counts {
        active: true,
        access: access.map_err(OciError::internal)?,
    })
}
