//! What a plan has deleted of a destination, and what a revert of that plan brings back until it is collected.

use engine::clock::Timestamp;
use engine::journal::PlanId;

use super::{CatalogError, DestinationId, parsed};
use crate::Tx;

/// A part of what lies at a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Part {
    /// The versions.
    ContainerRepository,
    /// What was pushed.
    PushRepository,
    /// What people see of it.
    Catalog,
}

/// Deletes the part in the name of `plan`: nobody reads it any more, and it can be brought back until it is collected. Twice is once.
pub async fn set(
    tx: &mut Tx,
    destination: DestinationId,
    part: Part,
    plan: PlanId,
    at: Timestamp,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO tombstones (destination_id, part, plan_id, since) VALUES ($1, $2, $3, $4)
        ON CONFLICT (destination_id, part) DO NOTHING";
    sqlx::query(SQL)
        .bind(destination)
        .bind(part.to_string())
        .bind(plan.0)
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Lets the time of what was deleted of the destination begin at `at`, unless it is being collected.
pub async fn renew(
    tx: &mut Tx,
    destination: DestinationId,
    at: Timestamp,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        UPDATE tombstones SET since = max(since, $2) WHERE destination_id = $1 AND collecting = 0";
    let renewed = sqlx::query(SQL).bind(destination).bind(at.0);
    renewed.execute(&mut *tx).await?;
    Ok(())
}

/// Brings the part back that `plan` has deleted. False: it was collected, or is being collected.
///
/// The collector takes what is still here with the same condition: whoever commits first has it.
pub async fn lift(
    tx: &mut Tx,
    destination: DestinationId,
    part: Part,
    plan: PlanId,
) -> Result<bool, CatalogError> {
    const SQL: &str = "
        DELETE FROM tombstones
        WHERE destination_id = $1 AND part = $2 AND plan_id = $3 AND collecting = 0";
    let lifted = sqlx::query(SQL)
        .bind(destination)
        .bind(part.to_string())
        .bind(plan.0)
        .execute(&mut *tx)
        .await?;
    Ok(lifted.rows_affected() > 0)
}

/// The parts of the destination that were deleted and not brought back, nor collected.
pub async fn of(tx: &mut Tx, destination: DestinationId) -> Result<Vec<Part>, CatalogError> {
    const SQL: &str = "SELECT part FROM tombstones WHERE destination_id = $1 ORDER BY part";
    let rows = sqlx::query(SQL)
        .bind(destination)
        .fetch_all(&mut *tx)
        .await?;
    let parts = rows.iter().map(|row| parsed(row, "part"));
    Ok(parts.collect::<Result<_, _>>()?)
}

/// Takes what was deleted of the destination before `deadline`, for good: no revert brings it back from now on. Answers how many
/// parts that were; none, where somebody has brought one back.
pub async fn collect(
    tx: &mut Tx,
    destination: DestinationId,
    deadline: Timestamp,
) -> Result<u64, CatalogError> {
    const SQL: &str = "
        UPDATE tombstones SET collecting = 1
        WHERE destination_id = $1 AND since <= $2 AND collecting = 0
          AND EXISTS (SELECT 1 FROM tombstones whole
              WHERE whole.destination_id = $1 AND whole.part = 'catalog' AND whole.since <= $2)
          AND EXISTS (SELECT 1 FROM destinations WHERE id = $1 AND retired_at IS NOT NULL)";
    let taken = sqlx::query(SQL)
        .bind(destination)
        .bind(deadline.0)
        .execute(&mut *tx)
        .await?;
    Ok(taken.rows_affected())
}

/// Lets the revert of `plan` bring the repository back under another name than its old one; none: under the old one after all.
pub async fn restore_as(tx: &mut Tx, plan: PlanId, name: Option<&str>) -> Result<(), CatalogError> {
    const FORGET: &str = "DELETE FROM restores WHERE plan_id = $1";
    const SQL: &str = "INSERT INTO restores (plan_id, name) VALUES ($1, $2)";
    sqlx::query(FORGET).bind(plan.0).execute(&mut *tx).await?;
    if let Some(name) = name {
        let wanted = sqlx::query(SQL).bind(plan.0).bind(name);
        wanted.execute(&mut *tx).await?;
    }
    Ok(())
}

/// The name under which the revert of `plan` brings the repository back; none: its old one.
pub async fn restored_as(tx: &mut Tx, plan: PlanId) -> Result<Option<String>, CatalogError> {
    const SQL: &str = "SELECT name FROM restores WHERE plan_id = $1";
    let name = sqlx::query_scalar(SQL).bind(plan.0);
    Ok(name.fetch_optional(&mut *tx).await?)
}
