//! Puts a message into the mailbox of each task and reads in its journal what came of it.

use super::{BATCH, Bulk, Left, Verb, judge};
use crate::services::Services;
use engine::clock::Timestamp;
use engine::journal::{Entry, Message, PlanId, Row};
use engine::plan::Plan;
use engine::step::{Context, StepError};
use engine::store::{Store as _, StoreError};
use engine::workflow::Workflow;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use storage::Database;
use storage::catalog::audit::{self, NewEntry, Outcome};
use storage::journal::Journal;
use tokio::time::Instant;

/// Whoever owns a task looks into its mailbox once a second, if no hint tells it to.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// What came of all of them.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) done: Vec<PlanId>,
    pub(super) skipped: Vec<Left>,
    pub(super) failed: Vec<Left>,
}

/// Asks each of the tasks once, whoever begins this anew: the message names this plan, and is looked for first.
pub(super) async fn all<W>(cx: &Context<W>, bulk: &Bulk, verb: Verb) -> Result<Asked, StepError>
where
    W: Workflow<Services = Services>,
{
    let asking = Asking {
        database: &cx.services.database,
        journal: Journal::new(cx.services.database.clone()),
        mark: format!("bulk task {}", cx.plan()),
        bulk,
        verb,
    };
    let mut asked = Asked::default();
    for batch in bulk.plans.chunks(BATCH) {
        if cx.cancelled().is_cancelled() {
            let unasked = |id: &PlanId| Left::because(*id, "not asked: the bulk was cancelled");
            asked.skipped.extend(batch.iter().map(unasked));
            continue;
        }
        let mut waiting = asking.deliver(batch, cx.clock().now(), &mut asked).await?;
        let until = Instant::now() + ANSWERS_WITHIN;
        loop {
            asking
                .look(&mut waiting, &mut asked, cx.clock().now())
                .await?;
            let why = if waiting.is_empty() {
                break;
            } else if cx.cancelled().is_cancelled() {
                "asked, and not answered when the bulk was cancelled"
            } else if Instant::now() >= until {
                "has not answered yet; the request is kept and will be handled by the node that owns it"
            } else {
                tokio::time::sleep(LOOKS_EVERY).await;
                continue;
            };
            let unanswered: Vec<PlanId> = std::mem::take(&mut waiting);
            let told = unanswered.iter().map(|id| (*id, Answer::None));
            asking.audit(told.collect(), cx.clock().now()).await?;
            let unanswered = unanswered.into_iter().map(|id| Left::because(id, why));
            asked.failed.extend(unanswered);
            break;
        }
    }
    Ok(asked)
}

struct Asking<'a> {
    database: &'a Database,
    journal: Journal,
    /// Stands in the reason of each message.
    mark: String,
    bulk: &'a Bulk,
    verb: Verb,
}

