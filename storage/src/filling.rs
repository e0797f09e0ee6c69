//! Very many rows at once, for benchmarks and tests of long lists: the rows that the journal and the catalog write one by one.
//!
//! A hundred thousand images written one by one are a million statements.

use std::io;
use std::path::Path;

use engine::clock::Timestamp;
use engine::journal::{Entry, PlanId};
use engine::store::Submission;
use sqlx::QueryBuilder;
use sqlx::query_builder::Separated;

use crate::catalog::images::Image;
use crate::catalog::manifests::{Manifest, Part};
use crate::catalog::{CatalogError, DestinationId, RepositoryId, UserId, stored_json, stored_size};
use crate::content::Blob;
use crate::content::OBJECTS_FOLDER;
use crate::content::objects::{DiskObjects, ObjectName};
use crate::intervals::Kind;
use crate::sqlite::Sqlite;
use crate::{Tag, Tx};

/// Rows of one statement: SQLite takes 32,766 values, and a row has up to fourteen.
const ROWS: usize = 1_000;

/// An image that was pushed by a tag and filed into a version of its repository.
#[derive(Clone, Debug)]
pub struct FiledImage {
    /// The repository, which has neither this manifest nor this tag yet.
    pub repository: RepositoryId,
    /// The number of the version that it is in from now on.
    pub version: i64,
    /// The plan that made this version.
    pub plan: PlanId,
    /// What it is called.
    pub tag: Tag,
    /// What was pushed.
    pub manifest: Manifest,
    /// What was read of it; no index.
    pub image: Image,
}

/// Records plans without locks, as if each were submitted: as what it was granted, not as what was queued.
pub async fn plans(tx: &mut Tx, submissions: &[Submission]) -> Result<(), CatalogError> {
    const PLANS: &str =
        "INSERT INTO plan (id, workflow, state, result, reason, organization, actor, owner,
        created_at, started_at, ended_at, paused_at, waiting, attempt)";
    const ROWS_OF_JOURNAL: &str = "INSERT INTO journal (plan_id, seq, nonce, node, at, entries)";
    const LINKS: &str = "INSERT INTO plan_link (plan_id, name, value)";
    let granted = submissions.iter().map(|it| &it.granted);
    let heads: Vec<_> = granted
        .clone()
        .filter_map(|append| Some((append.plan, append.head.as_ref()?)))
        .collect();
    insert(tx, PLANS, "", &heads, |row, (plan, head)| {
        row.push_bind(plan.0)
            .push_bind(head.workflow.clone())
            .push_bind(head.state.to_string())
            .push_bind(head.result.to_string())
            .push_bind(head.reason.map(|reason| reason.to_string()))
            .push_bind(head.organization.clone())
            .push_bind(head.actor.clone())
            .push_bind(head.owner.map(|owner| owner.0))
            .push_bind(head.created_at.0)
            .push_bind(head.started_at.map(|at| at.0))
            .push_bind(head.ended_at.map(|at| at.0))
            .push_bind(head.paused_at.map(|at| at.0))
            .push_bind(head.waits.to_words())
            .push_bind(head.attempt);
    })
    .await?;
    let rows: Vec<_> = granted.clone().collect();
    insert(tx, ROWS_OF_JOURNAL, "", &rows, |row, append| {
        row.push_bind(append.plan.0)
            .push_bind(append.row.seq)
            .push_bind(append.row.nonce)
            .push_bind(append.row.node.0)
            .push_bind(append.row.at.0)
            .push_bind(append.entries.clone());
    })
    .await?;
    let mut links = Vec::new();
    for append in granted {
        if let Some(Entry::Submitted(submitted)) = append.row.entries.first() {
            links.extend(submitted.links.iter().map(|link| (append.plan, link)));
        }
    }
    let twice = " ON CONFLICT (name, value, plan_id) DO NOTHING";
    insert(tx, LINKS, twice, &links, |row, (plan, (name, value))| {
        row.push_bind(plan.0)
            .push_bind(name.clone())
            .push_bind(value.clone());
    })
    .await
}

