//! Letting a task go on: whoever started it must still have the right to what it will do.

use crate::change_naming::ChangeNaming;
use crate::delete_image::DeleteImage;
use crate::delete_organization::DeleteOrganization;
use crate::delete_product::DeleteProduct;
use crate::delete_repository::DeleteRepository;
use crate::error::Failed;
use crate::permission::must_hold;
use crate::promote::Promote;
use crate::push::{self, Push};
use crate::rollback::Rollback;
use crate::services::Node;
use engine::journal::{Action, Json, Message, PlanId};
use engine::node::NodeError;
use engine::plan::Plan;
use engine::step::{StepError, Work};
use engine::store::StoreError;
use engine::workflow::Workflow;
use std::sync::Arc;
use storage::catalog::environments;
use storage::catalog::grants::Place;
use storage::catalog::roles::Permission;
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
    /// What such a step leaves names rows of the catalog. Whoever could say which could reach those of others.
    #[error(
        "step `{step}` of a {workflow} takes no output from outside, because what it leaves names what is in the catalog: skip it without one, or mend the cause and resume"
    )]
    OutputNotTaken {
        /// The step.
        step: String,
        /// Of which workflow.
        workflow: String,
    },
    /// To override is to take the responsibility, in words.
    #[error("to go on without the pusher's right, \"override\" needs a \"reason\"")]
    OverrideNeedsReason,
}

/// The workflows whose steps leave numbers of rows of the catalog.
const NAMES_ROWS: [&str; 8] = [
    Push::NAME,
    DeleteImage::NAME,
    DeleteRepository::NAME,
    DeleteProduct::NAME,
    DeleteOrganization::NAME,
    Rollback::NAME,
    Promote::NAME,
    ChangeNaming::NAME,
];

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
        && NAMES_ROWS.contains(&now.workflow())
    {
        return Err(ResumeError::OutputNotTaken {
            step: step.clone(),
            workflow: now.workflow().to_owned(),
        });
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
    // What is undone publishes nothing that was not published before.
    let Some(submitted) = plan.submitted.as_ref().filter(|_| !plan.reverting) else {
        return Ok(None);
    };
    let mut tx = database
        .read()
        .await
        .map_err(|error| NodeError::Store(error.into()))?;
    let judged = judge(&mut tx, &submitted.workflow, &submitted.input).await;
    match judged.map_err(StepError::from) {
        Ok(()) => Ok(None),
        Err(StepError(failure)) if failure.transient => Err(NodeError::Store(
            engine::store::StoreError::Unavailable(failure.message),
        )),
        Err(StepError(failure)) => Ok(Some(failure.message)),
    }
}

/// Whether whoever started a plan of this workflow with this input may do now what it does. Of what is no business of rights nothing is
/// said.
async fn judge(tx: &mut Tx, workflow: &str, input: &Json) -> Result<(), Failed> {
    let unreadable = |error: serde_json::Error| Failed::for_good(error);
    match workflow {
        Push::NAME => {
            let push: Push = input.decode().map_err(unreadable)?;
            push::judge(tx, &push).await.map(drop)
        }
        DeleteImage::NAME => {
            let it: DeleteImage = input.decode().map_err(unreadable)?;
            let place = it.from.place(tx).await?;
            must_hold(tx, (it.user, &it.login), Permission::Delete, &place).await
        }
        DeleteRepository::NAME => {
            let it: DeleteRepository = input.decode().map_err(unreadable)?;
            let place = it.repository.place(tx).await?;
            must_hold(tx, (it.user, &it.login), Permission::Delete, &place).await
        }
        DeleteProduct::NAME => {
            let it: DeleteProduct = input.decode().map_err(unreadable)?;
            let place = Place {
                organization: it.organization,
                product: Some(it.product),
                repository: None,
            };
            let by = (it.together.user, it.together.login.as_str());
            must_hold(tx, by, Permission::ManageProducts, &place).await?;
            must_hold(tx, by, Permission::Delete, &place).await
        }
        DeleteOrganization::NAME => {
            let it: DeleteOrganization = input.decode().map_err(unreadable)?;
            let place = Place {
                organization: it.organization,
                product: None,
                repository: None,
            };
            let by = (it.together.user, it.together.login.as_str());
            must_hold(tx, by, Permission::Admin, &place).await
        }
        Rollback::NAME => {
            let it: Rollback = input.decode().map_err(unreadable)?;
            let place = it.of.place(tx).await?;
            must_hold(tx, (it.user, &it.login), Permission::Promote, &place).await
        }
        Promote::NAME => {
            let it: Promote = input.decode().map_err(unreadable)?;
            let place = it.of.place(tx).await?;
            must_hold(tx, (it.user, &it.login), Permission::Promote, &place).await
        }
        ChangeNaming::NAME => {
            let it: ChangeNaming = input.decode().map_err(unreadable)?;
            let Some(environment) = environments::get(tx, it.environment).await? else {
                return Ok(());
            };
            let place = Place {
                organization: environment.organization,
                product: None,
                repository: None,
            };
            must_hold(tx, (it.user, &it.login), Permission::ManageProducts, &place).await
        }
        _ => Ok(()),
    }
}
