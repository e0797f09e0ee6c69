//! Reading a plan's mailbox, in the order in which its messages came.

use super::actor::{Actor, Lost};
use super::locked;
use crate::decide::{self, Decision, Happening, decide_with};
use crate::journal::Action;
use crate::plan::Plan;
use crate::state::PlanState;
use crate::step::{Services, StepError};
use crate::store::{Append, Appended, Mail, Store, StoreError};

/// What a message came to whose plan goes on after its end.
type GoneOn = (Decision, Appended);

impl<S: Services, St: Store<Tx = S::Tx>> Actor<S, St> {
    /// Reads the messages as far as that can be done here; false when some are left, for a later look or for another node.
    pub(super) async fn read_mail(&mut self, has_code: bool) -> Result<bool, Lost> {
        let id = self.plan.id;
        let mail = match self.node.store.mail(id).await {
            Ok(mail) => mail,
            Err(error) => {
                tracing::warn!(task.id = %id, %error, "the mailbox could not be read; the next poll reads it");
                return Ok(false);
            }
        };
        for mail in mail {
            if !has_code && needs_code(&mail.message.action) {
                return Ok(false);
            }
            let resumes = matches!(
                mail.message.action,
                Action::Resume | Action::ResumeEdited { .. }
            );
            if resumes && self.plan.state == PlanState::Stopped {
                if !self.go_on_after_its_end(mail).await? {
                    return Ok(false);
                }
            } else {
                let Mail { n, message } = mail;
                self.happen(Happening::Mail { n, message }).await?;
            }
        }
        Ok(true)
    }

    /// A plan that failed goes on: it takes its open key again, in the transaction that sees that nobody else has it and that its
    /// workflow has nothing against it. False when nothing was written and it will be tried again.
    async fn go_on_after_its_end(&mut self, mail: Mail) -> Result<bool, Lost> {
        let Mail { n, message } = mail;
        let (plan, node, clock) = (self.plan.clone(), self.node.clone(), self.node.clock);
        let workflow = node.workflows.known.get(plan.workflow()).cloned();
        let (Some(workflow), Some(submitted)) = (workflow, plan.submitted.clone()) else {
            return Ok(false);
        };
        let Ok(input) = (workflow.decode)(&submitted.input) else {
            return Ok(false);
        };
        let (key, unreadable) = match (workflow.read)(&workflow, &submitted.input, None) {
            _ if submitted.parent.is_some() => (None, None), // sub-tasks have none
            Ok((_, key)) => (key, None),
            Err(error) => (None, Some(format!("resume, because {error}"))),
        };
        let (me, nonce, may_go_on) = (node.options.id, node.nonce(), workflow.may_go_on);
        let place = self.a_free_place();
        let mut admission = self.admission();
        if place.is_none() {
            admission.place = decide::Place::Taken;
        }
        let until_durable = node.stamps.begin(clock);
        let committed = node
            .store
            .transact::<GoneOn, StoreError>(Box::new(move |tx| {
                Box::pin(async move {
                    let fits = decide::fits_from(&plan, &message, clock.now()).is_ok();
                    let mut against = unreadable.filter(|_| fits);
                    if let Some(key) = key.clone().filter(|_| fits) {
                        let open = St::open_in(tx, key.clone()).await?;
                        let other = open.into_iter().find(|open| open.key == key);
                        against = other.map(|open| {
                            format!(
                                "resume, because task {} wants the same and is open",
                                open.id
                            )
                        });
                    }
                    if fits && against.is_none() {
                        against = match may_go_on(input, tx, plan.id).await {
                            Ok(()) => None,
                            Err(StepError(error)) if error.transient => {
                                return Err(StoreError::Unavailable(error.message));
                            }
                            Err(StepError(error)) => {
                                Some(format!("resume, because {}", error.message))
                            }
                        };
                    }
                    let goes_on = fits && against.is_none();
                    let happening = match against {
                        Some(why) => Happening::Unfit { n, message, why },
                        None => Happening::Mail { n, message },
                    };
                    let unwritten =
                        |error: &dyn std::fmt::Display| StoreError::Corrupt(error.to_string());
                    let decision = decide_with(&admission, &plan, happening, clock.now(), me)
                        .map_err(|refused| unwritten(&refused))?;
                    let append = Append::new(&plan, &decision, me, nonce)
                        .map_err(|error| unwritten(&error))?;
                    let appended = St::append_in(tx, append).await?;
                    if let Some(key) = key.filter(|_| goes_on && has_work(&decision.next)) {
                        St::give_key_in(tx, plan.id, key).await?;
                    }
                    Ok((decision, appended))
                })
            }))
            .await;
        drop(until_durable);
        match committed.and_then(|done| done) {
            Ok((decision, appended)) => {
                self.place = place.filter(|_| decision.next.is_at_work());
                self.advance(decision.next, &appended);
                let told = decision.notices.iter().map(|(plan, _)| *plan);
                self.node.wake_all(told);
                Ok(true)
            }
            Err(StoreError::Fenced { .. } | StoreError::Corrupt(_)) => Err(Lost),
            Err(error @ (StoreError::Unavailable(_) | StoreError::Full)) => {
                tracing::warn!(task.id = %self.plan.id, %error, "the message is read again later");
                Ok(false)
            }
            Err(StoreError::Unknown(_)) => {
                let seq = self.plan.seq + 1;
                if !self.is_mine(seq, nonce).await? {
                    return Ok(false);
                }
                let rows = self.rows_once_readable(self.plan.id).await;
                let ours = rows.iter().take_while(|row| row.seq <= seq);
                let next = Plan::fold(self.plan.id, ours);
                self.place = place.filter(|_| next.is_at_work());
                self.advance(next, &Appended::default());
                Ok(true)
            }
        }
    }

    /// A plan for which this node has no code: what needs none is read, and nothing of it runs.
    pub(super) async fn without_code(&mut self) -> Result<(), Lost> {
        let (id, workflow) = (self.plan.id, self.plan.workflow().to_owned());
        if locked(&self.node.left_alone).insert(id) {
            tracing::error!(task.id = %id, "task {id} waits: no node here knows workflow `{workflow}` in a readable form");
        }
        self.read_mail(false).await?;
        if self.plan.cancelling {
            self.record_dropped().await?;
        }
        locked(&self.node.actors).remove(&id);
        Ok(())
    }
}

/// The plan is open and not past its locks.
fn has_work(plan: &Plan) -> bool {
    plan.state.is_driven() && !plan.is_past_its_locks()
}

/// It lets something run: a node without the code of the plan leaves it to one that has it.
pub(super) fn needs_code(action: &Action) -> bool {
    match action {
        Action::Resume
        | Action::ResumeEdited { .. }
        | Action::Revert
        | Action::Release
        | Action::Skip { .. }
        | Action::Resolve { .. }
        | Action::RetryNow { .. } => true,
        Action::Unreadable { .. }
        | Action::Cancel
        | Action::Abort
        | Action::Hold
        | Action::Event { .. }
        | Action::ChildMoved { .. }
        | Action::Supersede { .. } => false,
    }
}