/// Writes down blobs that are linked nowhere, each with the object that it would have.
pub async fn unlinked_blobs(
    tx: &mut Tx,
    blobs: &[(Blob, ObjectName)],
    at: Timestamp,
) -> Result<(), CatalogError> {
    const BLOBS: &str = "INSERT INTO blobs (digest, size_bytes, object, created_at, used_at)";
    insert(tx, BLOBS, "", blobs, |row, (blob, object)| {
        row.push_bind(blob.digest.to_string())
            .push_bind(stored_size(blob.size_bytes))
            .push_bind(object.as_str().to_owned())
            .push_bind(at.0)
            .push_bind(at.0);
    })
    .await
}

/// Writes down that Pulp has what a destination has: its names there are taken, and a version has its blobs, whose bytes are no
/// longer here.
pub async fn in_pulp(tx: &mut Tx, of: DestinationId, at: Timestamp) -> Result<(), CatalogError> {
    const NAMES: &str = "
        INSERT INTO pulp_repositories (destination_id, since, newest, served) VALUES ($1, $2, 1, 1)";
    const BLOBS: &str = "
        INSERT INTO pulp_blobs (destination_id, digest, kept)
        SELECT destination_id, digest, 1 FROM blob_links WHERE destination_id = $1";
    const RELEASED: &str = "
        UPDATE blobs SET has_object = 0
        WHERE digest IN (SELECT digest FROM pulp_blobs WHERE destination_id = $1)";
    sqlx::query(NAMES)
        .bind(of)
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    for sql in [BLOBS, RELEASED] {
        sqlx::query(sql).bind(of).execute(&mut *tx).await?;
    }
    Ok(())
}

/// Writes down what the embedded backend has of a repository: the same as the catalog's versions, so that they can be brought back.
pub async fn embedded(tx: &mut Tx, of: RepositoryId) -> Result<(), CatalogError> {
    const VERSIONS: &str = "
        INSERT INTO embedded_versions (destination_id, number, plan_id, created_at)
        SELECT repository_id, backend_version, plan_id, created_at FROM versions WHERE repository_id = $1";
    const CONTENT: &str = "
        INSERT INTO embedded_content (destination_id, kind, name, digest, added, removed)
        SELECT c.repository_id, c.kind, c.name, c.digest, a.backend_version, r.backend_version
        FROM content_in c JOIN versions a ON a.repository_id = c.repository_id AND a.number = c.added
        LEFT JOIN versions r ON r.repository_id = c.repository_id AND r.number = c.removed
        WHERE c.repository_id = $1";
    for sql in [VERSIONS, CONTENT] {
        sqlx::query(sql).bind(of).execute(&mut *tx).await?;
    }
    Ok(())
}

/// Writes objects of these names and bytes into a content folder that nobody uses, and waits for no disk.
pub fn objects(content_dir: &Path, objects: &[(ObjectName, Vec<u8>)]) -> io::Result<()> {
    let store = DiskObjects::open(&content_dir.join(OBJECTS_FOLDER))?;
    objects
        .iter()
        .try_for_each(|(name, bytes)| store.fill(name, bytes))
}

