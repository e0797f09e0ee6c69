//! Versions of repositories: linear, numbered from 1, each made by one plan, kept as intervals.
//!
//! A tag or manifest is in version `n` if its row has `added <= n` and `removed` is none or `> n`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use engine::journal::PlanId;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::{CatalogError, RepositoryId, parsed, plan, time, unreadable};
use crate::intervals::{CATALOG, Kind};
use crate::{Digest, Tag, Tx};

/// What made a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Cause {
    /// Something was pushed.
    Push,
    /// A tag or manifest was deleted.
    Delete,
    /// An earlier version was brought back.
    Rollback,
    /// Old content was dropped.
    Retention,
}

/// What a version changes against the one before. A name stands in it once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Tags that are new or point elsewhere.
    pub tags_set: Vec<(Tag, Digest)>,
    /// Tags that are gone.
    pub tags_removed: Vec<Tag>,
    /// Manifests that are new.
    pub manifests_added: Vec<Digest>,
    /// Manifests that are gone.
    pub manifests_removed: Vec<Digest>,
}

/// A version, with what it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number in the repository.
    pub number: i64,
    /// The plan that made it.
    pub plan: PlanId,
    /// The backend's version it was read from.
    pub backend_version: i64,
    /// What made it.
    pub cause: Cause,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// What is in it and was not in the one before. A tag that moved is here and among the removed.
    pub added: Contents,
    /// What was in the one before and is not in it.
    pub removed: Contents,
    /// The labels of the environments that publish it.
    pub published_in: Vec<String>,
}

/// Tags and manifests by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Tags and what they point to.
    pub tags: Vec<(Tag, Digest)>,
    /// Manifests.
    pub manifests: Vec<Digest>,
}

impl FromRow<'_, SqliteRow> for Version {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            number: row.try_get("number")?,
            plan: plan(row, "plan_id")?,
            backend_version: row.try_get("backend_version")?,
            cause: parsed(row, "cause")?,
            created_at: time(row, "created_at")?,
            added: Contents::default(),
            removed: Contents::default(),
            published_in: Vec::new(),
        })
    }
}

impl Contents {
    fn put(&mut self, kind: Kind, row: &SqliteRow) -> Result<(), sqlx::Error> {
        let digest = parsed(row, "digest")?;
        match kind {
            Kind::Tag => self.tags.push((parsed(row, "name")?, digest)),
            Kind::Manifest => self.manifests.push(digest),
        }
        Ok(())
    }
}

/// Records what `plan` changed as the next version, and answers its number.
///
/// A repeat for the same plan answers the same number and changes nothing.
pub async fn record(
    tx: &mut Tx,
    repository: RepositoryId,
    plan: PlanId,
    backend_version: i64,
    cause: Cause,
    changes: &Changes,
    at: Timestamp,
) -> Result<i64, CatalogError> {
    const SQL: &str = "
        INSERT INTO versions (repository_id, number, plan_id, backend_version, cause, created_at)
        SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5 FROM versions
        WHERE repository_id = $1
        ON CONFLICT (repository_id, plan_id) DO NOTHING
        RETURNING number";
    let recorded: Option<i64> = sqlx::query_scalar(SQL)
        .bind(repository)
        .bind(plan.0)
        .bind(backend_version)
        .bind(cause.to_string())
        .bind(at.0)
        .fetch_optional(&mut *tx)
        .await?;
    let Some(number) = recorded else {
        return of_plan(tx, repository, plan)
            .await?
            .ok_or_else(|| CatalogError::missing("version of plan", plan));
    };
    let owner = repository.0;
    let (set, gone) = (&changes.tags_set, &changes.tags_removed);
    CATALOG.set_tags(tx, owner, set, gone, number).await?;
    let added = &changes.manifests_added;
    CATALOG.add_manifests(tx, owner, added, number).await?;
    let gone = &changes.manifests_removed;
    CATALOG.remove_manifests(tx, owner, gone, number).await?;
    if cause == Cause::Rollback {
        tell_when_pushed(tx, repository, number).await?;
    }
    Ok(number)
}

