//! `/api/v1/mirror/sync` at the proxy: its main server tells it to come, and asks how far it is.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::request::Parts;
use serde_json::json;
use uuid::Uuid;
use workflows::mirror::Mirror;
use workflows::mirror::wire::{ROOT, State as SyncState, Sync};
use workflows::secret;

use crate::app::App;

/// A sync names some hundred repositories, each with some hundred bytes.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// The routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    let routes = Router::new()
        .route(
            "/sync",
            post(begin).layer(DefaultBodyLimit::max(MOST_BYTES)),
        )
        .route("/sync/{id}", get(ask));
    Router::new()
        .nest(ROOT, routes)
        .fallback(elsewhere)
        .with_state(app)
}

/// The mirror, for who has shown the secret.
struct Told(Mirror);

impl FromRequestParts<Arc<App>> for Told {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let shown = parts.headers.get(AUTHORIZATION);
        let shown = shown.and_then(|shown| shown.to_str().ok()?.strip_prefix("Bearer "));
        let shown = shown.unwrap_or_default();
        match &app.proxy {
            Some(proxy) if secret::is_same(shown, proxy.mirror.upstream().secret()) => {
                Ok(Self(proxy.mirror.clone()))
            }
            Some(_) | None => {
                let detail = "that is not the secret of this smart proxy";
                Err((StatusCode::UNAUTHORIZED, Json(json!({ "detail": detail }))).into_response())
            }
        }
    }
}

async fn begin(Told(mirror): Told, Json(sync): Json<Sync>) -> Json<SyncState> {
    Json(mirror.sync_for_a_moment(sync).await)
}

async fn ask(Told(mirror): Told, Path(id): Path<Uuid>) -> Response {
    if let Some(state) = mirror.state(id) {
        return Json(state).into_response();
    }
    let detail = "this smart proxy knows of no such sync; tell it again";
    (StatusCode::NOT_FOUND, Json(json!({ "detail": detail }))).into_response()
}

/// Everything else of REST is its main server's.
async fn elsewhere(State(app): State<Arc<App>>, uri: http::Uri) -> Response {
    let main = app
        .proxy
        .as_ref()
        .map(|proxy| proxy.mirror.upstream().url().to_owned());
    let detail = format!(
        "there is no {} at a smart proxy; ask its main server, {}",
        uri.path(),
        main.unwrap_or_default()
    );
    (StatusCode::NOT_FOUND, Json(json!({ "detail": detail }))).into_response()
}
