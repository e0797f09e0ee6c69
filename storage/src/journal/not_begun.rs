//! Plans that have not begun yet.

use crate::catalog::CatalogError;
use crate::database::Tx;
use engine::journal::PlanId;

const NOT_BEGUN: &str = "
    SELECT k.plan_id FROM plan_link k JOIN plan ON plan.id = k.plan_id
    WHERE k.name = $2 AND k.value = $3 AND plan.workflow = $1 AND plan.state IN ('scheduled', 'pending')
    ORDER BY k.plan_id DESC LIMIT 1";

const OPEN: &str = "
    SELECT k.plan_id FROM plan_link k JOIN plan ON plan.id = k.plan_id
    WHERE k.name = $2 AND k.value = $3 AND plan.workflow = $1 AND plan.state <> 'stopped'
    ORDER BY k.plan_id DESC LIMIT 1";

/// The newest plan of this workflow with this link whose first step has not begun: it waits for a lock or at a gate. What it will see
/// is as new as what the caller sees.
pub async fn not_begun(
    tx: &mut Tx,
    workflow: &str,
    (name, value): (&str, &str),
) -> Result<Option<PlanId>, CatalogError> {
    find(tx, NOT_BEGUN, workflow, name, value).await
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
    async fn plans_are_found_along_their_link() {
        for sql in [super::NOT_BEGUN, super::OPEN] {
            let told = explain(sql).await;

            assert!(told.contains("(name=? AND value=?)"), "{told}");
            assert!(!told.contains("SCAN"), "{told}");
        }
    }
}