/// Of tags that a rollback sets: when they were pushed to where they point again.
const TELL_WHEN_PUSHED: &str = "
    UPDATE content_in SET set_at = (
        SELECT coalesce(old.set_at, v.created_at) FROM content_in old
        LEFT JOIN versions v ON v.repository_id = old.repository_id AND v.number = old.added
        WHERE old.repository_id = content_in.repository_id AND old.kind = 'tag'
          AND old.name = content_in.name AND old.digest = content_in.digest
          AND old.added < content_in.added
        ORDER BY old.added DESC LIMIT 1)
    WHERE repository_id = $1 AND kind = 'tag' AND added = $2";

async fn tell_when_pushed(
    tx: &mut Tx,
    repository: RepositoryId,
    version: i64,
) -> Result<(), CatalogError> {
    let told = sqlx::query(TELL_WHEN_PUSHED).bind(repository).bind(version);
    told.execute(&mut *tx).await?;
    Ok(())
}

/// The number of the version that `plan` made.
pub async fn of_plan(
    tx: &mut Tx,
    repository: RepositoryId,
    plan: PlanId,
) -> Result<Option<i64>, CatalogError> {
    const SQL: &str = "SELECT number FROM versions WHERE repository_id = $1 AND plan_id = $2";
    let number = sqlx::query_scalar(SQL).bind(repository).bind(plan.0);
    Ok(number.fetch_optional(&mut *tx).await?)
}

/// What a new version of a repository is built upon: the backend's numbers of what there is; 0 where there is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// Of the newest version.
    pub recorded: i64,
    /// Of the one that Library publishes.
    pub published: i64,
}

/// What the next version of the repository is built upon.
pub async fn base(tx: &mut Tx, repository: RepositoryId) -> Result<Base, CatalogError> {
    const SQL: &str = "
        SELECT coalesce((SELECT backend_version FROM versions
                WHERE repository_id = $1 ORDER BY number DESC LIMIT 1), 0) AS recorded,
            coalesce((SELECT v.backend_version FROM published l
                JOIN environments e ON e.id = l.environment_id
                JOIN versions v ON v.repository_id = l.repository_id AND v.number = l.version
                WHERE l.repository_id = $1 AND e.prior_id IS NULL), 0) AS published";
    let row = sqlx::query(SQL)
        .bind(repository)
        .fetch_one(&mut *tx)
        .await?;
    Ok(Base {
        recorded: row.try_get("recorded")?,
        published: row.try_get("published")?,
    })
}

/// The newest version, without what it changed.
pub async fn latest(
    tx: &mut Tx,
    repository: RepositoryId,
) -> Result<Option<Version>, CatalogError> {
    const SQL: &str = "
        SELECT number, plan_id, backend_version, cause, created_at FROM versions
        WHERE repository_id = $1 ORDER BY number DESC LIMIT 1";
    let newest = sqlx::query_as(SQL).bind(repository);
    Ok(newest.fetch_optional(&mut *tx).await?)
}

/// One version with what it changed.
pub async fn get(
    tx: &mut Tx,
    repository: RepositoryId,
    number: i64,
) -> Result<Option<Version>, CatalogError> {
    Ok(page(tx, repository, number..=number, 1).await?.pop())
}

/// Up to `limit` versions, newest first, from the one that follows `after` in that order.
pub async fn list(
    tx: &mut Tx,
    repository: RepositoryId,
    after: Option<i64>,
    limit: u32,
) -> Result<Vec<Version>, CatalogError> {
    let newest = after.map_or(i64::MAX, |after| after.saturating_sub(1));
    page(tx, repository, 1..=newest, limit).await
}

/// What these versions changed: a row for each that was added, removed, or both.
const CHANGES: &str = "
    SELECT kind, name, digest, added, removed FROM content_in INDEXED BY content_in_added
    WHERE repository_id = $1 AND added BETWEEN $2 AND $3
    UNION SELECT kind, name, digest, added, removed FROM content_in INDEXED BY content_in_removed
    WHERE repository_id = $1 AND removed BETWEEN $2 AND $3
    ORDER BY kind, name, added";

