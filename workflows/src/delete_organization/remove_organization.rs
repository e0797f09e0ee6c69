//! The organization itself, and who logs in for it.

use super::DeleteOrganization;
use crate::delete_together::{
    DeleteRepositories, DeletedRepositories, begin_the_time_for_a_revert, still_used,
};
use crate::error::Failed;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::{UserId, organizations, robots};

/// What became of the organization.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemovedOrganization {
    /// False: it stays, because somebody has pushed to it meanwhile.
    pub removed: bool,
    /// Its robots that could log in until then.
    pub robots: Vec<UserId>,
}

/// Removes the organization: its row is kept, with its label, which no other one gets. Its products and environments are found through it only;
/// its robots can no longer log in.
pub struct RemoveOrganization;

impl Declared for RemoveOrganization {
    const NAME: &'static str = "remove_organization";
    const POLICY: Policy = Policy::idempotent().undoable();
    type Workflow = DeleteOrganization;
    type Needs = DeleteRepositories<DeleteOrganization>;
    type Output = RemovedOrganization;
}

impl TransactionalStep for RemoveOrganization {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<DeleteOrganization>,
        delete: &DeleteOrganization,
        _: DeletedRepositories,
    ) -> Result<RemovedOrganization, StepError> {
        Ok(remove(tx, cx, delete).await?)
    }

    async fn compensate(
        &self,
        tx: &mut Tx,
        _: &Context<DeleteOrganization>,
        delete: &DeleteOrganization,
        removed: RemovedOrganization,
    ) -> Result<(), StepError> {
        if removed.removed {
            put_back(tx, delete, &removed.robots).await?;
        }
        Ok(())
    }
}

async fn remove(
    tx: &mut Tx,
    cx: &Context<DeleteOrganization>,
    delete: &DeleteOrganization,
) -> Result<RemovedOrganization, Failed> {
    let (id, at) = (delete.organization, cx.clock().now());
    begin_the_time_for_a_revert(tx, &delete.together, at).await?;
    if let Some(organization) = organizations::get(tx, id).await?
        && let Some(used) = still_used(tx, &organization, None).await?
    {
        cx.warn(format!(
            "organization {} stays, because {used} was pushed to it meanwhile",
            delete.organization_label
        ));
        return Ok(RemovedOrganization {
            removed: false,
            robots: Vec::new(),
        });
    }
    let robots = robots::disable_all(tx, id).await?;
    organizations::bury(tx, id, at).await?;
    Ok(RemovedOrganization {
        removed: true,
        robots,
    })
}

async fn put_back(
    tx: &mut Tx,
    delete: &DeleteOrganization,
    robots: &[UserId],
) -> Result<(), Failed> {
    organizations::unbury(tx, delete.organization).await?;
    Ok(robots::enable_all(tx, robots).await?)
}
