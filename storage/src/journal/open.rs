//! Open plans, found by what they are about.

use crate::catalog::CatalogError;
use crate::database::Tx;
use engine::journal::PlanId;

/// Open plans are few, whatever has been linked so in years.
const WAITING: &str = "
    SELECT p.id FROM plan p INDEXED BY plan_open CROSS JOIN plan_link k
    WHERE p.state <> 'stopped' AND p.workflow = $1
      AND (p.state IN ('scheduled', 'pending') OR p.waiting LIKE '%gate%' OR p.waiting LIKE '%retry%')
      AND k.name = $2 AND k.value = $3 AND k.plan_id = p.id
    ORDER BY p.id DESC LIMIT 1";

const OPEN: &str = "
    SELECT p.id FROM plan p INDEXED BY plan_open CROSS JOIN plan_link k
    WHERE p.state <> 'stopped' AND p.workflow = $1
      AND k.name = $2 AND k.value = $3 AND k.plan_id = p.id
    ORDER BY p.id DESC LIMIT 1";

/// The newest plan of this workflow with this link that waits before it does anything: for its turn, at a gate, or for another attempt.
pub async fn waiting(
    tx: &mut Tx,
    workflow: &str,
    (name, value): (&str, &str),
) -> Result<Option<PlanId>, CatalogError> {
    find(tx, WAITING, workflow, name, value).await
}

/// The newest plan of this workflow with this link that has not stopped.
pub async fn open(
    tx: &mut Tx,
    workflow: &str,
    (name, value): (&str, &str),
) -> Result<Option<PlanId>, CatalogError> {
    find(tx, OPEN, workflow, name, value).await
}

async fn find(
    tx: &mut Tx,
    sql: &'static str,
    workflow: &str,
    name: &str,
    value: &str,
) -> Result<Option<PlanId>, CatalogError> {
    let found = sqlx::query_scalar(sql)
        .bind(workflow)
        .bind(name)
        .bind(value);
    Ok(found.fetch_optional(&mut *tx).await?.map(PlanId))
}

#[cfg(test)]
mod tests {
    use crate::database::explain;

    #[tokio::test]
    async fn only_open_plans_are_looked_at() {
        for sql in [super::WAITING, super::OPEN] {
            let told = explain(sql).await;

            assert!(told.contains("USING INDEX plan_open"), "{told}");
            assert!(told.contains("name=? AND value=? AND plan_id=?"), "{told}");
            assert!(!told.contains("TEMP B-TREE"), "{told}");
        }
    }
}
