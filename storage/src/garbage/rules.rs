//! What may go at one time, as the settings say, and which destinations nothing may go from.

use std::collections::BTreeSet;
use std::time::Duration;

use engine::clock::Timestamp;

use crate::Tx;
use crate::catalog::instance::{self, Backend, Role};
use crate::catalog::{CatalogError, DestinationId, destinations, settings};

/// Before all that ever happened: nothing goes.
pub(super) const NEVER: Timestamp = Timestamp(i64::MIN);

/// So often within the grace it is written down that a blob was asked for, however often it is.
const RENEWALS: u32 = 10;

/// What may go at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// So many versions of a repository stay.
    pub versions: u64,
    /// Manifests that were pushed, and blobs that were linked, before this may go.
    pub pushed_before: Timestamp,
    /// Blobs that were used, and objects that were written, before this may go.
    pub used_before: Timestamp,
    /// Upload sessions that were touched before this may go.
    pub touched_before: Timestamp,
    /// Repositories that were deleted then or before may go.
    pub deleted_before: Timestamp,
}

impl Rules {
    /// What may go at `now`, as the settings are.
    pub async fn read(
        tx: &mut Tx,
        upload_expiry: Duration,
        now: Timestamp,
    ) -> Result<Self, CatalogError> {
        let before = |time: Option<Duration>| time.map_or(NEVER, |time| now - time);
        // A smart proxy promises nobody that a blob stays, and goes back to nothing: its main server does.
        let is_proxy = instance::role(tx).await? == Some(Role::Proxy);
        let grace = if is_proxy {
            Some(Duration::ZERO)
        } else {
            settings::blob_grace(tx).await?
        };
        // Who was told that a blob is here within a renewal of the one before was not written down.
        let used_before = before(grace.map(|grace| grace + renewed_after(grace)));
        let in_pulp = matches!(instance::backend(tx).await?, Some((Backend::Pulp, _)));
        Ok(Self {
            versions: if is_proxy {
                1
            } else {
                settings::version_retention(tx).await?
            },
            // A repository in Pulp loses nothing until it goes as a whole, so that what is known of it stays.
            pushed_before: if in_pulp { NEVER } else { used_before },
            used_before,
            touched_before: now - upload_expiry,
            deleted_before: before(settings::undo_window(tx).await?),
        })
    }

    /// `$1` of the conditions.
    pub(super) fn kept_versions(&self) -> i64 {
        i64::try_from(self.versions.max(1)).unwrap_or(i64::MAX)
    }
}

/// So long after a blob was used another use of it is written down.
pub(crate) fn renewed_after(grace: Duration) -> Duration {
    grace / RENEWALS
}

const IN_USE: &str = "
    SELECT EXISTS (SELECT 1 FROM lock
            WHERE resource >= 'destination ' || $1 || ' (' AND resource < 'destination ' || $1 || ' )')
        OR EXISTS (SELECT 1 FROM destinations d JOIN organizations o ON o.id = d.organization_id
            CROSS JOIN plan p INDEXED BY plan_open_key CROSS JOIN plan_link k
            WHERE d.id = $1 AND p.open_key IS NOT NULL AND k.plan_id = p.id AND k.name = 'repository'
              AND k.value IN (o.label_key || '/' || d.product_key || '/' || d.name,
                  iif(d.product_key = 'container_push', o.label_key || '/' || d.name, '')))";

/// True while a plan is open that may need what lies in the destination, or may bring it back. What is left of a push, once it has
/// published, needs nothing of it.
pub async fn is_in_use(tx: &mut Tx, destination: DestinationId) -> Result<bool, CatalogError> {
    let used = sqlx::query_scalar(IN_USE).bind(destination);
    Ok(used.fetch_one(&mut *tx).await?)
}

/// True if something of the destination may go and the rest stay: nobody is at work there, and it was not deleted, which is taken
/// back as a whole.
pub async fn may_be_pruned(tx: &mut Tx, destination: DestinationId) -> Result<bool, CatalogError> {
    Ok(destinations::is_live(tx, destination).await? && !is_in_use(tx, destination).await?)
}

const ALL_IN_USE: &str = "
    SELECT CAST(substr(resource, 13) AS INTEGER) FROM lock
    WHERE resource >= 'destination ' AND resource < 'destination!'
    UNION SELECT d.id FROM plan p INDEXED BY plan_open_key CROSS JOIN plan_link k
    CROSS JOIN organizations o CROSS JOIN destinations d
    WHERE p.open_key IS NOT NULL AND k.plan_id = p.id AND k.name = 'repository'
      AND o.label_key = substr(k.value, 1, instr(k.value, '/') - 1)
      AND d.organization_id = o.id AND d.retired_at IS NULL
      AND k.value IN (o.label_key || '/' || d.product_key || '/' || d.name,
          iif(d.product_key = 'container_push', o.label_key || '/' || d.name, ''))";

/// All of them, for a dry run.
pub async fn all_in_use(tx: &mut Tx) -> Result<BTreeSet<DestinationId>, CatalogError> {
    let all: Vec<DestinationId> = sqlx::query_scalar(ALL_IN_USE).fetch_all(&mut *tx).await?;
    Ok(all.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::explain;

    #[tokio::test]
    async fn whether_a_destination_is_in_use_is_looked_up_along_indexes() {
        let told = explain(IN_USE).await.replace("SCAN CONSTANT ROW", "");

        for index in ["lock_resource", "plan_open_key", "plan_link"] {
            assert!(told.contains(index), "{told}");
        }
        assert!(!told.contains("SCAN"), "{told}");
    }
}
