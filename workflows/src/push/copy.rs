//! From the push repository into a new version.

use super::Push;
use crate::error::Failed;
use engine::step::{Begun, Context, Declared, Polled, PollingStep, StepError};
use serde::{Deserialize, Serialize};
use storage::Digest;
use storage::catalog::pushed;
use storage::content::Ticket;

/// The version that holds what was pushed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Copied {
    /// The backend's own number of it.
    pub backend_version: i64,
    /// The manifests that were pending and are taken along: children of an index, signatures, what was pushed by digest.
    pub taken_along: Vec<Digest>,
}

/// Brings the pushed content and what is pending beside it into the backend's container repository, as a new repository version.
/// One version per plan, so that a repeat finds it.
pub struct CopyContent;

impl Declared for CopyContent {
    const NAME: &'static str = "copy";
    type Workflow = Push;
    type Needs = ();
    type Output = Copied;
}

impl PollingStep for CopyContent {
    type Ticket = Ticket;

    async fn start(&self, cx: &Context<Push>, push: &Push, (): ()) -> Result<Begun<Copied, Ticket>, StepError> {
        let pending = {
            let mut tx = cx.services.database.read().await.map_err(Failed::from)?;
            pushed::pending(&mut tx, push.to.id).await.map_err(Failed::from)?
        };
        let copied = cx
            .services
            .content
            .copy(push.to.id, cx.plan(), push.tag.clone(), push.manifest.digest, pending, cx.clock().now())
            .await
            .map_err(Failed::from)?;
        Ok(Begun::Done(Copied { backend_version: copied.number, taken_along: copied.taken_along }))
    }

    async fn poll(&self, _: &Context<Push>, _: &Push, ticket: &Ticket) -> Result<Polled<Copied>, StepError> {
        match *ticket {}
    }
}
