//! Marks outside of the transaction that records the step: what any other effect is like.

use crate::error::Failed;
use engine::step::{Context, StepError};
use engine::workflow::Workflow;
use std::time::Duration;
use storage::catalog::rehearsals;

use crate::services::Services;

/// The step's mark lies there afterwards; a repeat is counted.
pub(super) async fn leave<W: Workflow<Services = Services>>(
    cx: &Context<W>,
    step: &'static str,
) -> Result<(), StepError> {
    let (plan, at) = (cx.plan(), cx.clock().now());
    let work = cx.services.database.transact::<(), Failed>(move |tx| {
        Box::pin(async move { Ok(rehearsals::leave(tx, plan, step, at).await?) })
    });
    Ok(work.await.map_err(Failed::from)??)
}

/// No mark of this step lies there afterwards.
pub(super) async fn take_away<W: Workflow<Services = Services>>(
    cx: &Context<W>,
    step: &'static str,
) -> Result<(), StepError> {
    let plan = cx.plan();
    let work = cx.services.database.transact::<(), Failed>(move |tx| {
        Box::pin(async move {
            rehearsals::take_away(tx, plan, step).await?;
            Ok(())
        })
    });
    Ok(work.await.map_err(Failed::from)??)
}

/// Works for so long; ends early when the plan is cancelled.
pub(super) async fn work<W: Workflow>(cx: &Context<W>, ms: u64) {
    let done = tokio::time::sleep(Duration::from_millis(ms));
    cx.cancelled().run_until_cancelled(done).await;
}
