//! Bringing back many repositories.

use super::{MOST_REPOSITORIES, Together};
use crate::delete_repository::publish_again;
use crate::error::Failed;
use crate::services::Services;
use engine::clock::Timestamp;
use engine::journal::{Action, ENGINE, Message, PlanId, PlanResult};
use engine::plan::Plan;
use engine::search::Search;
use engine::state::PlanState;
use engine::step::Context;
use engine::store::{Page, Store as _};
use engine::workflow::Workflow;
use std::collections::HashSet;
use std::time::Duration;
use storage::catalog::{destinations, tombstones};
use storage::journal::Journal;

/// It looks so often how far the sub-tasks are.
const LOOKS_EVERY: Duration = Duration::from_millis(50);

/// Brings back all of them: the sub-tasks that have deleted some are undone, and what none had come to is published again.
pub(super) async fn bring_back<W>(cx: &Context<W>, together: &Together) -> Result<(), Failed>
where
    W: Workflow<Services = Services>,
{
    undo_sub_tasks(cx).await?;
    let at = cx.clock().now();
    for (_, delete) in together.sub_tasks() {
        let back = cx.services.database.transact::<(), Failed>(move |tx| {
            Box::pin(async move {
                let of = &delete.repository;
                let is_live = destinations::is_live(tx, of.id).await?;
                if is_live || !tombstones::of(tx, of.id).await?.is_empty() {
                    return Ok(());
                }
                publish_again(tx, &delete, &of.name, at).await
            })
        });
        back.await??;
    }
    Ok(())
}

/// Tells each sub-task of the plan to undo what it did, and waits until all have.
async fn undo_sub_tasks<W>(cx: &Context<W>) -> Result<(), Failed>
where
    W: Workflow<Services = Services>,
{
    let journal = Journal::new(cx.services.database.clone());
    let mut left = sub_tasks_of(&journal, cx.plan()).await?;
    let mut told = HashSet::new();
    loop {
        let mut waiting = Vec::new();
        for id in left {
            // The mailbox first: what was read out of it before is in the journal then.
            let mail = journal.mail(id).await.map_err(Failed::later)?;
            let rows = journal.load(id).await.map_err(Failed::later)?;
            let sub_task = Plan::fold(id, &rows);
            let has_ended = sub_task.state == PlanState::Stopped;
            if has_ended && sub_task.result == PlanResult::Reverted {
                continue;
            }
            waiting.push(id);
            if !mail.is_empty() || !(has_ended || sub_task.state == PlanState::Paused) {
                continue;
            }
            if !told.insert(id) {
                return Err(Failed::for_good(format!(
                    "sub-task {id} could not be undone: look at what it says, resume it, and then this task"
                )));
            }
            tell(cx, id, sub_task.reverting).await?;
        }
        left = waiting;
        if left.is_empty() {
            return Ok(());
        }
        let pause = tokio::time::sleep(LOOKS_EVERY);
        let stopped = cx.cancelled().run_until_cancelled(pause).await.is_none();
        if stopped {
            return Err(Failed::later(format!(
                "{} sub-tasks were not undone yet when it was stopped",
                left.len()
            )));
        }
    }
}

async fn tell<W>(cx: &Context<W>, id: PlanId, reverting: bool) -> Result<(), Failed>
where
    W: Workflow<Services = Services>,
{
    let action = if reverting {
        Action::Resume
    } else {
        Action::Revert
    };
    let message = Message {
        action,
        by: ENGINE.to_owned(),
        reason: Some(format!("its parent, task {}, is reverted", cx.plan())),
    };
    let at = cx.clock().now();
    let told = cx.services.database.transact::<i64, Failed>(move |tx| {
        Box::pin(async move {
            let delivered = Journal::deliver_in(tx, id, message, at).await;
            delivered.map_err(Failed::later)
        })
    });
    told.await??;
    Ok(())
}

async fn sub_tasks_of(journal: &Journal, parent: PlanId) -> Result<Vec<PlanId>, Failed> {
    let search = Search::parse(&format!("parent = {parent}"), Timestamp::default());
    let search = search.map_err(Failed::for_good)?;
    let page = Page {
        limit: u32::try_from(MOST_REPOSITORIES).unwrap_or(u32::MAX),
        ..Page::default()
    };
    let found = journal.list(search, page).await.map_err(Failed::later)?;
    Ok(found.plans)
}
