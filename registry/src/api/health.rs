//! `GET /healthz` and `GET /readyz`: for whoever restarts us or sends us requests.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;

use crate::app::App;

/// Whoever asks gives up after a few seconds; a check that takes longer has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Serialize)]
pub(super) struct Healthy {
    status: &'static str,
}

/// The process answers.
pub(super) async fn healthz() -> Json<Healthy> {
    Json(Healthy { status: "ok" })
}

#[derive(Serialize)]
pub(super) struct Readiness {
    status: &'static str,
    /// `ok`, or what is missing.
    database: String,
    content: String,
    allow_drills: bool,
}

/// Pushes would work: the database takes a write, the content folder is there.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, Json<Readiness>) {
    let (database, content) = tokio::join!(within(database(&app)), within(content(&app)));
    let ready = database.is_ok() && content.is_ok();
    let readiness = Readiness {
        status: if ready { "ready" } else { "not ready" },
        database: word(database),
        content: word(content),
        allow_drills: app.config.allow_drills,
    };
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness))
}

async fn within(check: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let ended = tokio::time::timeout(CHECK_TIMEOUT, check).await;
    ended.unwrap_or_else(|_| Err(format!("no answer within {} s", CHECK_TIMEOUT.as_secs())))
}

fn word(checked: Result<(), String>) -> String {
    checked.map_or_else(|missing| missing, |()| "ok".to_owned())
}

/// Goes the whole way of a write: queue, transaction, commit.
async fn database(app: &App) -> Result<(), String> {
    let nothing = app
        .services
        .database
        .transact(|_| Box::pin(async { Ok::<(), std::convert::Infallible>(()) }));
    nothing.await.map(|_| ()).map_err(|error| error.to_string())
}

/// The folder is there, and it is ours: a file system that was unmounted leaves an empty one.
async fn content(app: &App) -> Result<(), String> {
    let mark = app.config.content_dir.join("instance");
    match tokio::fs::read(&mark).await {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{} cannot be read: {error}", mark.display())),
    }
}
