//! `/api/v1/mirror/…` at the main server: what its smart proxies ask. Each shows its secret as a Bearer token, and gets what it shall hold
//! and nothing else. The words are those of [`workflows::mirror::wire`].

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use storage::catalog::smart_proxies::{self, Kind, Login, SmartProxy, contents};
use storage::catalog::{
    CatalogError, EnvironmentId, RepositoryId, environments, instance, manifests, products,
    settings, versions,
};
use storage::content::ContentError;
use storage::mirror::Open;
use storage::{DatabaseError, Digest, Tx};
use uuid::Uuid;
use workflows::mirror::wire::{Lead, ROOT, Shown, Told};
use workflows::outbound::OutboundUrl;
use workflows::secret;

use crate::app::App;
use crate::oci;

/// The routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    let routes = Router::new()
        .route("/state", get(state))
        .route("/introspect", post(introspect))
        .route(
            "/environments/{environment}/repositories/{repository}",
            get(lead),
        )
        .route(
            "/repositories/{repository}/manifests/{digest}",
            get(manifest),
        )
        .route("/repositories/{repository}/blobs/{digest}", get(blob));
    Router::new().nest(ROOT, routes).with_state(app)
}

/// The proxy that asks.
struct Asking(SmartProxy);

/// Why a proxy gets nothing. It is told little: who it is stands in its secret alone.
enum Refusal {
    Stranger,
    NotFound,
    Broken(String),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, detail) = match self {
            Self::Stranger => (
                StatusCode::UNAUTHORIZED,
                "no smart proxy that is enabled here has that secret",
            ),
            // Not 404, which others say, too, who stand before this server or in its place: a proxy deletes because of it.
            Self::NotFound => (StatusCode::GONE, "this smart proxy shall not hold that"),
            Self::Broken(why) => {
                tracing::error!("a smart proxy gets no answer: {why}");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the log of the main server says why",
                )
            }
        };
        (status, Json(json!({ "detail": detail }))).into_response()
    }
}