/// Writes down images with their manifests and tags. The versions they are in are recorded apart from them.
pub async fn images(
    tx: &mut Tx,
    images: &[FiledImage],
    by: UserId,
    at: Timestamp,
) -> Result<(), CatalogError> {
    const MANIFESTS: &str = "INSERT INTO manifests (digest, size_bytes, bytes, created_at)";
    const PUSHED: &str =
        "INSERT INTO pushed_manifests (id, destination_id, digest, media_type, artifact_type,
        subject, annotations, pushed_by, pushed_at, filed_by_plan)";
    const PARTS: &str =
        "INSERT INTO manifest_parts (pushed_id, position, destination_id, kind, digest,
        media_type, size_bytes)";
    const IMAGES: &str =
        "INSERT INTO images (pushed_id, kind, platforms, labels, created, size_bytes, warning)";
    const CONTENT: &str = "INSERT INTO content_in (repository_id, kind, name, digest, added)";
    let kept_already = " ON CONFLICT (digest) DO NOTHING";
    insert(tx, MANIFESTS, kept_already, images, |row, it| {
        row.push_bind(it.manifest.digest.to_string())
            .push_bind(stored_size(it.manifest.bytes.len() as u64))
            .push_bind(it.manifest.bytes.to_vec())
            .push_bind(at.0);
    })
    .await?;
    let mut texts = Vec::with_capacity(images.len());
    for (id, it) in (next_pushed(tx).await?..).zip(images) {
        texts.push(Texts {
            id,
            annotations: stored_json(&it.manifest.annotations)?,
            platforms: stored_json(&it.image.platforms)?,
            labels: stored_json(&it.image.labels)?,
            of: it,
        });
    }
    insert(tx, PUSHED, "", &texts, |row, it| {
        let manifest = &it.of.manifest;
        row.push_bind(it.id)
            .push_bind(it.of.repository)
            .push_bind(manifest.digest.to_string())
            .push_bind(manifest.media_type.clone())
            .push_bind(manifest.artifact_type.clone())
            .push_bind(manifest.subject.map(|subject| subject.to_string()))
            .push_bind(it.annotations.clone())
            .push_bind(by)
            .push_bind(at.0)
            .push_bind(it.of.plan.0);
    })
    .await?;
    let parts: Vec<(i64, RepositoryId, i64, &Part)> = texts
        .iter()
        .flat_map(|it| {
            let parts = (0_i64..).zip(it.of.manifest.required());
            parts.map(|(position, part)| (it.id, it.of.repository, position, part))
        })
        .collect();
    insert(tx, PARTS, "", &parts, |row, (id, owner, position, part)| {
        row.push_bind(*id)
            .push_bind(*position)
            .push_bind(*owner)
            .push_bind(part.kind.to_string())
            .push_bind(part.digest.to_string())
            .push_bind(part.media_type.clone())
            .push_bind(stored_size(part.size_bytes));
    })
    .await?;
    insert(tx, IMAGES, "", &texts, |row, it| {
        let image = &it.of.image;
        row.push_bind(it.id)
            .push_bind(image.kind.to_string())
            .push_bind(it.platforms.clone())
            .push_bind(it.labels.clone())
            .push_bind(image.created.clone())
            .push_bind(stored_size(image.size_bytes))
            .push_bind(image.warning.clone());
    })
    .await?;
    for kind in [Kind::Tag, Kind::Manifest] {
        insert(tx, CONTENT, "", images, |row, it| {
            let digest = it.manifest.digest.to_string();
            let name = match kind {
                Kind::Tag => it.tag.as_str().to_owned(),
                Kind::Manifest => digest.clone(),
            };
            row.push_bind(it.repository)
                .push_bind(kind.to_string())
                .push_bind(name)
                .push_bind(digest)
                .push_bind(it.version);
        })
        .await?;
    }
    Ok(())
}

/// An image, with what of it is written as JSON.
struct Texts<'a> {
    id: i64,
    annotations: String,
    platforms: String,
    labels: String,
    of: &'a FiledImage,
}

async fn next_pushed(tx: &mut Tx) -> Result<i64, CatalogError> {
    const SQL: &str = "SELECT coalesce(max(id), 0) + 1 FROM pushed_manifests";
    Ok(sqlx::query_scalar(SQL).fetch_one(&mut *tx).await?)
}

/// Inserts the rows, a thousand in a statement.
async fn insert<T>(
    tx: &mut Tx,
    into: &str,
    conflict: &str,
    rows: &[T],
    mut values: impl FnMut(&mut Separated<'_, Sqlite, &'static str>, &T),
) -> Result<(), CatalogError> {
    for rows in rows.chunks(ROWS) {
        let mut sql = QueryBuilder::<Sqlite>::new(format!("{into} "));
        sql.push_values(rows, |mut row, of| values(&mut row, of));
        sql.push(conflict);
        sql.build().execute(&mut *tx).await?;
    }
    Ok(())
}
