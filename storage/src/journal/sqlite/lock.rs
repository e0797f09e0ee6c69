//! Lock rows. Who holds and who waits is computed from them, in the transaction that changes them.

use super::row;
use crate::database::Tx;
use engine::clock::Timestamp;
use engine::journal::PlanId;
use engine::lock::{LockRequest, Seat};
use engine::store::{Append, Appended, StoreError};
use uuid::Uuid;

/// Whether no earlier row excludes any of the plan's.
pub(super) async fn holds_all(tx: &mut Tx, plan: PlanId) -> Result<bool, sqlx::Error> {
    const SQL: &str = "
        SELECT NOT EXISTS (
            SELECT 1 FROM lock mine
            JOIN lock other ON other.resource = mine.resource AND other.n < mine.n
            WHERE mine.plan_id = $1 AND (mine.mode = 'exclusive' OR other.mode = 'exclusive'))";
    sqlx::query_scalar(SQL).bind(plan.0).fetch_one(tx).await
}

/// Takes the plan's places in the queues.
pub(super) async fn ask(
    tx: &mut Tx,
    plan: PlanId,
    locks: &[LockRequest],
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    const SQL: &str = "INSERT INTO lock (resource, mode, plan_id, since) VALUES ($1, $2, $3, $4)";
    for lock in locks {
        sqlx::query(SQL)
            .bind(&lock.resource)
            .bind(lock.mode.to_string())
            .bind(plan.0)
            .bind(at.0)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// Gives up and takes places as the append says, and answers with the plans whose turn it is now.
pub(super) async fn change(tx: &mut Tx, append: &Append) -> Result<Appended, sqlx::Error> {
    const LET_GO: &str = "DELETE FROM lock WHERE plan_id = $1 AND resource = $2";
    for resource in &append.let_go {
        sqlx::query(LET_GO)
            .bind(append.plan.0)
            .bind(resource)
            .execute(&mut *tx)
            .await?;
    }
    ask(tx, append.plan, &append.asked_for, append.row.at).await?;
    let mut granted = Vec::new();
    let asked = append.asked_for.iter().map(|lock| &lock.resource);
    for resource in append.let_go.iter().chain(asked) {
        for plan in next_on(tx, resource).await? {
            if !granted.contains(&plan) && holds_all(tx, plan).await? {
                granted.push(plan);
            }
        }
    }
    Ok(Appended { granted })
}

/// The plans that nothing on this resource stands in the way of: the first one, or all shared ones before the first exclusive.
async fn next_on(tx: &mut Tx, resource: &str) -> Result<Vec<PlanId>, sqlx::Error> {
    const SQL: &str = "
        SELECT plan_id FROM lock
        WHERE resource = $1 AND (
            n = (SELECT min(n) FROM lock WHERE resource = $1)
            OR n < (SELECT coalesce(min(n), 9223372036854775807) FROM lock WHERE resource = $1 AND mode = 'exclusive'))
        ORDER BY n";
    let plans: Vec<Uuid> = sqlx::query_scalar(SQL).bind(resource).fetch_all(tx).await?;
    Ok(plans.into_iter().map(PlanId).collect())
}

/// The plan's places, as people see them.
pub(super) async fn seats(tx: &mut Tx, plan: PlanId) -> Result<Vec<Seat>, StoreError> {
    const SQL: &str = "
        SELECT mine.resource, mine.mode, mine.since,
            (SELECT other.plan_id FROM lock other
             WHERE other.resource = mine.resource AND other.n < mine.n
               AND (mine.mode = 'exclusive' OR other.mode = 'exclusive')
             ORDER BY other.n LIMIT 1) AS behind,
            (SELECT count(*) FROM lock other
             WHERE other.resource = mine.resource AND other.n < mine.n
               AND EXISTS (SELECT 1 FROM lock before
                           WHERE before.resource = other.resource AND before.n < other.n
                             AND (before.mode = 'exclusive' OR other.mode = 'exclusive'))) AS waiting_before
        FROM lock mine WHERE mine.plan_id = $1 ORDER BY mine.resource";
    let rows: Vec<(String, String, i64, Option<Uuid>, i64)> = sqlx::query_as(SQL)
        .bind(plan.0)
        .fetch_all(tx)
        .await
        .map_err(row::unreadable)?;
    let seats = rows
        .into_iter()
        .map(|(resource, mode, since, behind, waiting_before)| {
            Ok(Seat {
                resource,
                mode: row::word(&mode, "lock.mode")?,
                since: Timestamp(since),
                position: if behind.is_none() {
                    0
                } else {
                    u32::try_from(waiting_before).unwrap_or(u32::MAX - 1) + 1
                },
                behind: behind.map(row::plan_id),
            })
        });
    seats.collect()
}
