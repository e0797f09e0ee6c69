//! Who pushes, and may he?

use super::Push;
use crate::destination::{self, PushName, ResolveError};
use crate::error::Failed;
use crate::permission::{self, Verdict};
use engine::journal::Rescue;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::{OrganizationId, ProductId, users};

/// What the rights were judged on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Authorized {
    /// The organization pushed to.
    pub organization: OrganizationId,
    /// The product, when it existed.
    pub product: Option<ProductId>,
}

/// Records who pushes, resolves organization and product, and checks the rights. Mostly recorded with the submit, because the
/// request has just checked them.
pub struct Authorize;

impl Declared for Authorize {
    const NAME: &'static str = "authorize";
    const POLICY: Policy = Policy::idempotent().rescue(Rescue::Fail);
    type Workflow = Push;
    type Needs = ();
    type Output = Authorized;
}

impl TransactionalStep for Authorize {
    async fn run(
        &self,
        tx: &mut Tx,
        _: &Context<Push>,
        push: &Push,
        (): (),
    ) -> Result<Authorized, StepError> {
        Ok(judge(tx, push).await?)
    }
}

/// Whether the pusher may do everything that this push needs, as of now.
pub(crate) async fn judge(tx: &mut Tx, push: &Push) -> Result<Authorized, Failed> {
    let user = users::get(tx, push.user).await?.filter(|user| user.enabled);
    let Some(user) = user else {
        return Err(Failed::for_good(format!(
            "user `{}` does not exist any more or is disabled",
            push.login
        )));
    };
    let name: PushName = push.to.label_form().parse().map_err(Failed::for_good)?;
    let to = destination::resolve(tx, &name)
        .await
        .map_err(|error| match error {
            ResolveError::Catalog(error) => Failed::from(error),
            error @ (ResolveError::UnknownOrganization { .. }
            | ResolveError::UnknownProduct { .. }
            | ResolveError::LabelOfEnvironment { .. }
            | ResolveError::PublishedName { .. }
            | ResolveError::Name(_)) => Failed::for_good(error),
        })?;
    match permission::judge_push(tx, &user, &to).await? {
        Verdict::Allowed => Ok(Authorized {
            organization: to.organization.id,
            product: to.product.map(|product| product.id),
        }),
        Verdict::Denied(denied) => Err(Failed::for_good(denied)),
    }
}
