//! Letting a task go on: whoever started it must still have the right to what it will do.

use crate::push::{self, Push};
use crate::services::Node;
use engine::journal::{Action, Message, PlanId};
use engine::node::NodeError;
use engine::plan::Plan;
use engine::step::{StepError, Work};
use engine::store::StoreError;
use engine::workflow::Workflow;
use std::sync::Arc;
use storage::{Database, Tx};

/// Why a task was not resumed.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The engine did not.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Whoever started it has lost the right meanwhile; it does not go on.
    #[error(
        "the task does not go on: {missing}; grant it again, or do this with \"override\": true and a reason"
    )]
    NotAllowedAnyMore {
        /// The missing right, in words.
        missing: String,
    },
    /// What a step of a push leaves names rows of the catalog. Whoever could say which could reach those of others.
    #[error(
        "step `{step}` of a push takes no output from outside, because what it leaves names what is in the catalog: skip it without one, or mend the cause and resume"
    )]
    OutputNotTaken {
        /// The step.
        step: String,
    },
    /// To override is to take the responsibility, in words.
    #[error("to go on without the pusher's right, \"override\" needs a \"reason\"")]
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
    let message = Message {
        action: Action::Resume,
        by,
        reason,
    };
    let nothing: Work<Tx, (), StoreError> = Box::new(|_| Box::pin(async { Ok(()) }));
    go_on(node, plan, message, overrule, nothing).await
}

/// Does what lets the task go on: a resume, but also a release, a skip or a resolve, none of which is a way around the right
/// that a resume asks for. `also` is written in the transaction that makes it durable. `overrule`: also when whoever started it has lost that.
pub async fn go_on(
    node: &Node,
    plan: PlanId,
    message: Message,
    overrule: bool,
    also: Work<Tx, (), StoreError>,
) -> Result<Arc<Plan>, ResumeError> {
    let now = node.plan(plan).await?;
    if let Action::Skip {
        step,
        output: Some(_),
    }
    | Action::Resolve {
        step,
        output: Some(_),
    } = &message.action
        && now.workflow() == Push::NAME
    {
        return Err(ResumeError::OutputNotTaken { step: step.clone() });
    }
    if overrule && message.reason.is_none() {
        return Err(ResumeError::OverrideNeedsReason);
    }
    if !overrule && let Some(missing) = missing_right(&node.services().database, &now).await? {
        return Err(ResumeError::NotAllowedAnyMore { missing });
    }
    Ok(node.act_and(plan, message, also).await?)
}

/// The right that whoever started the task lacks as of now.
pub(crate) async fn missing_right(
    database: &Database,
    plan: &Plan,
) -> Result<Option<String>, NodeError> {
    // What is undone publishes nothing.
    let submitted = plan
        .submitted
        .as_ref()
        .filter(|submitted| submitted.workflow == Push::NAME && !plan.reverting);
    let Some(push) = submitted.and_then(|submitted| submitted.input.decode::<Push>().ok()) else {
        return Ok(None);
    };
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
