//! `/repositories/{id}/versions`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use engine::journal::PlanId;
use schemars::JsonSchema;
use serde::Serialize;
use storage::catalog::RepositoryId;
use storage::catalog::versions::{self, Contents, Version};
use storage::{Digest, Tag};

use super::visible;
use crate::api::answer::Located;
use crate::api::caller::Caller;
use crate::api::page::{Listed, Orders, Page, Wanted};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::time::Time;
use crate::app::App;

/// A version as REST shows it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Version")]
pub(in crate::api) struct Shown {
    /// From 1, never given again.
    number: i64,
    created_at: Time,
    /// The task that made it.
    task_id: PlanId,
    /// What made it: `push`, `delete`, `rollback` or `retention`.
    cause: String,
    added: Names,
    removed: Names,
    /// The environments that publish it.
    published_in: Vec<String>,
}

impl Located for Shown {
    const PATH: &'static str = "";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("-number");
}

/// What a version added or removed. A tag that moved is in both.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "VersionContents")]
struct Names {
    /// The names of tags.
    tags: Vec<Tag>,
    /// The digests of manifests.
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
            created_at: version.created_at.into(),
            task_id: version.plan,
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
    Path(id): Path<RepositoryId>,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let repository = visible(&mut tx, &caller, id).await?.id;
    let total = versions::count(&mut tx, repository).await?;
    let found = versions::list(&mut tx, repository, wanted.after()?, wanted.one_more()).await?;
    Ok(Page::of_rows(found, total, &wanted, |version| version.number).map(Shown::from))
}

/// One of them.
pub(in crate::api) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, number)): Path<(RepositoryId, i64)>,
) -> Result<Json<Shown>, Problem> {
    let unknown = || Problem::not_found(format!("version {number} of repository {id}"));
    let mut tx = app.services.database.read().await?;
    let repository = visible(&mut tx, &caller, id).await?.id;
    let found = versions::get(&mut tx, repository, number).await?;
    found
        .map(|version| Json(version.into()))
        .ok_or_else(unknown)
}
