//! Deletes tasks that have been kept long enough after their end, as the setting `task_retention` says.

use super::archive::Archive;
use super::run::PAUSES;
use super::{Cleanup, policy};
use crate::error::Failed;
use crate::export;
use engine::clock::Timestamp;
use engine::journal::{ENGINE, PlanId};
use engine::retention::{Family, Keep, Retention};
use engine::step::{Context, Declared, Policy, Step, StepError};
use engine::store::{Ended, Store as _, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;
use storage::catalog::audit::{self, NewEntry, Outcome};
use storage::catalog::{CatalogError, answers, settings, tallies};
use storage::journal::Journal;
use tokio::time::Instant;

/// So many ends are looked at in one read.
const PAGE: u32 = 500;

/// So many tasks go in one transaction, which everybody else's writes wait for. Families are not torn apart: one that is larger
/// is a transaction of its own.
const BATCH: usize = 10;
/// What counts deleted tasks begins so; how they ended and their workflow follow.
const TALLY: &str = "tasks";

/// What was deleted; in a dry run, what would have been.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedTasks {
    /// How many, with all their sub-tasks.
    pub tasks: u64,
    /// How many by label, and of these by result.
    pub by_label: BTreeMap<String, BTreeMap<String, u64>>,
    /// Where those of the last attempt were written to before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exported_to: Option<PathBuf>,
    /// False: it was cancelled before it had seen all.
    pub complete: bool,
}

/// Looks at all tasks that have ended, the oldest end first.
pub struct DeleteTasks;

impl Declared for DeleteTasks {
    const NAME: &'static str = "delete_tasks";
    const POLICY: Policy = policy();
    type Workflow = Cleanup;
    type Needs = ();
    type Output = DeletedTasks;
}

impl Step for DeleteTasks {
    async fn run(
        &self,
        cx: &Context<Cleanup>,
        input: &Cleanup,
        (): (),
    ) -> Result<DeletedTasks, StepError> {
        let mut run = Run {
            journal: Journal::new(cx.services.database.clone()),
            now: cx.clock().now(),
            archive: archive(cx),
            dry: input.dry_run.then(BTreeMap::new),
            retention: retention(cx).await?,
            cx,
        };
        let complete = run.all().await?;
        if !complete {
            cx.warn("cancelled before it had seen all that has ended; the next run goes on");
        }
        let counted = match run.dry {
            Some(counted) => counted,
            None => counted_by(cx).await?,
        };
        let exported_to = run.archive.and_then(|archive| archive.path());
        let deleted = DeletedTasks::of(&counted, exported_to, complete);
        let verb = if input.dry_run { "would be" } else { "are" };
        tracing::info!(
            task.id = %cx.plan(),
            "cleanup {}: {} tasks {verb} deleted", cx.plan(), deleted.tasks
        );
        Ok(deleted)
    }
}

impl DeletedTasks {
    fn of(counted: &BTreeMap<String, u64>, exported_to: Option<PathBuf>, complete: bool) -> Self {
        let mut deleted = Self {
            exported_to,
            complete,
            ..Self::default()
        };
        for (name, n) in counted {
            let mut parts = name.splitn(3, ' ');
            if let (Some(TALLY), Some(result), Some(label)) =
                (parts.next(), parts.next(), parts.next())
            {
                let of_label = deleted.by_label.entry(label.to_owned()).or_default();
                of_label.insert(result.to_owned(), *n);
                deleted.tasks += n;
            }
        }
        deleted
    }
}

async fn retention(cx: &Context<Cleanup>) -> Result<Retention, Failed> {
    let mut tx = cx.services.database.read().await?;
    Ok(settings::task_retention(&mut tx).await?)
}

/// What this plan has deleted, in all its attempts.
async fn counted_by(cx: &Context<Cleanup>) -> Result<BTreeMap<String, u64>, Failed> {
    let mut tx = cx.services.database.read().await?;
    Ok(tallies::of(&mut tx, cx.plan()).await?)
}