impl Asking<'_> {
    /// Asks those that can do it and were not asked yet; answers with all that were asked.
    async fn deliver(
        &self,
        batch: &[PlanId],
        at: Timestamp,
        asked: &mut Asked,
    ) -> Result<Vec<PlanId>, StepError> {
        // The mailboxes first: what was read out of one before is in the journal then, which is looked at after.
        let mut unread = HashSet::new();
        for &id in batch {
            if self.lies_in_its_mailbox(id).await? {
                unread.insert(id);
            }
        }
        let mut journals: HashMap<PlanId, Vec<Row>> = self
            .journal
            .load_all(batch.to_vec())
            .await
            .map_err(passing)?
            .into_iter()
            .collect();
        let (mut waiting, mut fresh) = (Vec::new(), Vec::new());
        for &id in batch {
            let Some(rows) = journals.remove(&id) else {
                asked
                    .skipped
                    .push(Left::because(id, "there is no such task any more"));
                continue;
            };
            if unread.contains(&id) || self.answered(&rows).is_some() {
                waiting.push(id);
                continue;
            }
            let plan = Plan::fold(id, &rows);
            let why_not = judge(self.database, &plan, self.verb, at).await;
            match why_not.map_err(StepError::transient)? {
                Some(why) => asked.skipped.push(Left::because(id, why)),
                None => fresh.push(id),
            }
        }
        self.tell(fresh.clone(), at).await?;
        waiting.extend(fresh);
        Ok(waiting)
    }

    /// Writes to each of them in one transaction.
    async fn tell(&self, plans: Vec<PlanId>, at: Timestamp) -> Result<(), StepError> {
        if plans.is_empty() {
            return Ok(());
        }
        let message = Message {
            action: self.verb.action(),
            by: self.bulk.by.clone(),
            reason: Some(self.reason()),
        };
        let told = self.database.transact::<(), StepError>(move |tx| {
            Box::pin(async move {
                for id in plans {
                    let delivered = Journal::deliver_in(tx, id, message.clone(), at).await;
                    delivered.map_err(passing)?;
                }
                Ok(())
            })
        });
        told.await.map_err(StepError::transient)?
    }

    fn reason(&self) -> String {
        match &self.bulk.reason {
            Some(reason) => format!("{reason} ({})", self.mark),
            None => self.mark.clone(),
        }
    }

    /// Sorts out those that have answered.
    async fn look(
        &self,
        waiting: &mut Vec<PlanId>,
        asked: &mut Asked,
        at: Timestamp,
    ) -> Result<(), StepError> {
        if waiting.is_empty() {
            return Ok(());
        }
        let journals = self.journal.load_all(waiting.clone()).await;
        let mut answers = Vec::new();
        for (id, rows) in journals.map_err(passing)? {
            if let Some(answer) = self.answered(&rows) {
                answers.push((id, answer));
            }
        }
        self.audit(answers.clone(), at).await?;
        for (id, answer) in answers {
            waiting.retain(|other| *other != id);
            match answer {
                Answer::Did => asked.done.push(id),
                Answer::Refused(why) => asked.skipped.push(Left::because(id, why)),
                Answer::None => {}
            }
        }
        Ok(())
    }

    /// What came of each goes into the audit, once, however often this begins anew.
    async fn audit(&self, answers: Vec<(PlanId, Answer)>, at: Timestamp) -> Result<(), StepError> {
        if answers.is_empty() {
            return Ok(());
        }
        let (by, reason, action) = (self.bulk.by.clone(), self.reason(), self.verb.audited());
        let recorded = self.database.transact::<(), StepError>(move |tx| {
            Box::pin(async move {
                for (id, answer) in answers {
                    let (result, reason) = match answer {
                        Answer::Did => (Outcome::Done, reason.clone()),
                        Answer::Refused(why) => (Outcome::Refused, format!("{why} ({reason})")),
                        Answer::None => (
                            Outcome::Done,
                            format!("{reason}: asked, and not answered yet"),
                        ),
                    };
                    let entry = NewEntry {
                        actor: by.clone(),
                        action,
                        subject: format!("task {id}"),
                        from: None,
                        result,
                        task: Some(id),
                        reason: Some(reason),
                    };
                    let recorded = audit::record_once(tx, &entry, at).await;
                    recorded.map_err(StepError::transient)?;
                }
                Ok(())
            })
        });
        recorded.await.map_err(StepError::transient)?
    }

    /// What came of the message; none while it was not read.
    fn answered(&self, rows: &[Row]) -> Option<Answer> {
        let entries = rows.iter().flat_map(|row| &row.entries);
        entries.rev().find_map(|entry| {
            let Entry::Operator {
                message, refused, ..
            } = entry
            else {
                return None;
            };
            self.is_ours(message).then_some(match refused {
                None => Answer::Did,
                Some(why) => Answer::Refused(why.clone()),
            })
        })
    }

    async fn lies_in_its_mailbox(&self, id: PlanId) -> Result<bool, StepError> {
        let mail = self.journal.mail(id).await.map_err(passing)?;
        Ok(mail.iter().any(|mail| self.is_ours(&mail.message)))
    }

    fn is_ours(&self, message: &Message) -> bool {
        message.reason.as_ref() == Some(&self.reason())
    }
}

/// What came of a message.
#[derive(Clone)]
enum Answer {
    Did,
    Refused(String),
    /// Nobody has read it yet.
    None,
}

/// Nothing is lost: another attempt asks those that were not asked.
fn passing(error: StoreError) -> StepError {
    StepError::transient(error)
}