const VERSIONS: &str = "
    SELECT number, plan_id, backend_version, cause, created_at FROM versions
    WHERE repository_id = $1 AND number BETWEEN $2 AND $3 ORDER BY number DESC LIMIT $4";

/// The number of the version before that one; 0: it is the first.
const BEFORE: &str =
    "SELECT coalesce(max(number), 0) FROM versions WHERE repository_id = $1 AND number < $2";

async fn page(
    tx: &mut Tx,
    repository: RepositoryId,
    numbers: RangeInclusive<i64>,
    limit: u32,
) -> Result<Vec<Version>, CatalogError> {
    const PUBLISHED: &str = "
        SELECT p.version, e.label FROM published p JOIN environments e ON e.id = p.environment_id
        WHERE p.repository_id = $1 AND p.version BETWEEN $2 AND $3 ORDER BY e.id";
    let versions: Vec<Version> = sqlx::query_as(VERSIONS)
        .bind(repository)
        .bind(*numbers.start())
        .bind(*numbers.end())
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await?;
    let (Some(newest), Some(oldest)) = (versions.first(), versions.last()) else {
        return Ok(versions);
    };
    let (oldest, newest) = (oldest.number, newest.number);
    // Versions in between may have been dropped: what they changed was changed by the next one that is left.
    let before: i64 = sqlx::query_scalar(BEFORE)
        .bind(repository)
        .bind(oldest)
        .fetch_one(&mut *tx)
        .await?;
    let mut by_number: BTreeMap<i64, Version> = versions
        .into_iter()
        .map(|version| (version.number, version))
        .collect();
    let changes = sqlx::query(CHANGES)
        .bind(repository)
        .bind(before + 1)
        .bind(newest);
    for row in changes.fetch_all(&mut *tx).await? {
        let kind = parsed(&row, "kind")?;
        let (added, removed): (i64, Option<i64>) = (row.try_get("added")?, row.try_get("removed")?);
        let is_in = |number: i64| added <= number && removed.is_none_or(|removed| removed > number);
        if added > before
            && let Some((number, version)) = by_number.range_mut(added..).next()
            && is_in(*number)
        {
            version.added.put(kind, &row)?;
        }
        let Some(removed) = removed.filter(|removed| *removed > before) else {
            continue;
        };
        let last = by_number.range(..removed).next_back();
        let last = last.map_or(before, |(number, _)| *number);
        if is_in(last)
            && let Some((_, version)) = by_number.range_mut(removed..).next()
        {
            version.removed.put(kind, &row)?;
        }
    }
    let published = sqlx::query(PUBLISHED)
        .bind(repository)
        .bind(oldest)
        .bind(newest);
    for row in published.fetch_all(&mut *tx).await? {
        if let Some(version) = by_number.get_mut(&row.try_get("version")?) {
            version.published_in.push(row.try_get("label")?);
        }
    }
    Ok(by_number.into_values().rev().collect())
}

/// What leads from one version to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The version that it leads from; 0: from nothing.
    pub since: i64,
    /// What differs.
    pub changes: Changes,
}

/// What leads to this version: from `since`, if that is kept, else from nothing. Either may be the older one. None: there is no such
/// version.
pub async fn difference(
    tx: &mut Tx,
    repository: RepositoryId,
    since: i64,
    to: i64,
) -> Result<Option<Difference>, CatalogError> {
    const KEPT: &str =
        "SELECT number FROM versions WHERE repository_id = $1 AND number IN ($2, $3)";
    let kept: Vec<i64> = sqlx::query_scalar(KEPT)
        .bind(repository)
        .bind(since)
        .bind(to)
        .fetch_all(&mut *tx)
        .await?;
    if !kept.contains(&to) {
        return Ok(None);
    }
    // Backwards the rows would have to be read the other way round: that is rare, and all of it is right, too.
    let since = if since <= to && kept.contains(&since) {
        since
    } else {
        0
    };
    let changes = CATALOG.changes(tx, repository.0, since, to).await?;
    Ok(Some(Difference { since, changes }))
}