fn archive(cx: &Context<Cleanup>) -> Option<Archive> {
    let folder = cx.services.task_export_dir.as_deref()?;
    let of = format!("{}-{}-{}", cx.plan(), cx.epoch(), cx.attempt());
    Some(Archive::new(folder, &of, cx.clock().now()))
}

struct Run<'a> {
    cx: &'a Context<Cleanup>,
    journal: Journal,
    /// What has its time over now; what comes to that meanwhile is for the next run.
    now: Timestamp,
    retention: Retention,
    archive: Option<Archive>,
    /// What a dry run has counted.
    dry: Option<BTreeMap<String, u64>>,
}

impl Run<'_> {
    /// Goes through all that has ended; false when it was cancelled before the end.
    async fn all(&mut self) -> Result<bool, StepError> {
        let Some(shortest) = self.retention.shortest() else {
            return Ok(true); // all is kept for ever
        };
        let until = self.now - shortest;
        let mut last = None;
        loop {
            let page = self.journal.ended(until, last, PAGE).await;
            let page = page.map_err(passing)?;
            let Some(end) = page.last() else {
                return Ok(true);
            };
            last = Some((end.at, end.plan));
            for batch in batches(self.due(&page).await?) {
                if self.cx.cancelled().is_cancelled() {
                    return Ok(false);
                }
                self.delete(batch).await?;
            }
        }
    }

    /// The families of those whose time is over, where that of all of them is.
    async fn due(&self, page: &[Ended]) -> Result<Vec<Family>, StepError> {
        let is_due = |it: &&Ended| match self.retention.keeps(&it.workflow, it.result) {
            Keep::Forever => false,
            Keep::For(time) => it.at + time <= self.now,
        };
        let plans: Vec<PlanId> = page.iter().filter(is_due).map(|it| it.plan).collect();
        let mut families = self.journal.families(plans).await.map_err(passing)?;
        families.retain(|family| family.may_go(&self.retention, self.now));
        Ok(families)
    }

    async fn delete(&mut self, batch: Vec<Family>) -> Result<(), StepError> {
        if let Some(counted) = &mut self.dry {
            for (name, n) in tally(&batch) {
                *counted.entry(name).or_default() += n;
            }
            return Ok(());
        }
        if let Some(archive) = &mut self.archive {
            let lines = lines(self.cx, &self.journal, &batch, self.now).await?;
            archive.write(&lines).await?;
        }
        let begun = Instant::now();
        forget(self.cx, batch, self.now).await?;
        // Whoever else writes has nearly all of the time: a push has fifteen commits, and each may come just then.
        let pause = (begun.elapsed() * PAUSES).max(Duration::from_millis(1));
        let cancelled = self.cx.cancelled();
        cancelled
            .run_until_cancelled(tokio::time::sleep(pause))
            .await;
        Ok(())
    }
}

/// Whole families, as many as go together.
fn batches(families: Vec<Family>) -> Vec<Vec<Family>> {
    let mut batches: Vec<Vec<Family>> = Vec::new();
    let mut plans = BATCH;
    for family in families {
        plans += family.members.len();
        if plans > BATCH {
            plans = family.members.len();
            batches.push(Vec::new());
        }
        if let Some(batch) = batches.last_mut() {
            batch.push(family);
        }
    }
    batches
}

/// How many there are, by a name of a tally: its first word, how they ended, and the workflow.
fn tally(families: &[Family]) -> BTreeMap<String, u64> {
    let mut counted = BTreeMap::new();
    for member in families.iter().flat_map(|family| &family.members) {
        let name = format!("{TALLY} {} {}", member.result, member.workflow);
        *counted.entry(name).or_default() += 1;
    }
    counted
}

