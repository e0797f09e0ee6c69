//! `/repositories/{id}/tags`: what Library publishes.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use storage::catalog::repositories::RepositoryRow;
use storage::catalog::{images, manifests, versions};
use storage::{Digest, Tag, Tx};

use super::{pushed_name, visible};
use crate::api::caller::Caller;
use crate::api::page::{Page, Wanted};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

/// A tag as REST shows it.
#[derive(Debug, Serialize)]
pub(in crate::api) struct Shown {
    name: Tag,
    digest: Digest,
    media_type: Option<String>,
    kind: Option<String>,
    platforms: Vec<String>,
    size_bytes: Option<u64>,
    labels: BTreeMap<String, String>,
    created: Option<String>,
    warning: Option<String>,
    /// Commands that pull it.
    pull: Vec<String>,
}

impl Shown {
    async fn of(
        tx: &mut Tx,
        app: &App,
        row: &RepositoryRow,
        name: Tag,
        digest: Digest,
    ) -> Result<Self, Problem> {
        let manifest = manifests::get(tx, &digest).await?;
        let image = images::get(tx, &digest).await?;
        let pull = format!(
            "podman pull {}/{}:{name}",
            app.config.host(),
            pushed_name(row)
        );
        let shown = Self {
            name,
            digest,
            media_type: manifest.map(|manifest| manifest.media_type),
            kind: None,
            platforms: Vec::new(),
            size_bytes: None,
            labels: BTreeMap::new(),
            created: None,
            warning: None,
            pull: vec![pull],
        };
        Ok(match image {
            None => shown,
            Some(image) => Self {
                kind: Some(image.kind.to_string()),
                platforms: image.platforms,
                size_bytes: Some(image.size_bytes),
                labels: image.labels,
                created: image.created,
                warning: image.warning,
                ..shown
            },
        })
    }
}

/// In the order of their bytes.
pub(in crate::api) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    wanted: Wanted,
) -> Result<Page<Shown>, Problem> {
    wanted.only_sorted_by("name")?;
    wanted.not_searched("tags")?;
    let mut tx = app.services.database.read().await?;
    let row = visible(&mut tx, &caller, &id).await?;
    let Some(version) = row.published_version else {
        return Ok(Page::new(Vec::new(), 0, None::<String>));
    };
    let total = versions::count_tags(&mut tx, row.id, version).await?;
    let after: Option<String> = wanted.after()?;
    let found = versions::tags(
        &mut tx,
        row.id,
        version,
        after.as_deref(),
        wanted.one_more(),
    )
    .await?;
    let page = Page::of_rows(found, total, &wanted, |(tag, _)| tag.to_string());
    let mut shown = Vec::with_capacity(page.results.len());
    for (tag, digest) in page.results {
        shown.push(Shown::of(&mut tx, &app, &row, tag, digest).await?);
    }
    Ok(Page {
        results: shown,
        total: page.total,
        next: page.next,
    })
}

/// One of them.
pub(in crate::api) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
) -> Result<Json<Shown>, Problem> {
    let unknown = || Problem::not_found(format!("tag {name} in repository {id}"));
    let mut tx = app.services.database.read().await?;
    let row = visible(&mut tx, &caller, &id).await?;
    let tag: Tag = name.parse().map_err(|_| unknown())?;
    let version = row.published_version.ok_or_else(unknown)?;
    let digest = versions::tag(&mut tx, row.id, version, &tag)
        .await?
        .ok_or_else(unknown)?;
    Ok(Json(Shown::of(&mut tx, &app, &row, tag, digest).await?))
}
