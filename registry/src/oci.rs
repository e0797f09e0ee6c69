//! The OCI distribution API, `/v2/`.
//!
//! What it answers is one enum, [`OciRequest`]; the `match` below names who answers each.

mod access;
mod answer;
mod blobs;
mod body;
mod error;
mod manifests;
mod outcome;
mod range;
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

use crate::app::App;
use crate::http::{about_repository, answered_by};
use access::Caller;
use answer::DOCKER_DISTRIBUTION_API_VERSION;
use body::Body;
use error::OciError;
use request::OciRequest;

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
    if let Some(name) = wanted.name() {
        about_repository(name.as_str());
    }
    let caller = Caller::of(app, &head).await?;
    let body = Body::new(body, &head.headers, app.config.body_idle_timeout);
    match wanted {
        OciRequest::Version => caller
            .has_shown_something()
            .map(|()| StatusCode::OK.into_response()),
        OciRequest::Token { service, scopes } => token::sign(&caller, service, scopes).await,
        OciRequest::HeadBlob { name, digest } => blobs::head(&caller, &name, &digest).await,
        OciRequest::GetBlob { name, digest } => blobs::get(&caller, &name, &digest).await,
        OciRequest::StartUpload { name, start } => {
            uploads::start(&caller, &name, start, body).await
        }
        OciRequest::UploadStatus { name, upload } => uploads::status(&caller, &name, upload).await,
        OciRequest::AppendUpload { name, upload } => {
            uploads::append(&caller, &name, upload, body).await
        }
        OciRequest::FinishUpload {
            name,
            upload,
            digest,
        } => uploads::finish(&caller, &name, upload, &digest, body).await,
        OciRequest::CancelUpload { name, upload } => uploads::cancel(&caller, &name, upload).await,
        OciRequest::HeadManifest { name, reference }
        | OciRequest::GetManifest { name, reference } => {
            manifests::get(&caller, &name, &reference).await
        }
        OciRequest::PutManifest { name, reference } => {
            manifests::put(&caller, &name, reference, body).await
        }
        OciRequest::ListTags { name, page } => tags::list(&caller, &name, &page).await,
    }
}