/// All of them, each a line.
async fn lines(
    cx: &Context<Cleanup>,
    journal: &Journal,
    families: &[Family],
    now: Timestamp,
) -> Result<String, StepError> {
    let members = families.iter().flat_map(|family| &family.members);
    let plans: Vec<PlanId> = members.map(|it| it.plan).collect();
    let mut answered = told(cx, &plans).await?;
    let mut lines = String::new();
    for (plan, rows) in journal.load_all(plans).await.map_err(passing)? {
        let children = journal.children(plan).await.map_err(passing)?;
        let answered = answered.remove(&plan);
        let line = export::line(plan, rows, &children, answered.as_ref(), now);
        lines.push_str(&line.map_err(StepError::permanent)?);
        lines.push('\n');
    }
    Ok(lines)
}

async fn told(
    cx: &Context<Cleanup>,
    plans: &[PlanId],
) -> Result<HashMap<PlanId, answers::Answered>, Failed> {
    let mut tx = cx.services.database.read().await?;
    Ok(answers::of(&mut tx, plans).await?)
}

/// Deletes and counts them in one transaction. With the first of them the audit says whose run it was; how many it became, the
/// plan says itself.
async fn forget(
    cx: &Context<Cleanup>,
    batch: Vec<Family>,
    now: Timestamp,
) -> Result<(), StepError> {
    let plan = cx.plan();
    let entry = NewEntry {
        actor: cx.actor().unwrap_or(ENGINE).to_owned(),
        action: audit::Action::Delete,
        subject: "tasks that were kept long enough".to_owned(),
        from: None,
        result: Outcome::Done,
        task: Some(plan),
        reason: Some("setting task_retention".to_owned()),
    };
    let forgotten = cx
        .services
        .database
        .transact::<(), NotForgotten>(move |tx| {
            Box::pin(async move {
                let gone = Journal::forget_in(tx, batch.clone()).await?;
                let is_gone = |family: &Family| {
                    let root = family.members.first();
                    root.is_some_and(|root| gone.contains(&root.plan))
                };
                let families: Vec<Family> = batch.into_iter().filter(is_gone).collect();
                if families.is_empty() {
                    return Ok(());
                }
                let counted = tallies::of(tx, plan).await?;
                let has_begun = |name: &String| name.split(' ').next() == Some(TALLY);
                if !counted.keys().any(has_begun) {
                    audit::record(tx, &entry, now).await?;
                }
                for (name, n) in tally(&families) {
                    tallies::add(tx, plan, &name, n).await?;
                }
                Ok(())
            })
        });
    let forgotten = forgotten.await.map_err(Failed::from)?;
    forgotten.map_err(|error| match error {
        NotForgotten::Store(error) => passing(error),
        NotForgotten::Catalog(error) => Failed::from(error).into(),
    })
}

/// Why nothing was deleted.
enum NotForgotten {
    Store(StoreError),
    Catalog(CatalogError),
}

impl From<StoreError> for NotForgotten {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CatalogError> for NotForgotten {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}

/// Nothing is lost: another attempt finds what is left.
fn passing(error: StoreError) -> StepError {
    StepError::transient(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::journal::PlanResult;
    use engine::retention::Member;
    use engine::state::PlanState;

    fn family(plans: usize) -> Family {
        let member = Member {
            plan: PlanId(uuid::Uuid::nil()),
            workflow: "push".into(),
            state: PlanState::Stopped,
            result: PlanResult::Success,
            ended_at: Some(Timestamp(0)),
            revertible_for: None,
            is_bound: false,
        };
        Family {
            members: vec![member; plans],
        }
    }

    #[test]
    fn families_are_not_torn_apart_and_batches_are_small() {
        let sizes = [1, 8, 2, 1, 400, 6, 6];

        let batches = batches(sizes.map(family).to_vec());

        let plans = |batch: &Vec<Family>| batch.iter().map(|it| it.members.len()).sum::<usize>();
        let plans: Vec<usize> = batches.iter().map(plans).collect();
        assert_eq!(plans, [9, 3, 400, 6, 6]);
    }

    #[test]
    fn what_was_counted_is_told_by_label_and_result() {
        let counted = tally(&[family(2), family(1)]);

        let deleted = DeletedTasks::of(&counted, None, true);

        assert_eq!(deleted.tasks, 3);
        assert_eq!(deleted.by_label["push"]["success"], 3);
    }
}
