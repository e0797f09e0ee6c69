//! The OCI distribution API, `/v2/`.
//!
//! What it answers is one enum, [`OciRequest`]; the `match` below names who answers each.

mod access;
mod answer;
mod blobs;
mod body;
mod catalog;
mod error;
mod manifests;
mod mounts;
mod outcome;
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
use http::{HeaderValue, StatusCode};
use storage::catalog::audit::Action;
use workflows::destination::PushName;

use crate::app::App;
use crate::audit;
use crate::http::{about_repository, answered_by};
use access::Caller;
use answer::DOCKER_DISTRIBUTION_API_VERSION;
use body::Body;
use error::OciError;
use request::{OciRequest, Wanted};

/// The routes under `/v2`.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v2", any(answer_any))
        .route("/v2/", any(answer_any))
        .route("/v2/{*path}", any(answer_any))
        .with_state(app)
}

async fn answer_any(State(app): State<Arc<App>>, request: Request) -> Response {
    let mut response = answer_one(&app, request)
        .await
        .unwrap_or_else(IntoResponse::into_response);
    response.headers_mut().insert(
        DOCKER_DISTRIBUTION_API_VERSION,
        HeaderValue::from_static("registry/2.0"),
    );
    response
}

async fn answer_one(app: &App, request: Request) -> Result<Response, OciError> {
    let (head, body) = request.into_parts();
    let wanted = OciRequest::parse(&head.method, &head.uri)?;
    answered_by(wanted.route());
    let caller = Caller::of(app, &head, &wanted).await?;
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
                let (actor, from) = (caller.login(), caller.address());
                let subject = format!("repository {name}");
                audit::refused(app, actor, Action::Ask, subject, from, why.clone()).await;
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
        Wanted::ListTags(page) => tags::list(caller, name, &page).await,
        Wanted::ListReferrers(subject, wanted) => {
            referrers::list(caller, name, &subject, &wanted).await
        }
    }
}
