//! Versions as intervals, the same for the catalog and for the embedded backend: what is in version `n` has `added <= n`
//! and `removed` none or `> n`.

use crate::catalog::versions::Changes;
use crate::catalog::{parsed, stored_json};
use crate::{Digest, Tag, Tx};

/// What an interval is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Kind {
    Tag,
    Manifest,
}

/// The statements on one table of intervals.
pub(crate) struct Intervals {
    end: &'static str,
    begin: &'static str,
    begin_all: &'static str,
    end_all: &'static str,
    end_tags: &'static str,
    begin_tags: &'static str,
    find: &'static str,
    added: &'static str,
    removed: &'static str,
}

/// The statements on the table `$table`, whose rows belong to `$owner`.
macro_rules! intervals {
    ($table:literal, $owner:literal) => {
        Intervals {
            end: concat!(
                "UPDATE ", $table, " SET removed = $4 WHERE ", $owner,
                " = $1 AND kind = $2 AND name = $3 AND removed IS NULL AND digest <> $5"
            ),
            begin: concat!(
                "INSERT INTO ", $table, " (", $owner, ", kind, name, digest, added)
                 SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT 1 FROM ", $table, " WHERE ", $owner,
                " = $1 AND kind = $2 AND name = $3 AND removed IS NULL)"
            ),
            begin_all: concat!(
                "INSERT INTO ", $table, " (", $owner, ", kind, name, digest, added)
                 SELECT $1, 'manifest', value, value, $3 FROM json_each($2)
                 WHERE NOT EXISTS (SELECT 1 FROM ", $table, " WHERE ", $owner,
                " = $1 AND kind = 'manifest' AND name = value AND removed IS NULL)"
            ),
            end_all: concat!(
                "UPDATE ", $table, " SET removed = $3 WHERE rowid IN (
                     SELECT c.rowid FROM json_each($2) asked CROSS JOIN ", $table, " c
                     WHERE c.", $owner, " = $1 AND c.kind = 'manifest' AND c.name = asked.value
                       AND c.removed IS NULL)"
            ),
            end_tags: concat!(
                "UPDATE ", $table, " SET removed = $3 WHERE rowid IN (
                     SELECT c.rowid FROM json_each($2) asked CROSS JOIN ", $table, " c
                     WHERE c.", $owner, " = $1 AND c.kind = 'tag' AND c.name = asked.value ->> 0
                       AND c.removed IS NULL AND c.digest <> coalesce(asked.value ->> 1, ''))"
            ),
            begin_tags: concat!(
                "INSERT INTO ", $table, " (", $owner, ", kind, name, digest, added)
                 SELECT $1, 'tag', value ->> 0, value ->> 1, $3 FROM json_each($2)
                 WHERE NOT EXISTS (SELECT 1 FROM ", $table, " WHERE ", $owner,
                " = $1 AND kind = 'tag' AND name = value ->> 0 AND removed IS NULL)"
            ),
            find: concat!(
                "SELECT digest FROM ", $table, " WHERE ", $owner,
                " = $1 AND kind = $2 AND name = $3 AND added <= $4 AND (removed IS NULL OR removed > $4)"
            ),
            added: concat!(
                "SELECT kind, name, digest FROM ", $table, " WHERE ", $owner,
                " = $1 AND added > $2 AND added <= $3 AND (removed IS NULL OR removed > $3)
                 ORDER BY kind, name"
            ),
            removed: concat!(
                "SELECT kind, name, digest FROM ", $table, " gone WHERE ", $owner,
                " = $1 AND added <= $2 AND removed > $2 AND removed <= $3
                 AND NOT EXISTS (SELECT 1 FROM ", $table, " still WHERE still.", $owner,
                " = $1 AND still.kind = gone.kind AND still.name = gone.name
                   AND still.added <= $3 AND (still.removed IS NULL OR still.removed > $3))
                 ORDER BY kind, name"
            ),
        }
    };
}

/// The versions that people see.
pub(crate) const CATALOG: Intervals = intervals!("content_in", "repository_id");
/// The embedded backend's own versions.
pub(crate) const BACKEND: Intervals = intervals!("embedded_content", "destination_id");

impl Intervals {
    /// From version `number` on the tag points to `digest`.
    pub(crate) async fn set_tag(
        &self,
        tx: &mut Tx,
        owner: i64,
        tag: &Tag,
        digest: &Digest,
        number: i64,
    ) -> Result<(), sqlx::Error> {
        let digest = digest.to_string();
        self.end(tx, owner, Kind::Tag, tag.as_str(), &digest, number)
            .await?;
        self.begin(tx, owner, Kind::Tag, tag.as_str(), &digest, number)
            .await
    }

