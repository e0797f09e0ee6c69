//! The backend's own versions of a destination's repository: one per plan that copies into it.

use std::collections::BTreeSet;

use engine::clock::Timestamp;
use engine::journal::PlanId;
use sqlx::Row as _;

use crate::catalog::manifests;
use crate::catalog::versions::{Base, Changes};
use crate::catalog::{DestinationId, parsed};
use crate::content::ContentError;
use crate::intervals::{BACKEND, Kind};
use crate::{Digest, Tag, Tx};

/// Tags that were set after what is published, by who has not recorded it or has ended.
const UNPUBLISHED: &str = "
    SELECT c.name FROM embedded_content c
    LEFT JOIN embedded_versions v ON v.destination_id = c.destination_id AND v.number = c.added
    LEFT JOIN plan p ON p.id = v.plan_id
    WHERE c.destination_id = $1 AND c.added > $2 AND c.added < $3
      AND c.kind = 'tag' AND c.removed IS NULL
      AND (c.added > $4 OR p.id IS NULL OR p.state = 'stopped')
    ORDER BY c.name";

/// What a plan brings into the repository.
#[derive(Clone, Copy, Debug)]
pub struct Brought<'a> {
    /// The plan.
    pub plan: PlanId,
    /// The tag and what it shall point to.
    pub tag: Option<(&'a Tag, &'a Digest)>,
    /// Manifests that are brought by their digest alone.
    pub manifests: &'a [Digest],
}

/// Brings what was pushed into the repository as a new version, with all manifests it consists of; answers its number.
///
/// The version differs from `base` in what this plan has pushed and in nothing else: a tag that another plan has copied and
/// that is not published is not in it, unless that plan has recorded it and is still open.
///
/// One version per plan: a repeat answers the same number and changes nothing.
pub async fn copy(
    tx: &mut Tx,
    destination: DestinationId,
    brought: Brought<'_>,
    base: Base,
    at: Timestamp,
) -> Result<i64, ContentError> {
    let Some(number) = begin(tx, destination, brought.plan, at).await? else {
        return of_plan(tx, destination, brought.plan).await;
    };
    fill(tx, destination, number, brought, base).await?;
    Ok(number)
}

/// A new version of the plan, which has what the newest has; none where the plan has made its own.
async fn begin(
    tx: &mut Tx,
    destination: DestinationId,
    plan: PlanId,
    at: Timestamp,
) -> Result<Option<i64>, ContentError> {
    const SQL: &str = "
        INSERT INTO embedded_versions (destination_id, number, plan_id, created_at)
        SELECT $1, coalesce(max(number), 0) + 1, $2, $3 FROM embedded_versions
        WHERE destination_id = $1
        ON CONFLICT (destination_id, plan_id) DO NOTHING
        RETURNING number";
    let new = sqlx::query_scalar(SQL)
        .bind(destination)
        .bind(plan.0)
        .bind(at.0);
    Ok(new.fetch_optional(&mut *tx).await?)
}

/// Takes tags and manifests out of the repository, as a new version; answers its number. What others have copied and not
/// published is not in it, as with [`copy`].
pub async fn remove(
    tx: &mut Tx,
    destination: DestinationId,
    plan: PlanId,
    (tags, manifests): (&[Tag], &[Digest]),
    base: Base,
    at: Timestamp,
) -> Result<i64, ContentError> {
    let Some(number) = begin(tx, destination, plan, at).await? else {
        return of_plan(tx, destination, plan).await;
    };
    leave_out(tx, destination, number, base, None).await?;
    BACKEND
        .set_tags(tx, destination.0, &[], tags, number)
        .await?;
    BACKEND
        .remove_manifests(tx, destination.0, manifests, number)
        .await?;
    Ok(number)
}