/// True if the plan has made this version.
pub async fn is_made_by(
    tx: &mut Tx,
    repository: RepositoryId,
    number: i64,
    plan: Uuid,
) -> Result<bool, CatalogError> {
    const SQL: &str = "
        SELECT EXISTS (SELECT 1 FROM versions
            WHERE repository_id = $1 AND number = $2 AND plan_id = $3)";
    let is = sqlx::query_scalar(SQL)
        .bind(repository)
        .bind(number)
        .bind(plan);
    Ok(is.fetch_one(&mut *tx).await?)
}

/// How many versions the repository has.
pub async fn count(tx: &mut Tx, repository: RepositoryId) -> Result<u64, CatalogError> {
    const SQL: &str = "SELECT count(*) AS n FROM versions WHERE repository_id = $1";
    let row = sqlx::query(SQL)
        .bind(repository)
        .fetch_one(&mut *tx)
        .await?;
    Ok(super::size(&row, "n")?)
}

/// What `tag` points to in that version.
pub async fn tag(
    tx: &mut Tx,
    repository: RepositoryId,
    version: i64,
    tag: &Tag,
) -> Result<Option<Digest>, CatalogError> {
    let name = tag.as_str();
    let found = CATALOG
        .find(tx, repository.0, Kind::Tag, name, version)
        .await?;
    found
        .map(|digest| digest.parse().map_err(|error| unreadable("digest", error)))
        .transpose()
        .map_err(CatalogError::from)
}

const TAGS: &str = "
    SELECT name, digest FROM content_in
    WHERE repository_id = $1 AND kind = 'tag' AND name > $3
      AND added <= $2 AND (removed IS NULL OR removed > $2)
    ORDER BY name LIMIT $4";

