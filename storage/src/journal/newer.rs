//! Later plans about the same thing.

use crate::catalog::CatalogError;
use crate::database::Tx;
use engine::journal::PlanId;

const NEWER: &str = "
    SELECT mine.plan_id FROM plan_link mine
    JOIN plan ON plan.id = mine.plan_id
    WHERE mine.name = $2 AND mine.value = $3 AND mine.plan_id > $1
      AND plan.workflow = $4 AND (plan.state <> 'stopped' OR plan.result IN ('success', 'warning'))
      AND EXISTS (SELECT 1 FROM plan_link too
        WHERE too.name = $5 AND too.value = $6 AND too.plan_id = mine.plan_id)
    ORDER BY mine.plan_id DESC LIMIT 1";

/// The newest plan of this workflow with both links that was submitted after `plan`, and is open or has ended well.
pub async fn newer(
    tx: &mut Tx,
    plan: PlanId,
    workflow: &str,
    links: [(&str, &str); 2],
) -> Result<Option<PlanId>, CatalogError> {
    let [(first, is), (second, is_too)] = links;
    let newest = sqlx::query_scalar(NEWER)
        .bind(plan.0)
        .bind(first)
        .bind(is)
        .bind(workflow)
        .bind(second)
        .bind(is_too);
    Ok(newest.fetch_optional(&mut *tx).await?.map(PlanId))
}

#[cfg(test)]
mod tests {
    use crate::database::explain;

    #[tokio::test]
    async fn only_later_plans_with_the_first_link_are_looked_at() {
        let told = explain(super::NEWER).await;
        let along = "(name=? AND value=? AND plan_id>?)";
        assert!(told.contains(along), "{told}");
        assert!(!told.contains("SCAN"), "{told}");
    }
}
