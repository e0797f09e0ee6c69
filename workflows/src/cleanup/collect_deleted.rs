//! Deletes repositories and products for good that were deleted longer ago than the setting `undo_window` says.

use super::run::{Audited, Figures, Run};
use super::{Cleanup, SweepDestinations, SweptDestinations, policy};
use crate::error::Failed;
use engine::step::{Context, Declared, Policy, Step, StepError};
use serde::{Deserialize, Serialize};
use storage::catalog::DestinationId;
use storage::garbage::{Left, deleted, products, rules};

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
    /// How many repositories stay where they are, deleted and not collected, because their content lies in Pulp.
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
    let in_use: Vec<DestinationId> = if run.is_dry() {
        let all = rules::all_in_use(&mut run.read().await?).await?;
        all.into_iter().collect()
    } else {
        Vec::new()
    };
    let mut after = None;
    while run.goes_on() {
        let look = deleted::ripe(&mut run.read().await?, &run.rules, after).await?;
        after = look.next;
        if after.is_none() {
            break;
        }
        for destination in look.found {
            if run.is_dry() {
                let mut tx = run.read().await?;
                let would = deleted::would_collect(&mut tx, &run.rules, destination, &in_use);
                let would = would.await?;
                run.would("repositories", 1);
                run.would("versions", would.versions);
                run.would("bytes", would.bytes);
            } else {
                collect(run, destination).await?;
            }
        }
    }
    collect_products(run, &in_use).await?;
    // What lies in Pulp is not deleted there yet: here its repositories, distributions and orphans would be. Until they are, such a
    // repository stays deleted, and is counted.
    deleted::left_in_pulp(&mut run.read().await?, &run.rules)
        .await
        .map_err(Failed::from)
}

/// Products go once the last of their repositories has.
async fn collect_products(run: &mut Run<'_>, in_use: &[DestinationId]) -> Result<(), Failed> {
    let rules = run.rules;
    if run.is_dry() {
        let would = products::would_collect(&mut run.read().await?, &rules, in_use).await?;
        run.would("products", would);
        return Ok(());
    }
    while run.goes_on() {
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

async fn collect(run: &mut Run<'_>, destination: DestinationId) -> Result<(), Failed> {
    let mut left = Left::More;
    while left == Left::More && run.goes_on() {
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
        left = collected.await?;
    }
    Ok(())
}
