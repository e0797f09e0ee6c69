//! Plans that have ended: which there are, what belongs to them, and how they are forgotten.

use super::failed;
use super::row::{self, unreadable};
use crate::database::Tx;
use crate::search::{Sql, push_is};
use engine::clock::Timestamp;
use engine::journal::PlanId;
use engine::retention::{Family, Member};
use engine::store::{Ended, StoreError};
use std::time::Duration;
use uuid::Uuid;

/// Along the index of ends; the row values compare as the index is ordered.
const ENDED: &str = "
    SELECT id, workflow, result, ended_at FROM plan
    WHERE ended_at IS NOT NULL AND ended_at <= $1 AND (ended_at, id) > ($2, $3) AND +state = 'stopped'
    ORDER BY ended_at, id LIMIT $4";

/// Of a journal whose first row is not readable nothing is known.
const MEMBER: &str = "
    SELECT workflow, state, result, ended_at,
        (SELECT CASE WHEN json_valid(entries) THEN entries -> '$[0].submitted' IS NOT NULL END
            FROM journal WHERE plan_id = plan.id AND seq = 1) AS begins,
        (SELECT CASE WHEN json_valid(entries) THEN entries ->> '$[0].submitted.revertible_for.secs' END
            FROM journal WHERE plan_id = plan.id AND seq = 1) AS revertible_seconds,
        EXISTS (SELECT 1 FROM mailbox WHERE plan_id = plan.id) AS has_mail
    FROM plan WHERE id = $1";

const PARENT: &str =
    "SELECT value FROM plan_link INDEXED BY plan_link_plan WHERE plan_id = $1 AND name = 'parent'";

const SUB_TASKS: &str = "
    SELECT plan_id FROM plan_link INDEXED BY sqlite_autoindex_plan_link_1
    WHERE name = 'parent' AND value = $1 ORDER BY plan_id";

const IS_THERE: &str = "SELECT count(*) FROM plan WHERE id = $1";

/// Rows that name a plan go before it. The audit, versions and whatever else tells of it keep its id.
const DELETES: [&str; 5] = [
    "DELETE FROM journal WHERE plan_id",
    "DELETE FROM plan_link WHERE plan_id",
    "DELETE FROM lock WHERE plan_id",
    "DELETE FROM answers WHERE plan_id",
    "DELETE FROM plan WHERE id",
];

/// Plans of one statement.
const AT_ONCE: usize = 100;

/// Stopped plans in the order of their ends.
pub(super) async fn ended(
    tx: &mut Tx,
    until: Timestamp,
    after: Option<(Timestamp, PlanId)>,
    limit: u32,
) -> Result<Vec<Ended>, StoreError> {
    let (at, id) = after.map_or((i64::MIN, Uuid::nil()), |(at, plan)| (at.0, plan.0));
    let rows: Vec<(Uuid, String, String, i64)> = sqlx::query_as(ENDED)
        .bind(until.0)
        .bind(at)
        .bind(id)
        .bind(limit)
        .fetch_all(tx)
        .await
        .map_err(unreadable)?;
    let ended = rows.into_iter().map(|(id, workflow, result, at)| {
        Ok(Ended {
            plan: row::plan_id(id),
            workflow,
            result: row::word(&result, "plan.result")?,
            at: Timestamp(at),
        })
    });
    ended.collect()
}

/// The plan with its sub-tasks and theirs; none where it is not there, or belongs to a parent that is.
pub(super) async fn family(tx: &mut Tx, root: PlanId) -> Result<Option<Family>, StoreError> {
    let parent: Option<String> = sqlx::query_scalar(PARENT)
        .bind(root.0)
        .fetch_optional(&mut *tx)
        .await
        .map_err(unreadable)?;
    if let Some(parent) = parent.and_then(|text| text.parse::<PlanId>().ok()) {
        let is_there: i64 = sqlx::query_scalar(IS_THERE)
            .bind(parent.0)
            .fetch_one(&mut *tx)
            .await
            .map_err(unreadable)?;
        if is_there > 0 {
            return Ok(None);
        }
    }
    let Some(first) = member(tx, root).await? else {
        return Ok(None);
    };
    let mut members = vec![first];
    let mut seen = 0;
    while let Some(above) = members.get(seen).map(|it| it.plan) {
        let below: Vec<Uuid> = sqlx::query_scalar(SUB_TASKS)
            .bind(above.to_string())
            .fetch_all(&mut *tx)
            .await
            .map_err(unreadable)?;
        for plan in below {
            members.extend(member(tx, row::plan_id(plan)).await?);
        }
        seen += 1;
    }
    Ok(Some(Family { members }))
}

async fn member(tx: &mut Tx, plan: PlanId) -> Result<Option<Member>, StoreError> {
    type Columns = (
        String,
        String,
        String,
        Option<i64>,
        Option<bool>,
        Option<i64>,
        bool,
    );
    let columns: Option<Columns> = sqlx::query_as(MEMBER)
        .bind(plan.0)
        .fetch_optional(tx)
        .await
        .map_err(unreadable)?;
    let Some((workflow, state, result, ended_at, begins, revertible, has_mail)) = columns else {
        return Ok(None);
    };
    let seconds = revertible.and_then(|seconds| u64::try_from(seconds).ok());
    Ok(Some(Member {
        plan,
        workflow,
        state: row::word(&state, "plan.state")?,
        result: row::word(&result, "plan.result")?,
        ended_at: ended_at.map(Timestamp),
        // Up to the next second: rather kept a moment too long.
        revertible_for: seconds.map(|seconds| Duration::from_secs(seconds.saturating_add(1))),
        is_bound: has_mail || begins != Some(true),
    }))
}

/// Forgets the families that are over and as they were seen.
pub(super) async fn forget(tx: &mut Tx, families: Vec<Family>) -> Result<Vec<PlanId>, StoreError> {
    let mut gone = Vec::new();
    for seen in families {
        let Some(root) = seen.members.first().map(|it| it.plan) else {
            continue;
        };
        if seen.is_over() && family(tx, root).await?.as_ref() == Some(&seen) {
            gone.extend(seen.members.into_iter().map(|it| it.plan));
        }
    }
    let ids: Vec<Uuid> = gone.iter().map(|plan| plan.0).collect();
    for some in ids.chunks(AT_ONCE) {
        for delete in DELETES {
            let (sql, column) = delete.rsplit_once(' ').unwrap_or((delete, "id"));
            let mut sql = Sql::new(format!("{sql} "));
            push_is(&mut sql, column, some);
            sql.build().execute(&mut *tx).await.map_err(failed)?;
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::explain;

    #[tokio::test]
    async fn every_statement_of_retention_reads_along_an_index() {
        let plan = |sql: &'static str| async move { (sql, explain(sql).await) };
        for (sql, told) in [
            plan(ENDED).await,
            plan(MEMBER).await,
            plan(PARENT).await,
            plan(SUB_TASKS).await,
            plan(IS_THERE).await,
        ] {
            assert!(!told.contains("SCAN"), "{sql}: {told}");
            assert!(!told.contains("TEMP B-TREE"), "{sql}: {told}");
        }
        let ended = explain(ENDED).await;
        assert!(ended.contains("USING INDEX plan_ended"), "{ended}");
        for delete in DELETES {
            let told = explain(&format!("{delete} IN (x'00', x'01')")).await;
            assert!(told.contains("SEARCH") && !told.contains("SCAN"), "{told}");
        }
    }
}
