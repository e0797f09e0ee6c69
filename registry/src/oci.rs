//! The OCI distribution API, `/v2/`.
//!
//! What it answers is one enum, [`OciRequest`]; the `match` below names who answers each.

mod access;
mod answer;
mod blobs;
mod body;
mod catalog;
mod deletes;
mod error;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod manifest_memory;
mod manifests;
mod mounts;
mod outcome;
mod proxied;
mod range;
mod referrers;
mod request;
mod tags;
#[cfg(test)]
mod tests;
mod token;
mod uploads;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::{CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use storage::catalog::audit::Action;
use workflows::destination::PushName;

use crate::app::App;
use crate::audit::{self, Refusal};
use crate::http::{about_repository, answered_by};
use crate::mirror::{self, passed_on};
use access::Caller;
pub(crate) use answer::DOCKER_DISTRIBUTION_API_VERSION;
use body::Body;
pub(crate) use error::OciError;
pub(crate) use manifest_memory::ManifestMemory;
use proxied::Way;
use request::{OciRequest, Wanted};
pub(crate) use token::introspect;

/// The routes under `/v2`.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v2", any(answer_any))
        .route("/v2/", any(answer_any))
        .route("/v2/{*path}", any(answer_any))
        .with_state(app)
}

async fn answer_any(State(app): State<Arc<App>>, request: Request) -> Response {
    let is_head = request.method() == Method::HEAD;
    let answered = answer_one(&app, request).await;
    match &answered {
        Ok(response) if response.status() == StatusCode::CREATED => app.full_disk.note_success(),
        Err(OciError::Full) => app.full_disk.note_refusal(),
        Ok(_) | Err(_) => {}
    }
    let mut response = match answered {
        Ok(response) => response,
        // Such a HEAD begins a push, and a client that is told 400 without a text ends there. With 404 it goes on to the
        // POST, whose answer says what is wrong with the name.
        Err(OciError::Name(_)) if is_head => StatusCode::NOT_FOUND.into_response(),
        Err(error) => error.into_response(),
    };
    response.headers_mut().insert(
        DOCKER_DISTRIBUTION_API_VERSION,
        HeaderValue::from_static("registry/2.0"),
    );
    // Whoever may push decides what content says it is: no browser shall take it for a page of ours.
    response
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response.headers_mut().insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
    response
}

async fn answer_one(app: &App, request: Request) -> Result<Response, OciError> {
    let (mut head, body) = request.into_parts();
    let wanted = OciRequest::parse(&head.method, &head.uri)?;
    answered_by(wanted.route());
    let Some(proxy) = &app.proxy else {
        passed_on::recognize(app, &mut head).await?;
        return answer_here(app, &head, wanted, body).await;
    };
    proxy.name(&mut head)?;
    match proxied::way_of(app, proxy, &head, &wanted).await? {
        Way::Here => {}
        Way::Nowhere => return Ok(StatusCode::OK.into_response()),
        Way::On { writes } => {
            let (passed, body) = proxied::parted(&wanted, body);
            let answered = mirror::pass_on(app, proxy, &head, passed, writes).await;
            let is_down = matches!(answered, Err(OciError::MainServerDown { .. }));
            if let Some(body) = body.filter(|_| is_down) {
                return answer_held(app, proxy, &head, wanted, body).await;
            }
            return match wanted {
                OciRequest::Catalog(_) => proxied::only_what_is_held(app, answered?).await,
                OciRequest::Version
                | OciRequest::Token { .. }
                | OciRequest::TokenKeys
                | OciRequest::Repository { .. } => answered,
            };
        }
    }
    answer_held(app, proxy, &head, wanted, body).await
}

/// What a smart proxy answers from what it holds.
async fn answer_held(
    app: &App,
    proxy: &mirror::Proxy,
    head: &Parts,
    wanted: OciRequest,
    body: axum::body::Body,
) -> Result<Response, OciError> {
    let begins_a_push = proxied::begins_a_push(proxy, head, &wanted);
    match answer_here(app, head, wanted, body).await {
        Err(OciError::Unauthorized { .. }) if begins_a_push => {
            Ok(StatusCode::NOT_FOUND.into_response())
        }
        Err(error) => Err(proxied::not_held(app, proxy, error).await),
        answered => answered,
    }
}

async fn answer_here(
    app: &App,
    head: &Parts,
    wanted: OciRequest,
    body: axum::body::Body,
) -> Result<Response, OciError> {
    let caller = Caller::of(app, head, &wanted).await?;
    match wanted {
        OciRequest::TokenKeys => Ok(token::keys(app)),
        OciRequest::Version => caller
            .has_shown_something()
            .map(|()| StatusCode::OK.into_response()),
        OciRequest::Token { service, scopes } => token::sign(&caller, service, scopes).await,
        OciRequest::Catalog(page) => catalog::list(&caller, &page).await,
        OciRequest::Repository { name, wanted } => {
            about_repository(name.as_str());
            let body = Body::new(body, &head.headers, app.config.body_idle_timeout);
            let answered = answer_in(&caller, &name, wanted, body).await;
            if let Err(OciError::Denied(why)) = &answered {
                let refusal = Refusal {
                    actor: caller.login().to_owned(),
                    action: Action::Ask,
                    subject: format!("repository {name}"),
                    task: None,
                    alike: None,
                    from: caller.address(),
                    reason: why.clone(),
                };
                audit::refused(app, refusal).await;
            }
            answered
        }
    }
}

async fn answer_in(
    caller: &Caller<'_>,
    name: &PushName,
    wanted: Wanted,
    body: Body,
) -> Result<Response, OciError> {
    match wanted {
        Wanted::DeleteBlob(digest) => blobs::delete(caller, name, &digest).await,
        Wanted::HeadBlob(digest) => blobs::head(caller, name, &digest).await,
        Wanted::GetBlob(digest) => blobs::get(caller, name, &digest).await,
        Wanted::StartUpload(start) => uploads::start(caller, name, start, body).await,
        Wanted::UploadStatus(upload) => uploads::status(caller, name, upload).await,
        Wanted::AppendUpload(upload) => uploads::append(caller, name, upload, body).await,
        Wanted::FinishUpload(upload, digest) => {
            uploads::finish(caller, name, upload, &digest, body).await
        }
        Wanted::CancelUpload(upload) => uploads::cancel(caller, name, upload).await,
        Wanted::HeadManifest(reference) | Wanted::GetManifest(reference) => {
            manifests::get(caller, name, &reference).await
        }
        Wanted::PutManifest(reference) => manifests::put(caller, name, reference, body).await,
        Wanted::TagManifest(digest, tags) => {
            manifests::put_with_tags(caller, name, digest, tags, body).await
        }
        Wanted::DeleteManifest(reference) => deletes::delete(caller, name, reference).await,
        Wanted::ListTags(page) => tags::list(caller, name, &page).await,
        Wanted::ListReferrers(subject, wanted) => {
            referrers::list(caller, name, &subject, &wanted).await
        }
    }
}
