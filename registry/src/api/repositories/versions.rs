//! `/repositories/{id}/versions`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use storage::catalog::versions::{self, Contents, Version};
use storage::{Digest, Tag};

use super::visible;
use crate::api::caller::Caller;
use crate::api::page::{Page, Wanted};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

/// A version as REST shows it.
#[derive(Debug, Serialize)]
pub(in crate::api) struct Shown {
    number: i64,
    created_at: String,
    task_id: String,
    cause: String,
    added: Names,
    removed: Names,
    published_in: Vec<String>,
}

/// What a version added or removed. A tag that moved is in both.
#[derive(Debug, Serialize)]
struct Names {
    tags: Vec<Tag>,
    manifests: Vec<Digest>,
}

impl From<Contents> for Names {
    fn from(contents: Contents) -> Self {
        Self {
            tags: contents.tags.into_iter().map(|(tag, _)| tag).collect(),
            manifests: contents.manifests,
        }
    }
}

impl From<Version> for Shown {
    fn from(version: Version) -> Self {
        Self {
            number: version.number,
            created_at: version.created_at.to_rfc3339(),
            task_id: version.plan.to_string(),
            cause: version.cause.to_string(),
            added: version.added.into(),
            removed: version.removed.into(),
            published_in: version.published_in,
        }
    }
}

/// The newest first.
pub(in crate::api) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    wanted: Wanted,
) -> Result<Page<Shown>, Problem> {
    wanted.only_sorted_by("-number")?;
    wanted.not_searched("versions")?;
    let mut tx = app.services.database.read().await?;
    let repository = visible(&mut tx, &caller, &id).await?.id;
    let total = versions::count(&mut tx, repository).await?;
    let found = versions::list(&mut tx, repository, wanted.after()?, wanted.one_more()).await?;
    Ok(Page::of_rows(found, total, &wanted, |version| version.number).map(Shown::from))
}

/// One of them.
pub(in crate::api) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, number)): Path<(String, String)>,
) -> Result<Json<Shown>, Problem> {
    let unknown = || Problem::not_found(format!("version {number} of repository {id}"));
    let mut tx = app.services.database.read().await?;
    let repository = visible(&mut tx, &caller, &id).await?.id;
    let number: i64 = number.parse().map_err(|_| unknown())?;
    let found = versions::get(&mut tx, repository, number).await?;
    found
        .map(|version| Json(version.into()))
        .ok_or_else(unknown)
}
