//! Tags that syncs have put into a registry, by the names that they have there.
//!
//! A row is there before its tag is, and until it is known that the tag is gone: a sync that was killed has left nothing that the next
//! one does not know.

use super::contents::Place;
use crate::catalog::{CatalogError, SmartProxyId, parsed, stored_json};
use crate::{Digest, Tag, Tx};

/// Writes down that these tags of that name are being put there, for that place.
pub async fn put(
    tx: &mut Tx,
    proxy: SmartProxyId,
    place: Place,
    name: &str,
    tags: &[(Tag, Digest)],
) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO smart_proxy_tags (proxy_id, name, tag, digest, environment_id, repository_id)
        SELECT $1, $2, value ->> 0, value ->> 1, $3, $4 FROM json_each($5)
        WHERE EXISTS (SELECT 1 FROM smart_proxies WHERE id = $1)
        ON CONFLICT (proxy_id, name, tag) DO UPDATE SET digest = excluded.digest, stays = 0,
            environment_id = excluded.environment_id, repository_id = excluded.repository_id";
    if tags.is_empty() {
        return Ok(());
    }
    sqlx::query(SQL)
        .bind(proxy)
        .bind(name)
        .bind(place.environment)
        .bind(place.repository)
        .bind(stored_json(&tags)?)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

const NAMES: &str = "
    SELECT DISTINCT name FROM smart_proxy_tags INDEXED BY smart_proxy_tags_place
    WHERE proxy_id = $1 AND repository_id = $2 AND environment_id = $3 ORDER BY name";

/// The names under which tags of that place are there.
pub async fn names(
    tx: &mut Tx,
    proxy: SmartProxyId,
    place: Place,
) -> Result<Vec<String>, CatalogError> {
    let names = sqlx::query_scalar(NAMES)
        .bind(proxy)
        .bind(place.repository)
        .bind(place.environment);
    Ok(names.fetch_all(&mut *tx).await?)
}

const UNWANTED: &str = "
    SELECT tag, digest FROM smart_proxy_tags t
    WHERE proxy_id = $1 AND name = $2 AND repository_id = $3 AND environment_id = $4 AND stays <= $6
      AND NOT EXISTS (SELECT 1 FROM content_in c
          WHERE c.repository_id = t.repository_id AND c.kind = 'tag' AND c.name = t.tag
            AND c.added <= $5 AND (c.removed IS NULL OR c.removed > $5))
    ORDER BY tag";

/// Tags of that place that are there under this name, and that the version does not have; none: all of them. Those that stay there
/// although the registry was asked to delete them are named only to who asks `again`.
pub async fn unwanted(
    tx: &mut Tx,
    proxy: SmartProxyId,
    place: Place,
    name: &str,
    version: Option<i64>,
    again: bool,
) -> Result<Vec<(Tag, Digest)>, CatalogError> {
    let rows = sqlx::query(UNWANTED)
        .bind(proxy)
        .bind(name)
        .bind(place.repository)
        .bind(place.environment)
        .bind(version.unwrap_or(0)) // the first is 1
        .bind(i64::from(again));
    let rows = rows.fetch_all(&mut *tx).await?;
    let mut tags = Vec::with_capacity(rows.len());
    for row in &rows {
        tags.push((parsed(row, "tag")?, parsed(row, "digest")?));
    }
    Ok(tags)
}

const OF_NAME: &str = "
    SELECT tag, digest FROM smart_proxy_tags WHERE proxy_id = $1 AND name = $2 ORDER BY tag";

/// All tags that are there under this name, of whatever place.
pub async fn of_name(
    tx: &mut Tx,
    proxy: SmartProxyId,
    name: &str,
) -> Result<Vec<(Tag, Digest)>, CatalogError> {
    let rows = sqlx::query(OF_NAME).bind(proxy).bind(name);
    let rows = rows.fetch_all(&mut *tx).await?;
    let mut tags = Vec::with_capacity(rows.len());
    for row in &rows {
        tags.push((parsed(row, "tag")?, parsed(row, "digest")?));
    }
    Ok(tags)
}

const LEFT: &str = "
    SELECT DISTINCT t.environment_id, t.repository_id
    FROM smart_proxy_tags t INDEXED BY smart_proxy_tags_place
    WHERE t.proxy_id = $1 AND NOT EXISTS (SELECT 1 FROM smart_proxy_contents c
        WHERE c.proxy_id = $1 AND c.environment_id = t.environment_id
          AND c.repository_id = t.repository_id)
    LIMIT $2";

/// Up to `limit` places of which tags have stayed there, although nothing else is known to be there.
pub async fn left(
    tx: &mut Tx,
    proxy: SmartProxyId,
    limit: u32,
) -> Result<Vec<Place>, CatalogError> {
    let left = sqlx::query_as(LEFT).bind(proxy).bind(i64::from(limit));
    Ok(left.fetch_all(&mut *tx).await?)
}

/// Forgets these tags of that name: they are gone there, or somebody else's by now.
pub async fn forget(
    tx: &mut Tx,
    proxy: SmartProxyId,
    name: &str,
    tags: &[Tag],
) -> Result<(), CatalogError> {
    const SQL: &str = "
        DELETE FROM smart_proxy_tags
        WHERE proxy_id = $1 AND name = $2 AND tag IN (SELECT value FROM json_each($3))";
    change(tx, SQL, proxy, name, tags).await
}

/// Writes down that the registry did not delete these tags.
pub async fn stay(
    tx: &mut Tx,
    proxy: SmartProxyId,
    name: &str,
    tags: &[Tag],
) -> Result<(), CatalogError> {
    const SQL: &str = "
        UPDATE smart_proxy_tags SET stays = 1
        WHERE proxy_id = $1 AND name = $2 AND tag IN (SELECT value FROM json_each($3))";
    change(tx, SQL, proxy, name, tags).await
}

async fn change(
    tx: &mut Tx,
    sql: &'static str,
    proxy: SmartProxyId,
    name: &str,
    tags: &[Tag],
) -> Result<(), CatalogError> {
    if tags.is_empty() {
        return Ok(());
    }
    let changed = sqlx::query(sql)
        .bind(proxy)
        .bind(name)
        .bind(stored_json(&tags)?);
    changed.execute(&mut *tx).await?;
    Ok(())
}

/// Forgets them all, if the proxy is not at this URL: whatever a registry elsewhere has, it has from somebody else.
pub(super) async fn forget_elsewhere(
    tx: &mut Tx,
    proxy: SmartProxyId,
    url: &str,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        DELETE FROM smart_proxy_tags
        WHERE proxy_id = $1 AND EXISTS (SELECT 1 FROM smart_proxies WHERE id = $1 AND url <> $2)";
    let forgotten = sqlx::query(SQL).bind(proxy).bind(url);
    forgotten.execute(&mut *tx).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{LEFT, NAMES, OF_NAME, UNWANTED};
    use crate::database::explain;

    #[tokio::test]
    async fn tags_that_are_there_are_found_along_indexes() {
        for sql in [NAMES, UNWANTED, OF_NAME, LEFT] {
            let told = explain(sql).await;
            assert!(!told.contains("SCAN"), "{sql}: {told}");
        }
    }
}
