//! From the push repository into a new version.

use super::Push;
use crate::error::Failed;
use crate::gate;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::catalog::{RepositoryId, pushed, versions};
use storage::content::versions::{self as backend, Brought};
use storage::{Digest, Tx};

/// The version that holds what was pushed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Copied {
    /// The backend's own number of it.
    pub backend_version: i64,
    /// The manifests that were pending and are taken along: children of an index, signatures, what was pushed by digest.
    pub taken_along: Vec<Digest>,
}

/// Brings the pushed content and what is pending beside it into the backend's container repository, as a new repository version:
/// what is published, and what this plan has pushed. The tags of pushes that are paused or were not to be are not in it.
/// One version per plan, so that a repeat finds it.
pub struct CopyContent;

impl Declared for CopyContent {
    const NAME: &'static str = "copy";
    const POLICY: Policy = Policy::idempotent().gate(gate::CONTENT);
    type Workflow = Push;
    type Needs = ();
    type Output = Copied;
}

impl TransactionalStep for CopyContent {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<Push>,
        push: &Push,
        (): (),
    ) -> Result<Copied, StepError> {
        Ok(copy(tx, cx, push).await?)
    }
}

async fn copy(tx: &mut Tx, cx: &Context<Push>, push: &Push) -> Result<Copied, Failed> {
    let to = push.to.id;
    let taken_along = pushed::pending(tx, to).await?;
    let manifests: Vec<Digest> = push.digests.iter().chain(&taken_along).copied().collect();
    let brought = Brought {
        plan: cx.plan(),
        tag: push.tagged(),
        manifests: &manifests,
    };
    let base = versions::base(tx, RepositoryId::from(to)).await?;
    let backend_version = backend::copy(tx, to, brought, base, cx.clock().now()).await?;
    backend::check(tx, to, backend_version, push.tagged(), &push.digests).await?;
    Ok(Copied {
        backend_version,
        taken_along,
    })
}