/// What is in no version but the newest, or stands for something else there than in version `$2`.
const END_ALL_BUT: &str = "
    UPDATE embedded_content SET removed = $3
    WHERE destination_id = $1 AND removed IS NULL AND NOT EXISTS (
        SELECT 1 FROM embedded_content old
        WHERE old.destination_id = $1 AND old.kind = embedded_content.kind AND old.name = embedded_content.name
          AND old.digest = embedded_content.digest
          AND old.added <= $2 AND (old.removed IS NULL OR old.removed > $2))";

const BEGIN_ALL_OF: &str = "
    INSERT INTO embedded_content (destination_id, kind, name, digest, added)
    SELECT $1, old.kind, old.name, old.digest, $3 FROM embedded_content old
    WHERE old.destination_id = $1 AND old.removed > $2 AND old.added <= $2
      AND NOT EXISTS (SELECT 1 FROM embedded_content open
          WHERE open.destination_id = $1 AND open.kind = old.kind AND open.name = old.name
            AND open.removed IS NULL)";

/// Makes a new version that has what version `old` has, and nothing else; answers its number.
pub async fn restore(
    tx: &mut Tx,
    destination: DestinationId,
    plan: PlanId,
    old: i64,
    at: Timestamp,
) -> Result<i64, ContentError> {
    let Some(number) = begin(tx, destination, plan, at).await? else {
        return of_plan(tx, destination, plan).await;
    };
    for sql in [END_ALL_BUT, BEGIN_ALL_OF] {
        sqlx::query(sql)
            .bind(destination)
            .bind(old)
            .bind(number)
            .execute(&mut *tx)
            .await?;
    }
    Ok(number)
}

/// Puts what a plan has copied on top of what others have recorded meanwhile: its version becomes the newest, as if it had
/// been made now. Nobody has recorded the old one. A version that is the newest already stays.
pub async fn bring_on_top(
    tx: &mut Tx,
    destination: DestinationId,
    brought: Brought<'_>,
    base: Base,
) -> Result<i64, ContentError> {
    const SQL: &str = "
        UPDATE embedded_versions
        SET number = (SELECT max(number) + 1 FROM embedded_versions WHERE destination_id = $1)
        WHERE destination_id = $1 AND plan_id = $2 AND number < $3
        RETURNING number";
    let moved: Option<i64> = sqlx::query_scalar(SQL)
        .bind(destination)
        .bind(brought.plan.0)
        .bind(base.recorded)
        .fetch_optional(&mut *tx)
        .await?;
    let Some(number) = moved else {
        return of_plan(tx, destination, brought.plan).await;
    };
    fill(tx, destination, number, brought, base).await?;
    Ok(number)
}

async fn of_plan(
    tx: &mut Tx,
    destination: DestinationId,
    plan: PlanId,
) -> Result<i64, ContentError> {
    const MADE: &str = "
        SELECT number FROM embedded_versions WHERE destination_id = $1 AND plan_id = $2";
    let made = sqlx::query_scalar(MADE).bind(destination).bind(plan.0);
    Ok(made.fetch_one(&mut *tx).await?)
}

async fn fill(
    tx: &mut Tx,
    destination: DestinationId,
    number: i64,
    brought: Brought<'_>,
    base: Base,
) -> Result<(), ContentError> {
    let Brought { tag, manifests, .. } = brought;
    leave_out(tx, destination, number, base, tag.map(|(tag, _)| tag)).await?;
    let pushed = manifests.iter().chain(tag.map(|(_, digest)| digest));
    let all = with_children(tx, destination, pushed.copied().collect()).await?;
    BACKEND
        .add_manifests(tx, destination.0, &all, number)
        .await?;
    if let Some((tag, digest)) = tag {
        BACKEND
            .set_tag(tx, destination.0, tag, digest, number)
            .await?;
    }
    Ok(())
}

