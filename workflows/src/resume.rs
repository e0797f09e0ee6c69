//! Resuming a task: whoever started it must still have the right to what it will do.

use crate::push::{self, Push};
use crate::services::Node;
use engine::journal::{Action, Message, PlanId};
use engine::node::NodeError;
use engine::plan::Plan;
use engine::step::StepError;
use engine::workflow::Workflow;
use std::sync::Arc;

/// Why a task was not resumed.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The engine did not.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Whoever started it has lost the right meanwhile; it stays paused.
    #[error(
        "the task stays paused: {missing}; grant it again, or resume with \"override\": true and a reason"
    )]
    NotAllowedAnyMore {
        /// The missing right, in words.
        missing: String,
    },
    /// To override is to take the responsibility, in words.
    #[error("to resume without the pusher's right, \"override\" needs a \"reason\"")]
    OverrideNeedsReason,
}

/// Resumes the task in the name of `by`. `overrule`: also when whoever started it has lost the right.
pub async fn resume(
    node: &Node,
    plan: PlanId,
    by: String,
    reason: Option<String>,
    overrule: bool,
) -> Result<Arc<Plan>, ResumeError> {
    let now = node.plan(plan).await?;
    if overrule && reason.is_none() {
        return Err(ResumeError::OverrideNeedsReason);
    }
    if !overrule && let Some(missing) = missing_right(node, &now).await? {
        return Err(ResumeError::NotAllowedAnyMore { missing });
    }
    Ok(node
        .act(
            plan,
            Message {
                action: Action::Resume,
                by,
                reason,
            },
        )
        .await?)
}

/// The right that whoever started the task lacks as of now.
async fn missing_right(node: &Node, plan: &Plan) -> Result<Option<String>, NodeError> {
    let submitted = plan
        .submitted
        .as_ref()
        .filter(|submitted| submitted.workflow == Push::NAME);
    let Some(push) = submitted.and_then(|submitted| submitted.input.decode::<Push>().ok()) else {
        return Ok(None);
    };
    let database = &node.services().database;
    let mut tx = database
        .read()
        .await
        .map_err(|error| NodeError::Store(error.into()))?;
    match push::judge(&mut tx, &push).await.map_err(StepError::from) {
        Ok(_) => Ok(None),
        Err(StepError(failure)) if failure.transient => Err(NodeError::Store(
            engine::store::StoreError::Unavailable(failure.message),
        )),
        Err(StepError(failure)) => Ok(Some(failure.message)),
    }
}
