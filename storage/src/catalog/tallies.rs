//! What a plan that clears up has done so far: counted in the transactions in which it does it, so that a crash loses no count.
//!
//! A tally goes with its plan.

use std::collections::BTreeMap;

use engine::journal::PlanId;

use super::CatalogError;
use crate::Tx;

const ADD: &str = "
    INSERT INTO tally (plan_id, name, n) VALUES ($1, $2, $3)
    ON CONFLICT (plan_id, name) DO UPDATE SET n = n + excluded.n";

const OF: &str = "SELECT name, n FROM tally WHERE plan_id = $1 ORDER BY name";

/// Counts so many more of this name.
pub async fn add(tx: &mut Tx, plan: PlanId, name: &str, more: u64) -> Result<(), CatalogError> {
    sqlx::query(ADD)
        .bind(plan.0)
        .bind(name)
        .bind(i64::try_from(more).unwrap_or(i64::MAX))
        .execute(tx)
        .await?;
    Ok(())
}

/// How many of each name the plan has counted.
pub async fn of(tx: &mut Tx, plan: PlanId) -> Result<BTreeMap<String, u64>, CatalogError> {
    let rows: Vec<(String, i64)> = sqlx::query_as(OF).bind(plan.0).fetch_all(tx).await?;
    let read = |(name, n): (String, i64)| (name, u64::try_from(n).unwrap_or(0));
    Ok(rows.into_iter().map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::explain;

    #[tokio::test]
    async fn a_tally_is_read_along_its_key() {
        let told = explain(OF).await;

        assert!(
            told.contains("SEARCH") && !told.contains("TEMP B-TREE"),
            "{told}"
        );
    }
}