/// From version `number` on, the tags that others have copied and not published point to what is published; but for the one
/// that the version sets itself.
async fn leave_out(
    tx: &mut Tx,
    destination: DestinationId,
    number: i64,
    base: Base,
    but: Option<&Tag>,
) -> Result<(), ContentError> {
    let tags = sqlx::query(UNPUBLISHED)
        .bind(destination)
        .bind(base.published)
        .bind(number)
        .bind(base.recorded);
    for row in tags.fetch_all(&mut *tx).await? {
        let tag: Tag = parsed(&row, "name")?;
        if but == Some(&tag) {
            continue;
        }
        let published = BACKEND
            .find(tx, destination.0, Kind::Tag, tag.as_str(), base.published)
            .await?;
        match published {
            Some(digest) => {
                let digest = digest
                    .parse()
                    .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
                BACKEND
                    .set_tag(tx, destination.0, &tag, &digest, number)
                    .await?;
            }
            None => BACKEND.remove_tag(tx, destination.0, &tag, number).await?,
        }
    }
    Ok(())
}

/// These manifests and all that they consist of, each once: one question for the indexes, one for the indexes in them, and so
/// on, however many they name.
pub(in crate::content) async fn with_children(
    tx: &mut Tx,
    destination: DestinationId,
    pushed: BTreeSet<Digest>,
) -> Result<Vec<Digest>, ContentError> {
    let (mut all, mut asked) = (pushed.clone(), pushed);
    while !asked.is_empty() {
        let of: Vec<Digest> = asked.into_iter().collect();
        let children = manifests::children(tx, destination, &of).await?;
        asked = children
            .into_iter()
            .filter(|child| all.insert(*child))
            .collect();
    }
    Ok(all.into_iter().collect())
}

/// Checks that the version has the tag at this digest; else [`ContentError::Absent`].
pub async fn check(
    tx: &mut Tx,
    destination: DestinationId,
    version: i64,
    tag: Option<(&Tag, &Digest)>,
    manifests: &[Digest],
) -> Result<(), ContentError> {
    let absent = |what: String| ContentError::Absent {
        place: format!("version {version}"),
        destination,
        what,
    };
    if let Some((tag, digest)) = tag {
        let name = tag.as_str();
        let found = BACKEND
            .find(tx, destination.0, Kind::Tag, name, version)
            .await?;
        if found != Some(digest.to_string()) {
            return Err(absent(format!("tag `{tag}` at {digest}")));
        }
    }
    for digest in manifests.iter().chain(tag.map(|(_, digest)| digest)) {
        let name = digest.to_string();
        let found = BACKEND
            .find(tx, destination.0, Kind::Manifest, &name, version)
            .await?;
        if found.is_none() {
            return Err(absent(format!("manifest {digest}")));
        }
    }
    Ok(())
}

/// What differs between version `since` (0: nothing yet) and version `to`.
pub async fn changes(
    tx: &mut Tx,
    destination: DestinationId,
    since: i64,
    to: i64,
) -> Result<Changes, ContentError> {
    Ok(BACKEND.changes(tx, destination.0, since, to).await?)
}

/// The newest version; none before the first copy.
pub async fn latest(tx: &mut Tx, destination: DestinationId) -> Result<Option<i64>, ContentError> {
    const SQL: &str = "
        SELECT max(number) AS newest FROM embedded_versions WHERE destination_id = $1";
    let row = sqlx::query(SQL)
        .bind(destination)
        .fetch_one(&mut *tx)
        .await?;
    Ok(row.try_get("newest")?)
}

#[cfg(test)]
mod tests {
    use crate::database::explain;

    #[tokio::test]
    async fn what_is_left_out_is_found_along_an_index() {
        let told = explain(super::UNPUBLISHED).await;
        assert!(
            told.contains("embedded_content_added (destination_id=? AND added>? AND added<?)"),
            "{told}"
        );
        assert!(!told.contains("SCAN"), "{told}");
    }

    #[tokio::test]
    async fn an_old_version_is_brought_back_along_indexes() {
        for sql in [super::END_ALL_BUT, super::BEGIN_ALL_OF] {
            let told = explain(sql).await;
            assert!(!told.contains("SCAN"), "{told}");
        }
    }
}