impl From<CatalogError> for Refusal {
    fn from(error: CatalogError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<DatabaseError> for Refusal {
    fn from(error: DatabaseError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<ContentError> for Refusal {
    fn from(error: ContentError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl FromRequestParts<Arc<App>> for Asking {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let shown = parts.headers.get(AUTHORIZATION);
        let shown = shown.and_then(|shown| shown.to_str().ok()?.strip_prefix("Bearer "));
        let found = of_secret(app, shown.ok_or(Refusal::Stranger)?).await?;
        found.map(Self).ok_or(Refusal::Stranger)
    }
}

/// The enabled proxy that has this secret. All secrets are compared, each to its end: the time tells nothing of them.
pub(super) async fn of_secret(app: &App, shown: &str) -> Result<Option<SmartProxy>, CatalogError> {
    let proxies = {
        let mut tx = app.services.database.look_up().await?;
        smart_proxies::all(&mut tx).await?
    };
    let mut found = None;
    for proxy in proxies {
        let Login::Secret(secret) = &proxy.login else {
            continue;
        };
        let is_same = secret::is_same(shown, &SecretString::from(secret.clone()));
        if is_same && proxy.enabled && proxy.kind == Kind::Wharfinger {
            found = Some(proxy);
        }
    }
    Ok(found)
}

/// The service that tokens for the proxy are signed for: its host as this server writes it.
pub(super) fn service_of(proxy: &SmartProxy) -> String {
    match OutboundUrl::parse(&proxy.url) {
        Ok(url) => url.as_url().authority().to_owned(),
        Err(_) => proxy.name.clone(),
    }
}

/// `GET /state`.
async fn state(State(app): State<Arc<App>>, Asking(proxy): Asking) -> Result<Json<Told>, Refusal> {
    let mut tx = app.services.database.read().await?;
    let environments = smart_proxies::environments(&mut tx, proxy.id).await?;
    let main_server = instance::id(&mut tx).await?;
    let mut told = Told {
        main_server: main_server
            .ok_or_else(|| CatalogError::missing("instance", "its identity"))?,
        service: service_of(&proxy),
        proxy: proxy.name,
        keys: app.tokens.public_keys(),
        ..Told::default()
    };
    if settings::anonymous_pull(&mut tx).await? {
        let open = products::open(&mut tx).await?;
        told.open_products = open
            .into_iter()
            .map(|product| Open {
                id: product.id.0,
                organization: product.organization,
                label_key: product.label.to_ascii_lowercase(),
            })
            .collect();
        for id in &environments {
            told.open_environments
                .extend(open_environment(&mut tx, *id).await?);
        }
    }
    told.environments = environments;
    Ok(Json(told))
}

async fn open_environment(tx: &mut Tx, id: EnvironmentId) -> Result<Option<Open>, CatalogError> {
    let environment = environments::get(tx, id).await?;
    Ok(environment.filter(|it| it.anonymous_pull).map(|it| Open {
        id: it.id.0,
        organization: it.organization,
        label_key: it.label.to_ascii_lowercase(),
    }))
}

/// `POST /introspect`.
async fn introspect(
    State(app): State<Arc<App>>,
    Asking(proxy): Asking,
    Json(shown): Json<Shown>,
) -> Result<Response, Refusal> {
    let counts = oci::introspect(&app, &shown.token, service_of(&proxy)).await;
    let counts = counts.map_err(|error| Refusal::Broken(error.to_string()))?;
    Ok(Json(counts).into_response())
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since: i64,
    /// The plan that made that version, as far as the proxy knows.
    made_by: Option<Uuid>,
}

/// `GET /environments/{id}/repositories/{id}?since=`.
async fn lead(
    State(app): State<Arc<App>>,
    Asking(proxy): Asking,
    Path((environment, repository)): Path<(EnvironmentId, RepositoryId)>,
    Query(Since { since, made_by }): Query<Since>,
) -> Result<Json<Lead>, Refusal> {
    let place = contents::Place {
        environment,
        repository,
    };
    let mut tx = app.services.database.read().await?;
    let wanted = contents::wanted(&mut tx, proxy.id, place).await?;
    let wanted = wanted.ok_or(Refusal::NotFound)?;
    let since = match made_by {
        Some(plan) if versions::is_made_by(&mut tx, repository, since, plan).await? => since,
        Some(_) | None => 0, // it holds nothing, or something else by that number: a backup was restored here
    };
    let difference = versions::difference(&mut tx, repository, since, wanted.version).await?;
    let difference = difference.ok_or(Refusal::NotFound)?;
    Ok(Json(Lead { wanted, difference }))
}

/// `GET /repositories/{id}/manifests/{digest}`.
async fn manifest(
    State(app): State<Arc<App>>,
    Asking(proxy): Asking,
    Path((repository, digest)): Path<(RepositoryId, Digest)>,
) -> Result<Response, Refusal> {
    let mut tx = app.services.database.look_up().await?;
    must_hold(&mut tx, &proxy, repository).await?;
    let found = manifests::content(&mut tx, repository.into(), &digest).await?;
    let found = found.ok_or(Refusal::NotFound)?;
    let media_type = HeaderValue::try_from(found.media_type);
    let media_type = media_type.map_err(|error| Refusal::Broken(error.to_string()))?;
    Ok(([(CONTENT_TYPE, media_type)], found.bytes).into_response())
}

/// `GET /repositories/{id}/blobs/{digest}`: all of it, or from one byte on.
async fn blob(
    State(app): State<Arc<App>>,
    Asking(proxy): Asking,
    Path((repository, digest)): Path<(RepositoryId, Digest)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    {
        let mut tx = app.services.database.look_up().await?;
        must_hold(&mut tx, &proxy, repository).await?;
    }
    let from = first_byte(&headers);
    let range = from.map(|from| from..u64::MAX);
    let read = app
        .services
        .content
        .read_blob(repository.into(), &digest, range)
        .await?;
    let read = read.ok_or(Refusal::NotFound)?;
    let (size, range) = (read.blob.size_bytes, read.range.clone());
    let length = HeaderValue::from(range.end - range.start);
    let body = Body::from_stream(read.chunks);
    let kind = HeaderValue::from_static("application/octet-stream");
    let plain: [(HeaderName, HeaderValue); 2] = [(CONTENT_LENGTH, length), (CONTENT_TYPE, kind)];
    if from.is_none() || range.is_empty() {
        return Ok((plain, body).into_response());
    }
    let part = format!("bytes {}-{}/{size}", range.start, range.end - 1);
    let part = HeaderValue::try_from(part).map_err(|error| Refusal::Broken(error.to_string()))?;
    Ok((
        StatusCode::PARTIAL_CONTENT,
        plain,
        [(CONTENT_RANGE, part)],
        body,
    )
        .into_response())
}

/// `bytes=<first>-` is the one form that proxies ask in.
fn first_byte(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(RANGE)?.to_str().ok()?;
    range
        .strip_prefix("bytes=")?
        .strip_suffix('-')?
        .parse()
        .ok()
}

async fn must_hold(
    tx: &mut Tx,
    proxy: &SmartProxy,
    repository: RepositoryId,
) -> Result<(), Refusal> {
    if contents::shall_hold(tx, proxy.id, repository).await? {
        return Ok(());
    }
    Err(Refusal::NotFound)
}
