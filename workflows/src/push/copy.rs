//! From the push repository into a new version.

use super::elsewhere::{SOONEST, asked, find, in_pulp, pulp};
use super::{LocatePushRepository, Located, Push};
use crate::error::Failed;
use crate::gate;
use engine::clock::Timestamp;
use engine::journal::PlanId;
use engine::step::{
    Begun, Context, Declared, Policy, Polled, PollingStep, StepError, TransactionalStep,
};
use serde::{Deserialize, Serialize};
use storage::catalog::{RepositoryId, pushed, versions};
use storage::content::pulp::{CopyTicket, tie};
use storage::content::versions::{self as backend, Brought};
use storage::{Digest, Tx};

/// The version that holds what was pushed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Copied {
    /// The backend's own number of it.
    pub backend_version: i64,
    /// The manifests that were pending and are taken along: children of an index, signatures, what was pushed by digest.
    pub taken_along: Vec<Digest>,
    /// Where Pulp is the backend: the repository that has the version there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulp: Option<InPulpVersion>,
}

/// A version in Pulp.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InPulpVersion {
    /// The repository.
    pub repository: String,
    /// The number of the version.
    pub number: i64,
}

/// Brings the pushed content and what is pending beside it into the backend's container repository, as a new repository version:
/// what is published, and what this plan has pushed. The tags of pushes that are paused or were not to be are not in it.
/// One version per plan, so that a repeat finds it.
#[derive(Clone, Copy)]
pub struct CopyContent;

impl Declared for CopyContent {
    const NAME: &'static str = "copy";
    const POLICY: Policy = Policy::idempotent().gate(gate::CONTENT);
    const ELSEWHERE: Policy = in_pulp();
    type Workflow = Push;
    type Needs = LocatePushRepository;
    type Output = Copied;
}

impl TransactionalStep for CopyContent {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<Push>,
        push: &Push,
        _: Located,
    ) -> Result<Copied, StepError> {
        let pending = pushed::pending(tx, push.to.id).await;
        let taken_along = pending.map_err(Failed::from)?;
        Ok(copy(tx, cx.plan(), push, taken_along, cx.clock().now()).await?)
    }
}

/// In Pulp it is a task, which makes a version of its own there. What that has, ours has from the moment it is known to.
impl PollingStep for CopyContent {
    type Ticket = CopyTicket;

    async fn start(
        &self,
        cx: &Context<Push>,
        push: &Push,
        located: Located,
    ) -> Result<Begun<Copied, CopyTicket>, StepError> {
        let (content, asked) = (&cx.services.content, asked(cx));
        let found = match located.pulp {
            // Meanwhile somebody may have changed what was found.
            _ if asked.again => find(cx, push).await?,
            Some(found) => found,
            None => {
                return Err(StepError::permanent(
                    "step locate_push_repository has looked in another backend",
                ));
            }
        };
        let tagged = push.tagged().map(|(_, digest)| digest);
        let begun = content.begin_copy(pulp(cx)?, push.to.id, found, tagged, asked);
        Ok(Begun::Later(begun.await.map_err(Failed::from)?, SOONEST))
    }

    async fn poll(
        &self,
        cx: &Context<Push>,
        push: &Push,
        ticket: &CopyTicket,
    ) -> Result<Polled<Copied>, StepError> {
        let (content, to) = (&cx.services.content, push.to.id);
        let brought: Vec<Digest> = push.all_digests().copied().collect();
        let copied = content.copied(pulp(cx)?, to, ticket, &brought).await;
        let Some(number) = copied.map_err(Failed::from)? else {
            return Ok(Polled::NotYet);
        };
        let (push, plan, at) = (push.clone(), cx.plan(), cx.clock().now());
        let (taken_along, repository) = (ticket.taken_along.clone(), ticket.repository.clone());
        let recorded = cx.services.database.transact::<Copied, Failed>(move |tx| {
            Box::pin(async move {
                let copied = copy(tx, plan, &push, taken_along, at).await?;
                tie(tx, to, plan, &repository, number).await?;
                Ok(copied)
            })
        });
        let copied = recorded.await.map_err(Failed::from)??;
        Ok(Polled::Done(Copied {
            pulp: Some(InPulpVersion {
                repository: ticket.repository.clone(),
                number,
            }),
            ..copied
        }))
    }
}

async fn copy(
    tx: &mut Tx,
    plan: PlanId,
    push: &Push,
    taken_along: Vec<Digest>,
    at: Timestamp,
) -> Result<Copied, Failed> {
    let to = push.to.id;
    let manifests: Vec<Digest> = push.digests.iter().chain(&taken_along).copied().collect();
    let brought = Brought {
        plan,
        tag: push.tagged(),
        manifests: &manifests,
    };
    let base = versions::base(tx, RepositoryId::from(to)).await?;
    let backend_version = backend::copy(tx, to, brought, base, at).await?;
    backend::check(tx, to, backend_version, push.tagged(), &push.digests).await?;
    Ok(Copied {
        backend_version,
        taken_along,
        pulp: None,
    })
}
