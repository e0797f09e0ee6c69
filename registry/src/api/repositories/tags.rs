//! `/repositories/{id}/tags`: what Library publishes.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use engine::clock::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use storage::catalog::images::Seen;
use storage::catalog::repositories::RepositoryRow;
use storage::catalog::smart_proxies::contents;
use storage::catalog::{CatalogError, RepositoryId, images, touched, versions};
use storage::{Digest, Tag, Tx};

use super::{pushed_name, visible};
use crate::api::answer::Located;
use crate::api::caller::Caller;
use crate::api::page::{Listed, Orders, Page, Wanted};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::time::Time;
use crate::app::App;

/// A tag as REST shows it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Tag")]
pub(in crate::api) struct Shown {
    name: Tag,
    digest: Digest,
    media_type: Option<String>,
    /// What it was read as; null before it was indexed.
    kind: Option<String>,
    /// What it runs on, as `linux/amd64`.
    platforms: Vec<String>,
    /// Of the manifest and all it consists of; null before it was indexed.
    size_bytes: Option<u64>,
    /// The labels of its config.
    labels: BTreeMap<String, String>,
    /// When it was built, as its config says it.
    created: Option<String>,
    /// When it was pulled last, by its name or by its digest, from wherever the repository is pulled; null: never, as far as is known.
    /// Pulls within five minutes count as one.
    last_pulled_at: Option<Time>,
    /// What is wrong with it for people; it is kept byte for byte all the same.
    warning: Option<String>,
    /// Commands that pull it.
    pull: Vec<String>,
    /// What each smart proxy of Library has of it; only where one tag is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    smart_proxies: Option<Vec<AtProxy>>,
}

/// What a smart proxy has of a tag.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "TagAtSmartProxy")]
pub(in crate::api) struct AtProxy {
    /// The proxy's name.
    name: String,
    /// `current`: it points there to the same; `older`: to something else; `missing`: the proxy does not have it.
    state: &'static str,
    /// What it points to there, as far as the version that the proxy has is kept.
    digest: Option<Digest>,
}

impl Located for Shown {
    const PATH: &'static str = "";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("name");
}

impl Shown {
    fn of(
        app: &App,
        row: &RepositoryRow,
        (name, digest): (Tag, Digest),
        seen: Option<&Seen>,
        written: Option<Timestamp>,
    ) -> Self {
        let last_pulled_at = app.pulls.last(row.id.into(), &name, &digest).max(written);
        let image = seen.and_then(|seen| seen.image.clone());
        let pull = format!(
            "podman pull {}/{}:{name}",
            app.config.host(),
            pushed_name(row)
        );
        let shown = Self {
            name,
            digest,
            media_type: seen.map(|seen| seen.media_type.clone()),
            kind: None,
            platforms: Vec::new(),
            size_bytes: None,
            labels: BTreeMap::new(),
            created: None,
            last_pulled_at: last_pulled_at.map(Time::from),
            warning: None,
            pull: vec![pull],
            smart_proxies: None,
        };
        match image {
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
        }
    }
}

/// In the order of their bytes.
pub(in crate::api) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<RepositoryId>,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let row = visible(&mut tx, &caller, id).await?;
    let Some(version) = row.published_version else {
        return Ok(Page::new(Vec::new(), 0, None::<String>));
    };
    let total = app.sizes.tags(&mut tx, row.id, version).await?;
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
    let digests: Vec<Digest> = page.results.iter().map(|(_, digest)| *digest).collect();
    let seen = images::seen(&mut tx, row.id.into(), &digests).await?;
    let pulls = touched::pulls(&mut tx, row.id.into(), &page.results).await?;
    Ok(page.map(|(tag, digest)| {
        let pulled = pulls.get(&tag).copied();
        Shown::of(&app, &row, (tag, digest), seen.get(&digest), pulled)
    }))
}

/// One of them.
pub(in crate::api) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, name)): Path<(RepositoryId, String)>,
) -> Result<Json<Shown>, Problem> {
    let unknown = || Problem::not_found(format!("tag {name} in repository {id}"));
    let mut tx = app.services.database.read().await?;
    let row = visible(&mut tx, &caller, id).await?;
    let tag: Tag = name.parse().map_err(|_| unknown())?;
    let version = row.published_version.ok_or_else(unknown)?;
    let digest = versions::tag(&mut tx, row.id, version, &tag)
        .await?
        .ok_or_else(unknown)?;
    let seen = images::seen(&mut tx, row.id.into(), &[digest]).await?;
    let found = [(tag, digest)];
    let pulls = touched::pulls(&mut tx, row.id.into(), &found).await?;
    let [(tag, digest)] = found;
    let pulled = pulls.get(&tag).copied();
    let smart_proxies = at_proxies(&mut tx, row.id, &tag, &digest).await?;
    let shown = Shown::of(&app, &row, (tag, digest), seen.get(&digest), pulled);
    Ok(Json(Shown {
        smart_proxies: Some(smart_proxies),
        ..shown
    }))
}

async fn at_proxies(
    tx: &mut Tx,
    repository: RepositoryId,
    tag: &Tag,
    digest: &Digest,
) -> Result<Vec<AtProxy>, CatalogError> {
    let mut all = Vec::new();
    for holder in contents::holders(tx, repository).await? {
        let there = match holder.version {
            Some(version) => versions::tag(tx, repository, version, tag).await?,
            None => None,
        };
        let state = match there {
            Some(there) if there == *digest => "current",
            Some(_) => "older",
            None => "missing",
        };
        all.push(AtProxy {
            name: holder.proxy,
            state,
            digest: there,
        });
    }
    Ok(all)
}
