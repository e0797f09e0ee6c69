//! `GET /healthz` and `GET /readyz`: for whoever restarts us or sends us requests.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::openapi::{Answers, Operation};
use crate::app::App;

/// Whoever asks gives up after a few seconds; a check that takes longer has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(JsonSchema, Serialize)]
#[schemars(rename = "Health")]
pub(super) struct Healthy {
    /// `ok`.
    status: &'static str,
}

/// The process answers.
pub(super) async fn healthz() -> Json<Healthy> {
    Json(Healthy { status: "ok" })
}

#[derive(JsonSchema, Serialize)]
pub(super) struct Readiness {
    /// `ready` or `not ready`.
    status: &'static str,
    /// `ok`, or what is missing.
    database: String,
    /// `ok`, or what is missing.
    content: String,
    /// Drills can be begun on this server.
    allow_drills: bool,
    #[serde(skip)]
    ready: bool,
}

/// Pushes would work: the database takes a write, the content folder is there, and no disk is full.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Readiness {
    let (database, content) = tokio::join!(within(database(&app)), within(content(&app)));
    let ready = database.is_ok() && content.is_ok();
    Readiness {
        status: if ready { "ready" } else { "not ready" },
        database: word(database),
        content: word(content),
        allow_drills: app.config.allow_drills,
        ready,
    }
}

impl IntoResponse for Readiness {
    fn into_response(self) -> Response {
        let status = if self.ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        (status, Json(self)).into_response()
    }
}

impl Answers for Readiness {
    fn answer(operation: &mut Operation) {
        operation.answers_json::<Self>(200, "Pushes would work.");
        operation.answers_json::<Self>(503, "Pushes would not work; it says what is missing.");
    }
}

async fn within(check: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let ended = tokio::time::timeout(CHECK_TIMEOUT, check).await;
    ended.unwrap_or_else(|_| Err(format!("no answer within {} s", CHECK_TIMEOUT.as_secs())))
}

fn word(checked: Result<(), String>) -> String {
    checked.map_or_else(|missing| missing, |()| "ok".to_owned())
}

/// Goes the whole way of a write: queue, transaction, commit. That writes nothing, so the disk is asked as well.
async fn database(app: &App) -> Result<(), String> {
    let nothing = app
        .services
        .database
        .transact(|_| Box::pin(async { Ok::<(), std::convert::Infallible>(()) }));
    let written = nothing.await;
    written.map(|_| ()).map_err(|error| error.to_string())?;
    app.full_disk.database.check()
}

/// The folder is there, and it is ours: a file system that was unmounted leaves an empty one. A Pulp behind it has all its parts.
async fn content(app: &App) -> Result<(), String> {
    let mark = app.config.content_dir.join("instance");
    match tokio::fs::read(&mark).await {
        Ok(_) => app.full_disk.content.check()?,
        Err(error) => return Err(format!("{} cannot be read: {error}", mark.display())),
    }
    match app.services.content.pulp() {
        Some(pulp) => pulp.check().await.map_err(|error| error.to_string()),
        None => Ok(()),
    }
}