    /// From version `number` on these tags point to their digests, and those are gone: a statement or two, however many.
    pub(crate) async fn set_tags(
        &self,
        tx: &mut Tx,
        owner: i64,
        set: &[(Tag, Digest)],
        removed: &[Tag],
        number: i64,
    ) -> Result<(), sqlx::Error> {
        let gone = removed.iter().map(|tag| (tag, None));
        let all: Vec<(&Tag, Option<&Digest>)> = set
            .iter()
            .map(|(tag, digest)| (tag, Some(digest)))
            .chain(gone)
            .collect();
        if all.is_empty() {
            return Ok(());
        }
        let ended = sqlx::query(self.end_tags)
            .bind(owner)
            .bind(stored_json(&all)?)
            .bind(number);
        ended.execute(&mut *tx).await?;
        if set.is_empty() {
            return Ok(());
        }
        let begun = sqlx::query(self.begin_tags)
            .bind(owner)
            .bind(stored_json(&set)?)
            .bind(number);
        begun.execute(&mut *tx).await.map(drop)
    }

    /// From version `number` on the tag is gone.
    pub(crate) async fn remove_tag(
        &self,
        tx: &mut Tx,
        owner: i64,
        tag: &Tag,
        number: i64,
    ) -> Result<(), sqlx::Error> {
        self.end(tx, owner, Kind::Tag, tag.as_str(), "", number)
            .await
    }

    /// From version `number` on these manifests are there: one statement, however many. Each is named once.
    pub(crate) async fn add_manifests(
        &self,
        tx: &mut Tx,
        owner: i64,
        digests: &[Digest],
        number: i64,
    ) -> Result<(), sqlx::Error> {
        if digests.is_empty() {
            return Ok(());
        }
        let added = sqlx::query(self.begin_all)
            .bind(owner)
            .bind(stored_json(&digests)?)
            .bind(number);
        added.execute(&mut *tx).await.map(drop)
    }

    /// From version `number` on these manifests are gone: one statement, however many.
    pub(crate) async fn remove_manifests(
        &self,
        tx: &mut Tx,
        owner: i64,
        digests: &[Digest],
        number: i64,
    ) -> Result<(), sqlx::Error> {
        if digests.is_empty() {
            return Ok(());
        }
        let ended = sqlx::query(self.end_all)
            .bind(owner)
            .bind(stored_json(&digests)?)
            .bind(number);
        ended.execute(&mut *tx).await.map(drop)
    }

    /// The digest that stands for the name in version `number`, as text.
    pub(crate) async fn find(
        &self,
        tx: &mut Tx,
        owner: i64,
        kind: Kind,
        name: &str,
        number: i64,
    ) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar(self.find)
            .bind(owner)
            .bind(kind.to_string())
            .bind(name)
            .bind(number)
            .fetch_optional(&mut *tx)
            .await
    }

    /// What differs between version `since` (0: nothing yet) and version `to`. A tag that was removed and set again to the same is not
    /// told from one that was set anew.
    pub(crate) async fn changes(
        &self,
        tx: &mut Tx,
        owner: i64,
        since: i64,
        to: i64,
    ) -> Result<Changes, sqlx::Error> {
        let mut changes = Changes::default();
        let added = sqlx::query(self.added).bind(owner).bind(since).bind(to);
        for row in added.fetch_all(&mut *tx).await? {
            match parsed(&row, "kind")? {
                Kind::Tag => changes
                    .tags_set
                    .push((parsed(&row, "name")?, parsed(&row, "digest")?)),
                Kind::Manifest => changes.manifests_added.push(parsed(&row, "digest")?),
            }
        }
        let removed = sqlx::query(self.removed).bind(owner).bind(since).bind(to);
        for row in removed.fetch_all(&mut *tx).await? {
            match parsed(&row, "kind")? {
                Kind::Tag => changes.tags_removed.push(parsed(&row, "name")?),
                Kind::Manifest => changes.manifests_removed.push(parsed(&row, "digest")?),
            }
        }
        Ok(changes)
    }

    /// Ends the open interval of the name, unless it says `except` already.
    async fn end(
        &self,
        tx: &mut Tx,
        owner: i64,
        kind: Kind,
        name: &str,
        except: &str,
        number: i64,
    ) -> Result<(), sqlx::Error> {
        let ended = sqlx::query(self.end)
            .bind(owner)
            .bind(kind.to_string())
            .bind(name)
            .bind(number)
            .bind(except);
        ended.execute(&mut *tx).await.map(drop)
    }

    /// Begins an interval for the name, unless one is open.
    async fn begin(
        &self,
        tx: &mut Tx,
        owner: i64,
        kind: Kind,
        name: &str,
        digest: &str,
        number: i64,
    ) -> Result<(), sqlx::Error> {
        let begun = sqlx::query(self.begin)
            .bind(owner)
            .bind(kind.to_string())
            .bind(name)
            .bind(digest)
            .bind(number);
        begun.execute(&mut *tx).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::explain;

    /// Otherwise a rollback of thousands of tags looks at all of them for each of them.
    #[tokio::test]
    async fn tags_are_set_and_manifests_removed_along_the_key_however_many() {
        for (intervals, table) in [(&CATALOG, "content_in"), (&BACKEND, "embedded_content")] {
            for sql in [intervals.end_all, intervals.end_tags, intervals.begin_tags] {
                let told = explain(sql).await;
                let walked = told.lines().filter(|line| line.contains("SCAN"));
                let walked: Vec<&str> = walked.filter(|line| line.contains(table)).collect();

                assert!(walked.is_empty(), "{told}");
                assert!(told.contains("name=?"), "{told}");
            }
        }
    }
}
