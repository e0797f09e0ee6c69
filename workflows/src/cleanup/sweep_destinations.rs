//! Deletes destinations that pushes were begun to and that never became a repository, with the blobs linked there.

use super::run::{Figures, Run};
use super::{Cleanup, ExpireUploads, ExpiredUploads, policy};
use crate::error::Failed;
use engine::step::{Context, Declared, Policy, Step, StepError};
use serde::{Deserialize, Serialize};
use storage::catalog::DestinationId;
use storage::garbage::{Left, destinations};

/// What was deleted; in a dry run, what would have been.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweptDestinations {
    /// How many destinations.
    pub destinations: u64,
    /// False: it was cancelled before it had seen all.
    pub complete: bool,
}

/// Looks at all destinations that have no repository.
pub struct SweepDestinations;

impl Declared for SweepDestinations {
    const NAME: &'static str = "sweep_destinations";
    const POLICY: Policy = policy();
    type Workflow = Cleanup;
    type Needs = ExpireUploads;
    type Output = SweptDestinations;
}

impl Step for SweepDestinations {
    async fn run(
        &self,
        cx: &Context<Cleanup>,
        input: &Cleanup,
        _: ExpiredUploads,
    ) -> Result<SweptDestinations, StepError> {
        let mut run = Run::begin(cx, input, Self::NAME, None).await?;
        let mut after = None;
        while run.goes_on() {
            let look = destinations::unused(&mut run.read().await?, &run.rules, after).await;
            let look = look.map_err(Failed::from)?;
            if run.is_dry() {
                run.would("destinations", look.found.len() as u64);
            } else {
                for unused in look.found {
                    sweep(&mut run, unused).await?;
                }
            }
            after = look.next;
            if after.is_none() {
                break;
            }
        }
        let told = run.end().await?;
        Ok(SweptDestinations {
            destinations: told.figure("destinations"),
            complete: told.complete,
        })
    }
}

async fn sweep(run: &mut Run<'_>, unused: DestinationId) -> Result<(), Failed> {
    let mut left = Left::More;
    while left == Left::More && run.goes_on() {
        let rules = run.rules;
        let swept = run.batch(move |tx| {
            Box::pin(async move {
                let cleared = destinations::sweep(tx, &rules, unused).await?;
                let whole = u64::from(cleared.left == Left::Nothing);
                Ok((cleared.left, Figures::from([("destinations", whole)])))
            })
        });
        left = swept.await?;
    }
    Ok(())
}
