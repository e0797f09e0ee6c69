//! Whether a task would be asked at all.

use super::Verb;
use crate::delete_organization::DeleteOrganization;
use crate::delete_product::DeleteProduct;
use crate::delete_repository::DeleteRepository;
use crate::resume::missing_right;
use engine::clock::Timestamp;
use engine::decide;
use engine::node::NodeError;
use engine::plan::Plan;
use engine::state::PlanState;
use engine::workflow::Workflow;
use storage::Database;

/// Why the task is not cancelled: the delete of a repository has taken its name already, and what is left of it then can neither be
/// pulled nor collected; so has the delete of a product or an organization. None: it may be.
#[must_use]
pub fn half_deleted(plan: &Plan) -> Option<String> {
    let deletes = [
        DeleteRepository::NAME,
        DeleteProduct::NAME,
        DeleteOrganization::NAME,
    ];
    let is_delete = deletes.contains(&plan.workflow());
    (is_delete && plan.state != PlanState::Stopped).then(|| {
        "nobody finds what it deletes any more, and a cancel would leave it so: revert the task instead".to_owned()
    })
}

/// Why this would not be done to the task as it is; none: it would be.
pub async fn judge(
    database: &Database,
    plan: &Plan,
    verb: Verb,
    at: Timestamp,
) -> Result<Option<String>, NodeError> {
    if let Err(refused) = decide::fits(plan, &verb.action(), at) {
        // What else would fit is of no use to one who asked many.
        return Ok(Some(format!(
            "a task that is `{}` cannot {}",
            refused.state, refused.event
        )));
    }
    match verb {
        Verb::Resume => missing_right(database, plan).await,
        Verb::Cancel => Ok(half_deleted(plan)),
    }
}
