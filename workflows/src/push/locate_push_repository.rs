//! Is it really there?

use super::Push;
use crate::error::Failed;
use engine::step::{Begun, Context, Declared, Polled, PollingStep, StepError};
use serde::{Deserialize, Serialize};
use storage::content::Ticket;

/// Where the backend keeps what was pushed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Located {
    /// The backend's own name of the push repository.
    pub push_repository: String,
}

/// Finds the push repository and checks that what was pushed is in it.
pub struct LocatePushRepository;

impl Declared for LocatePushRepository {
    const NAME: &'static str = "locate_push_repository";
    type Workflow = Push;
    type Needs = ();
    type Output = Located;
}

impl PollingStep for LocatePushRepository {
    type Ticket = Ticket;

    async fn start(&self, cx: &Context<Push>, push: &Push, (): ()) -> Result<Begun<Located, Ticket>, StepError> {
        let content = &cx.services.content;
        let found = content.locate_push_repository(push.to.id, &push.tag, &push.manifest.digest).await;
        Ok(Begun::Done(Located { push_repository: found.map_err(Failed::from)? }))
    }

    async fn poll(&self, _: &Context<Push>, _: &Push, ticket: &Ticket) -> Result<Polled<Located>, StepError> {
        match *ticket {}
    }
}
