//! Whether a task would be asked at all.

use super::Verb;
use crate::resume::missing_right;
use engine::clock::Timestamp;
use engine::decide;
use engine::node::NodeError;
use engine::plan::Plan;
use storage::Database;

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
        Verb::Cancel => Ok(None),
    }
}
