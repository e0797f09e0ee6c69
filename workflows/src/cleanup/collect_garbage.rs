//! Deletes blobs that are linked nowhere and that nobody was told of within the setting `blob_grace`, and objects that no row names.
//!
//! ```text
//! row deleted and object doomed (one transaction) -> object deleted -> no longer doomed
//! ```
//!
//! A crash in between leaves a doomed object, which the next run deletes first. Nothing is revived: from the first transaction on
//! the blob is not here, and whoever pushes it again makes a new object.

use super::in_pulp;
use super::run::{Figures, Run};
use super::{Cleanup, PruneVersions, PrunedVersions, policy};
use crate::error::Failed;
use engine::step::{Context, Declared, Policy, Step, StepError};
use serde::{Deserialize, Serialize};
use storage::content::objects::ObjectName;
use storage::garbage::{BATCH, blobs, objects};

/// What was deleted; in a dry run, what would have been.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectedGarbage {
    /// How many blobs.
    pub blobs: u64,
    /// How many bytes they had.
    pub bytes: u64,
    /// How many objects that no row named.
    pub objects_without_row: u64,
    /// False: it was cancelled before it had seen all.
    pub complete: bool,
}

/// Looks at all blobs, then at all objects.
pub struct CollectGarbage;

impl Declared for CollectGarbage {
    const NAME: &'static str = "collect_garbage";
    const POLICY: Policy = policy();
    type Workflow = Cleanup;
    type Needs = PruneVersions;
    type Output = CollectedGarbage;
}

impl Step for CollectGarbage {
    async fn run(
        &self,
        cx: &Context<Cleanup>,
        input: &Cleanup,
        _: PrunedVersions,
    ) -> Result<CollectedGarbage, StepError> {
        let mut run = Run::begin(cx, input, Self::NAME, None).await?;
        let mut left = 0;
        if run.is_dry() {
            would_collect(&mut run).await?;
        } else {
            left += finish(&mut run).await?;
            left += collect_blobs(&mut run).await?;
        }
        left += collect_objects(&mut run).await?;
        if left > 0 {
            cx.warn(format!(
                "{left} objects could not be deleted, as the log says; the next run tries again"
            ));
        }
        let told = run.end().await?;
        Ok(CollectedGarbage {
            blobs: told.figure("blobs"),
            bytes: told.figure("bytes"),
            objects_without_row: told.figure("objects_without_row"),
            complete: told.complete,
        })
    }
}

/// Deletes what an earlier run has doomed; it was counted then.
async fn finish(run: &mut Run<'_>) -> Result<usize, Failed> {
    let (mut after, mut left) = (None, 0);
    while run.goes_on() {
        let doomed = objects::doomed(&mut run.read().await?, after.as_ref()).await?;
        after = doomed.last().cloned();
        if after.is_none() {
            break;
        }
        left += delete(run, doomed).await?;
    }
    Ok(left)
}

/// Deletes doomed objects; answers how many could not be.
async fn delete(run: &Run<'_>, doomed: Vec<ObjectName>) -> Result<usize, Failed> {
    if doomed.is_empty() {
        return Ok(0);
    }
    let all = doomed.len();
    let gone = run.cx.services.content.delete_objects(doomed).await;
    let left = all - gone.len();
    let forgotten = run.batch(move |tx| {
        Box::pin(async move {
            objects::forget(tx, &gone).await?;
            Ok(((), Figures::new()))
        })
    });
    forgotten.await?;
    Ok(left)
}

async fn collect_blobs(run: &mut Run<'_>) -> Result<usize, Failed> {
    let (rules, mut left) = (run.rules, 0);
    let mut after = Some(String::new());
    while let Some(from) = after {
        let look = blobs::unlinked(&mut run.read().await?, &rules, &from).await?;
        for going in look.found.chunks(BATCH as usize) {
            if !run.goes_on() {
                return Ok(left);
            }
            let (going, at) = (going.to_vec(), run.cx.clock().now());
            let doomed = run.batch(move |tx| {
                Box::pin(async move {
                    let collected = blobs::collect(tx, &rules, &going, at).await?;
                    let figures = [("blobs", collected.blobs), ("bytes", collected.bytes)];
                    Ok((collected.objects, Figures::from(figures)))
                })
            });
            let doomed = doomed.await?;
            left += delete(run, doomed).await?;
        }
        after = look.next;
    }
    Ok(left)
}

async fn would_collect(run: &mut Run<'_>) -> Result<(), Failed> {
    let rules = run.rules;
    let stay = in_pulp::would_stay(run).await?.all;
    let mut after = Some(String::new());
    while let Some(from) = after
        && run.goes_on()
    {
        let mut tx = run.read().await?;
        let look = blobs::would_be_unlinked(&mut tx, &rules, &stay, &from).await?;
        drop(tx);
        run.would("blobs", look.found.len() as u64);
        run.would("bytes", look.bytes);
        after = look.next;
    }
    Ok(())
}

/// Objects that an upload left behind which ended without its row, or whose deleting failed.
async fn collect_objects(run: &mut Run<'_>) -> Result<usize, Failed> {
    let content = run.cx.services.content.clone();
    let mut left = 0;
    for prefix in objects::prefixes() {
        let old = content.objects_before(&prefix, run.rules.used_before);
        for some in old.await?.chunks(BATCH as usize) {
            if !run.goes_on() {
                return Ok(left);
            }
            let without = objects::without_row(&mut run.read().await?, some).await?;
            if run.is_dry() {
                run.would("objects_without_row", without.len() as u64);
            } else if !without.is_empty() {
                let at = run.cx.clock().now();
                let doomed = run.batch(move |tx| {
                    Box::pin(async move {
                        let doomed = objects::doom(tx, &without, at).await?;
                        let n = doomed.len() as u64;
                        Ok((doomed, Figures::from([("objects_without_row", n)])))
                    })
                });
                let doomed = doomed.await?;
                left += delete(run, doomed).await?;
            }
        }
    }
    Ok(left)
}
