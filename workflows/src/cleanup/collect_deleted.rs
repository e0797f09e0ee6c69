//! Deletes repositories and products for good that were deleted longer ago than the setting `undo_window` says.

use super::in_pulp::{self, InPulp};
use super::run::{Audited, Figures, Run};
use super::{Cleanup, SweepDestinations, SweptDestinations, policy};
use crate::error::Failed;
use engine::step::{Context, Declared, Policy, Step, StepError};
use serde::{Deserialize, Serialize};
use storage::catalog::DestinationId;
use storage::garbage::{Left, deleted, products};

/// What was deleted; in a dry run, what would have been.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectedDeleted {
    /// How many repositories.
    pub repositories: u64,
    /// How many products that were deleted with their repositories.
    #[serde(default)]
    pub products: u64,
    /// How many versions the repositories had.
    pub versions: u64,
    /// The bytes of manifests that nobody else has. Blobs are counted where they are collected.
    pub bytes: u64,
    /// How many repositories whose time is over are still in Pulp: it did not answer, or another repository needs a blob of them.
    pub left_in_pulp: u64,
    /// False: it was cancelled before it had seen all.
    pub complete: bool,
}

/// Looks at all repositories that were deleted and can still be brought back.
pub struct CollectDeleted;

impl Declared for CollectDeleted {
    const NAME: &'static str = "collect_deleted";
    const POLICY: Policy = policy();
    type Workflow = Cleanup;
    type Needs = SweepDestinations;
    type Output = CollectedDeleted;
}

impl Step for CollectDeleted {
    async fn run(
        &self,
        cx: &Context<Cleanup>,
        input: &Cleanup,
        _: SweptDestinations,
    ) -> Result<CollectedDeleted, StepError> {
        let audited = Audited {
            subject: "repositories whose delete can no longer be taken back",
            setting: "undo_window",
        };
        let mut run = Run::begin(cx, input, Self::NAME, Some(audited)).await?;
        let left_in_pulp = collect_all(&mut run).await?;
        let told = run.end().await?;
        Ok(CollectedDeleted {
            repositories: told.figure("repositories"),
            products: told.figure("products"),
            versions: told.figure("versions"),
            bytes: told.figure("bytes"),
            left_in_pulp,
            complete: told.complete,
        })
    }
}

async fn collect_all(run: &mut Run<'_>) -> Result<u64, Failed> {
    if run.is_dry() {
        return would_collect_all(run).await;
    }
    if run.cx.services.content.pulp().is_some() {
        in_pulp::take_all(run).await?;
    }
    let (mut after, mut in_pulp) = (None, InPulp::default());
    while run.goes_on() {
        let look = deleted::ripe(&mut run.read().await?, &run.rules, after).await?;
        after = look.next;
        if after.is_none() {
            break;
        }
        for destination in look.found {
            collect(run, &mut in_pulp, destination).await?;
        }
    }
    in_pulp.warn(run);
    collect_products(run).await?;
    let mut tx = run.read().await?;
    Ok(deleted::left_in_pulp(&mut tx, &run.rules).await?)
}

async fn collect(
    run: &mut Run<'_>,
    in_pulp: &mut InPulp,
    destination: DestinationId,
) -> Result<(), Failed> {
    while run.goes_on() {
        let rules = run.rules;
        let collected = run.batch(move |tx| {
            Box::pin(async move {
                let cleared = deleted::collect(tx, &rules, destination).await?;
                let figures = [
                    ("repositories", u64::from(cleared.left == Left::Nothing)),
                    ("versions", cleared.versions),
                    ("bytes", cleared.bytes),
                ];
                Ok((cleared.left, Figures::from(figures)))
            })
        });
        match collected.await? {
            Left::More => {}
            Left::InPulp if in_pulp.remove(run, destination).await? => {}
            Left::InPulp | Left::Nothing | Left::Kept => break,
        }
    }
    Ok(())
}

/// Products go once the last of their repositories has.
async fn collect_products(run: &mut Run<'_>) -> Result<(), Failed> {
    while run.goes_on() {
        let rules = run.rules;
        let collected = run.batch(move |tx| {
            Box::pin(async move {
                let products = products::collect(tx, &rules).await?;
                Ok((products, Figures::from([("products", products)])))
            })
        });
        if collected.await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn would_collect_all(run: &mut Run<'_>) -> Result<u64, Failed> {
    let stay = in_pulp::would_stay(run).await?;
    stay.asked.warn(run);
    let mut after = None;
    while run.goes_on() {
        let look = deleted::ripe(&mut run.read().await?, &run.rules, after).await?;
        after = look.next;
        if after.is_none() {
            break;
        }
        for destination in look.found {
            if stay.in_pulp.contains(&destination) {
                continue;
            }
            let would = {
                let mut tx = run.read().await?;
                deleted::would_collect(&mut tx, &run.rules, destination, &stay.all).await?
            };
            run.would("repositories", 1);
            run.would("versions", would.versions);
            run.would("bytes", would.bytes);
        }
    }
    let rules = run.rules;
    let products = {
        let mut tx = run.read().await?;
        products::would_collect(&mut tx, &rules, &stay.all).await?
    };
    run.would("products", products);
    Ok(stay.in_pulp.len() as u64)
}