/// Up to `limit` tags of that version in the order of their bytes, from the one that follows `after`.
pub async fn tags(
    tx: &mut Tx,
    repository: RepositoryId,
    version: i64,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<(Tag, Digest)>, CatalogError> {
    let rows = sqlx::query(TAGS)
        .bind(repository)
        .bind(version)
        .bind(after.unwrap_or(""))
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await?;
    let mut tags = Vec::with_capacity(rows.len());
    for row in &rows {
        tags.push((parsed(row, "name")?, parsed(row, "digest")?));
    }
    Ok(tags)
}

/// The index holds all that is asked; left alone, SQLite reads every row instead.
const COUNT_TAGS: &str = "
    SELECT count(*) AS n FROM content_in INDEXED BY content_in_added
    WHERE repository_id = $1 AND kind = 'tag'
      AND added <= $2 AND (removed IS NULL OR removed > $2)";

/// How many tags that version has.
pub async fn count_tags(
    tx: &mut Tx,
    repository: RepositoryId,
    version: i64,
) -> Result<u64, CatalogError> {
    let row = sqlx::query(COUNT_TAGS)
        .bind(repository)
        .bind(version)
        .fetch_one(&mut *tx)
        .await?;
    Ok(super::size(&row, "n")?)
}

/// True if that version has this manifest.
pub async fn has_manifest(
    tx: &mut Tx,
    repository: RepositoryId,
    version: i64,
    digest: &Digest,
) -> Result<bool, CatalogError> {
    let name = digest.to_string();
    let found = CATALOG
        .find(tx, repository.0, Kind::Manifest, &name, version)
        .await?;
    Ok(found.is_some())
}

const NAMED_BY_ANOTHER: &str = "
    SELECT 1 FROM manifest_parts o CROSS JOIN pushed_manifests h CROSS JOIN content_in c
    WHERE o.destination_id = $1 AND o.digest = $2 AND o.kind = 'manifest' AND h.id = o.pushed_id
      AND c.repository_id = $1 AND c.kind = 'manifest' AND c.name = h.digest
      AND c.added <= $3 AND (c.removed IS NULL OR c.removed > $3)
    LIMIT 1";

/// True if another manifest of that version has this one as a child.
pub async fn is_named_by_another(
    tx: &mut Tx,
    repository: RepositoryId,
    version: i64,
    child: &Digest,
) -> Result<bool, CatalogError> {
    let found: Option<i64> = sqlx::query_scalar(NAMED_BY_ANOTHER)
        .bind(repository)
        .bind(child.to_string())
        .bind(version)
        .fetch_optional(&mut *tx)
        .await?;
    Ok(found.is_some())
}

/// The tags of the newest version that point to this manifest.
pub async fn tags_at(
    tx: &mut Tx,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Vec<Tag>, CatalogError> {
    let rows = sqlx::query(TAGS_AT)
        .bind(repository)
        .bind(digest.to_string())
        .fetch_all(&mut *tx)
        .await?;
    let tags = rows.iter().map(|row| parsed(row, "name"));
    Ok(tags.collect::<Result<_, _>>()?)
}

/// The tags of the newest version that point to an index with this manifest as a child.
pub async fn tags_over(
    tx: &mut Tx,
    repository: RepositoryId,
    child: &Digest,
) -> Result<Vec<Tag>, CatalogError> {
    let rows = sqlx::query(TAGS_OVER)
        .bind(repository)
        .bind(child.to_string())
        .fetch_all(&mut *tx)
        .await?;
    let tags = rows.iter().map(|row| parsed(row, "name"));
    Ok(tags.collect::<Result<_, _>>()?)
}

const TAGS_OVER: &str = "
    SELECT c.name FROM manifest_parts o CROSS JOIN pushed_manifests h CROSS JOIN content_in c
    WHERE o.destination_id = $1 AND o.digest = $2 AND o.kind = 'manifest' AND h.id = o.pushed_id
      AND c.digest = h.digest AND c.repository_id = $1 AND c.kind = 'tag' AND c.removed IS NULL
    ORDER BY c.name";

const TAGS_AT: &str = "
    SELECT name FROM content_in
    WHERE digest = $2 AND repository_id = $1 AND kind = 'tag' AND removed IS NULL ORDER BY name";

/// The manifests of that version.
pub async fn manifests(
    tx: &mut Tx,
    repository: RepositoryId,
    version: i64,
) -> Result<Vec<Digest>, CatalogError> {
    const SQL: &str = "
        SELECT digest FROM content_in
        WHERE repository_id = $1 AND kind = 'manifest'
          AND added <= $2 AND (removed IS NULL OR removed > $2)
        ORDER BY name";
    let rows = sqlx::query(SQL)
        .bind(repository)
        .bind(version)
        .fetch_all(&mut *tx)
        .await?;
    let digests = rows.iter().map(|row| parsed(row, "digest"));
    Ok(digests.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use crate::database::explain;

    #[tokio::test]
    async fn pages_of_tags_and_of_versions_are_read_along_their_index_without_sorting() {
        for sql in [
            super::TAGS_AT,
            super::TAGS_OVER,
            super::NAMED_BY_ANOTHER,
            super::TELL_WHEN_PUSHED,
        ] {
            let told = explain(sql).await;
            assert!(!told.contains("SCAN"), "{told}");
        }
        for (sql, index) in [
            (super::TAGS, "name>?"),
            (super::VERSIONS, "number>? AND number<?"),
        ] {
            let told = explain(sql).await;

            assert!(told.contains("SEARCH") && told.contains(index), "{told}");
            assert!(!told.contains("TEMP B-TREE"), "{told}");
        }
    }

    #[tokio::test]
    async fn tags_are_counted_without_their_rows_and_changes_read_without_the_rest() {
        let counted = explain(super::COUNT_TAGS).await;
        let changes = explain(super::CHANGES).await;

        assert!(
            counted.contains("COVERING INDEX content_in_added"),
            "{counted}"
        );
        for index in ["content_in_added", "content_in_removed"] {
            assert!(changes.contains(index), "{changes}");
        }
    }
}
