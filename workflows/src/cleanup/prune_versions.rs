//! Drops old versions of repositories, as the setting `version_retention` says, and what no version that is left has: manifests,
//! and the links of blobs to the repository.

use super::in_pulp;
use super::run::{Audited, Figures, Run};
use super::{Cleanup, CollectDeleted, CollectedDeleted, policy};
use crate::error::Failed;
use engine::step::{Context, Declared, Policy, Step, StepError};
use serde::{Deserialize, Serialize};
use storage::catalog::{DestinationId, RepositoryId};
use storage::garbage::manifests::MANIFESTS;
use storage::garbage::versions::Table;
use storage::garbage::{BATCH, destinations, manifests, rules, versions};

/// What was dropped; in a dry run, what would have been.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrunedVersions {
    /// How many versions.
    pub versions: u64,
    /// How many manifests, each counted in every repository that had it.
    pub manifests: u64,
    /// The bytes of those that no repository has any more. Blobs are counted where they are collected.
    pub bytes: u64,
    /// False: it was cancelled before it had seen all.
    pub complete: bool,
}

/// Looks at all repositories, but for those that a task is at work on.
pub struct PruneVersions;

impl Declared for PruneVersions {
    const NAME: &'static str = "prune_versions";
    const POLICY: Policy = policy();
    type Workflow = Cleanup;
    type Needs = CollectDeleted;
    type Output = PrunedVersions;
}

impl Step for PruneVersions {
    async fn run(
        &self,
        cx: &Context<Cleanup>,
        input: &Cleanup,
        _: CollectedDeleted,
    ) -> Result<PrunedVersions, StepError> {
        let audited = Audited {
            subject: "versions that are older than those that are kept, and what only they had",
            setting: "version_retention",
        };
        let mut run = Run::begin(cx, input, Self::NAME, Some(audited)).await?;
        prune_all(&mut run).await?;
        let told = run.end().await?;
        Ok(PrunedVersions {
            versions: told.figure("versions"),
            manifests: told.figure("manifests"),
            bytes: told.figure("bytes"),
            complete: told.complete,
        })
    }
}

async fn prune_all(run: &mut Run<'_>) -> Result<(), Failed> {
    let stay = if run.is_dry() {
        in_pulp::would_stay(run).await?.all
    } else {
        Vec::new()
    };
    let mut after = None;
    while run.goes_on() {
        let look = destinations::all(&mut run.read().await?, after).await?;
        after = look.next;
        if after.is_none() {
            break;
        }
        for destination in look.found {
            if !run.goes_on() {
                break;
            }
            if run.is_dry() {
                would_prune(run, destination, &stay).await?;
            } else {
                drop_versions(run, destination).await?;
                drop_manifests(run, destination).await?;
                drop_links(run, destination).await?;
            }
        }
    }
    Ok(())
}

async fn would_prune(
    run: &mut Run<'_>,
    destination: DestinationId,
    stay: &[DestinationId],
) -> Result<(), Failed> {
    let rules = run.rules;
    {
        let mut tx = run.read().await?;
        if !rules::may_be_pruned(&mut tx, destination).await?
            || destinations::is_unused(&mut tx, &rules, destination).await?
        {
            return Ok(());
        }
        let old = versions::count_old(&mut tx, &rules, RepositoryId::from(destination)).await?;
        run.would("versions", old);
    }
    let mut after = Some(String::new());
    while let Some(from) = after
        && run.goes_on()
    {
        let mut tx = run.read().await?;
        let look = manifests::unneeded(&mut tx, &rules, destination, &from).await?;
        let bytes = manifests::would_free(&mut tx, &rules, destination, &look.found, stay);
        let bytes = bytes.await?;
        drop(tx);
        run.would("manifests", look.found.len() as u64);
        run.would("bytes", bytes);
        after = look.next;
    }
    Ok(())
}

/// First the versions, then what was in them: whoever looks for one finds all of it or nothing.
async fn drop_versions(run: &mut Run<'_>, destination: DestinationId) -> Result<(), Failed> {
    let (rules, repository) = (run.rules, RepositoryId::from(destination));
    while run.goes_on() {
        let old = versions::old(&mut run.read().await?, &rules, repository).await?;
        if old.is_empty() {
            break;
        }
        let dropped = run.batch(move |tx| {
            Box::pin(async move {
                let dropped = versions::drop_old(tx, &rules, repository, &old).await?;
                Ok((dropped, Figures::from([("versions", dropped)])))
            })
        });
        if dropped.await? == 0 {
            return Ok(()); // somebody is at work there: the next run looks again
        }
    }
    for table in [
        Table::Content,
        Table::BackendVersions,
        Table::BackendContent,
        Table::LastTouched,
    ] {
        while run.goes_on() {
            let rows = versions::rows(&mut run.read().await?, &rules, table, destination).await?;
            if rows.is_empty() {
                break;
            }
            let deleted = run.batch(move |tx| {
                Box::pin(async move {
                    let rows = versions::delete_rows(tx, &rules, table, destination, &rows);
                    Ok((rows.await?, Figures::new()))
                })
            });
            if deleted.await? == 0 {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn drop_manifests(run: &mut Run<'_>, destination: DestinationId) -> Result<(), Failed> {
    let rules = run.rules;
    let mut after = Some(String::new());
    while let Some(from) = after {
        let look = {
            let mut tx = run.read().await?;
            manifests::unneeded(&mut tx, &rules, destination, &from).await?
        };
        for going in look.found.chunks(MANIFESTS) {
            if !run.goes_on() {
                return Ok(());
            }
            let going = going.to_vec();
            let dropped = run.batch(move |tx| {
                Box::pin(async move {
                    let dropped = manifests::drop_unneeded(tx, &rules, destination, &going).await?;
                    let figures = [("manifests", dropped.0), ("bytes", dropped.1)];
                    Ok(((), Figures::from(figures)))
                })
            });
            dropped.await?;
        }
        after = look.next;
    }
    Ok(())
}

async fn drop_links(run: &mut Run<'_>, destination: DestinationId) -> Result<(), Failed> {
    let rules = run.rules;
    let mut after = Some(String::new());
    while let Some(from) = after {
        let look = {
            let mut tx = run.read().await?;
            manifests::unneeded_links(&mut tx, &rules, destination, &from).await?
        };
        for going in look.found.chunks(BATCH as usize) {
            if !run.goes_on() {
                return Ok(());
            }
            let going = going.to_vec();
            let dropped = run.batch(move |tx| {
                Box::pin(async move {
                    manifests::drop_unneeded_links(tx, &rules, destination, &going).await?;
                    Ok(((), Figures::new()))
                })
            });
            dropped.await?;
        }
        after = look.next;
    }
    Ok(())
}
