//! What steps of rehearsals leave behind: a mark each, which says how often the step has run.

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use engine::journal::PlanId;
use sqlx::{FromRow, Row as _};

use super::{CatalogError, time};
use crate::Tx;

/// What a step has left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The step.
    pub step: String,
    /// How often it has left it.
    pub runs: u32,
    /// When it did so last.
    pub left_at: Timestamp,
}

impl FromRow<'_, SqliteRow> for Mark {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            step: row.try_get("step")?,
            runs: row.try_get("runs")?,
            left_at: time(row, "left_at")?,
        })
    }
}

const LEAVE: &str = "
    INSERT INTO rehearsal_mark (plan_id, step, runs, left_at) VALUES ($1, $2, 1, $3)
    ON CONFLICT (plan_id, step) DO UPDATE SET runs = runs + 1, left_at = excluded.left_at";
const TAKE_AWAY: &str = "DELETE FROM rehearsal_mark WHERE plan_id = $1 AND step = $2";
const LIST: &str = "
    SELECT step, runs, left_at FROM rehearsal_mark WHERE plan_id = $1 ORDER BY step";

/// Leaves the step's mark, or counts once more what lies there.
pub async fn leave(
    tx: &mut Tx,
    plan: PlanId,
    step: &str,
    at: Timestamp,
) -> Result<(), CatalogError> {
    let left = sqlx::query(LEAVE).bind(plan.0).bind(step).bind(at.0);
    left.execute(&mut *tx).await?;
    Ok(())
}

/// Takes the step's mark away; false if there was none.
pub async fn take_away(tx: &mut Tx, plan: PlanId, step: &str) -> Result<bool, CatalogError> {
    let taken = sqlx::query(TAKE_AWAY).bind(plan.0).bind(step);
    Ok(taken.execute(&mut *tx).await?.rows_affected() == 1)
}

/// What lies there of a plan, by the names of its steps.
pub async fn marks(tx: &mut Tx, plan: PlanId) -> Result<Vec<Mark>, CatalogError> {
    Ok(sqlx::query_as(LIST)
        .bind(plan.0)
        .fetch_all(&mut *tx)
        .await?)
}

#[cfg(test)]
mod tests {
    use crate::database::explain;

    #[tokio::test]
    async fn marks_are_reached_by_their_key() {
        for sql in [super::TAKE_AWAY, super::LIST] {
            let told = explain(sql).await;

            assert!(
                told.contains("rehearsal_mark USING PRIMARY KEY (plan_id=?"),
                "{told}"
            );
            assert!(
                !told.contains("SCAN") && !told.contains("TEMP B-TREE"),
                "{told}"
            );
        }
    }
}
