//! Sub-tasks are submitted in the transaction in which their parent records them: of each there is one.

use super::actor::{Actor, Lost};
use super::desk::{Forms, forms};
use super::locked;
use super::places::Place;
use crate::decide::{Decision, Happening, decide_with};
use crate::journal::{Failure, Parent, PlanId, StepIndex, Submitted, Until, WantedChild};
use crate::lock::{LockMode, LockRequest, LockState};
use crate::plan::{Plan, PlanLock};
use crate::step::Services;
use crate::store::{Accepted, Append, Appended, Store, StoreError};
use crate::workflow::InputError;

/// At most so many sub-tasks are submitted in one transaction: it holds the store's writer.
const BATCH: usize = 64;

type Begun = Vec<(Plan, Option<Place>)>;

impl<S: Services, St: Store<Tx = S::Tx>> Actor<S, St> {
    /// Submits as many sub-tasks of the step as may be open now.
    pub(super) async fn submit_children(&mut self, step: StepIndex) -> Result<(), Lost> {
        let family = self.plan.steps.get(step).and_then(|it| it.family.as_ref());
        let Some(family) = family.cloned() else {
            return Ok(());
        };
        let mut forms_of_all = Vec::new();
        let mut keys = Vec::new();
        for place in family.may_be_submitted().into_iter().take(BATCH) {
            let wanted = &family.children[place].wanted;
            let id = self.node.chance.plan_id(self.node.clock);
            let form = self
                .child(step, wanted, family.until)
                .map_err(|why| why.to_string())
                .and_then(|child| {
                    let place = self.node.places.take(self.node.kind_of(&child.workflow));
                    forms(&self.node, id, &child, &[], place.is_some())
                        .map(|form| (form, place))
                        .map_err(|why| why.to_string())
                });
            match form {
                Ok(form) => forms_of_all.push(form),
                Err(why) => return self.cannot_spawn(step, &wanted.key, &why).await,
            }
            keys.push((wanted.key.clone(), id));
        }
        self.submit_all(step, keys, forms_of_all).await
    }

    /// The sub-task as a plan of its own.
    ///
    /// One whose end is waited for runs inside the locks of its parent, and asks for none. One that may be left to go on alone has
    /// its own: while it waits for them its parent does not wait for it.
    fn child(
        &self,
        step: StepIndex,
        wanted: &WantedChild,
        until: Until,
    ) -> Result<Submitted, ChildError> {
        let name = &wanted.workflow;
        let workflow = self.node.workflows.known.get(name.as_str());
        let workflow = workflow.ok_or_else(|| ChildError::Unknown(name.clone()))?;
        let parent = self.plan.submitted.as_ref();
        let actor = parent.and_then(|it| it.actor.clone());
        let (mut child, _) = (workflow.read)(workflow, &wanted.input, actor)?;
        if until == Until::Ended {
            self.check_covered(step, workflow.name, &child.locks)?;
            child.locks.clear();
        }
        // Whoever waits for the parent waits for it.
        child.priority = parent.map_or(child.priority, |it| it.priority);
        child.parent = Some(Parent {
            plan: self.plan.id,
            until,
        });
        child
            .links
            .push(("parent".into(), self.plan.id.to_string()));
        if child.organization.is_none() {
            child.organization = parent.and_then(|it| it.organization.clone());
        }
        Ok(child)
    }

    /// Each of these locks of a sub-task is one that its parent holds now, and for as long as this step takes.
    fn check_covered(
        &self,
        step: StepIndex,
        workflow: &'static str,
        locks: &[LockRequest],
    ) -> Result<(), ChildError> {
        let is_of = |lock: &LockRequest, held: &PlanLock| held.request.resource == lock.resource;
        for lock in locks {
            let held = self.plan.locks.iter().find(|held| is_of(lock, held));
            let held = held.filter(|held| {
                held.state == LockState::Held
                    && (held.request.mode == LockMode::Exclusive || lock.mode == LockMode::Shared)
            });
            let resource = || lock.resource.clone();
            let Some(held) = held else {
                let resource = resource();
                return Err(InputError::LockOutsideParent { workflow, resource }.into());
            };
            let until = held.request.until;
            if !until.is_none_or(|until| self.plan.comes_after(step, until)) {
                let resource = resource();
                return Err(InputError::LockEndsBefore { workflow, resource }.into());
            }
        }
        Ok(())
    }

    async fn cannot_spawn(&mut self, step: StepIndex, key: &str, why: &str) -> Result<(), Lost> {
        let error = Failure::new("sub_tasks", format!("sub-task `{key}`: {why}"), false);
        self.happen(Happening::Failed {
            step,
            error,
            retry_at: self.node.clock.now(),
        })
        .await
    }

    async fn submit_all(
        &mut self,
        step: StepIndex,
        keys: Vec<(String, PlanId)>,
        all: Vec<(Forms, Option<Place>)>,
    ) -> Result<(), Lost> {
        let ids: Vec<PlanId> = keys.iter().map(|(_, id)| *id).collect();
        locked(&self.node.submitting).extend(&ids);
        let lease = self.node.lease.which();
        let submitted = self.in_one_transaction(step, keys, all).await;
        let submitted = submitted.map(|plans| {
            for (plan, place) in plans.into_iter().flatten() {
                let place = place.filter(|_| plan.is_at_work());
                self.node.drive_submitted(plan, lease, place);
            }
        });
        for id in &ids {
            locked(&self.node.submitting).remove(id);
        }
        submitted
    }

    /// The sub-tasks as they begin; none when nothing was written and it will be tried again.
    async fn in_one_transaction(
        &mut self,
        step: StepIndex,
        keys: Vec<(String, PlanId)>,
        all: Vec<(Forms, Option<Place>)>,
    ) -> Result<Option<Begun>, Lost> {
        let (all, places): (Vec<Forms>, Vec<Option<Place>>) = all.into_iter().unzip();
        let (node, clock) = (self.node.options.id, self.node.clock);
        let happening = Happening::Submitted {
            step,
            children: keys,
        };
        let until_durable = self.node.stamps.begin(clock);
        let decision = decide_with(&self.admission(), &self.plan, happening, clock.now(), node);
        let Ok(decision) = decision else {
            return Ok(None);
        };
        let Ok(append) = Append::new(&self.plan, &decision, node, self.node.nonce()) else {
            return Err(Lost);
        };
        let (seq, nonce) = (append.row.seq, append.row.nonce);
        let either: Vec<(Plan, Plan)> = all
            .iter()
            .map(|form| (form.begun.clone(), form.waiting.clone()))
            .collect();
        let committed = self
            .node
            .store
            .transact::<(Vec<bool>, Appended), StoreError>(Box::new(move |tx| {
                Box::pin(async move {
                    let mut granted = Vec::with_capacity(all.len());
                    for form in all {
                        let accepted = St::submit_in(tx, form.submission(None)).await?;
                        granted.push(accepted == Accepted::Recorded { granted: true });
                    }
                    let appended = St::append_in(tx, append).await?;
                    Ok((granted, appended))
                })
            }))
            .await;
        drop(until_durable);
        match committed.and_then(|done| done) {
            Ok((granted, appended)) => {
                self.advance(decision.next, &appended);
                let begun = either.into_iter().zip(granted);
                let begun =
                    begun.map(|((begun, waiting), granted)| if granted { begun } else { waiting });
                Ok(Some(begun.zip(places).collect()))
            }
            Err(StoreError::Fenced { .. } | StoreError::Corrupt(_)) => Err(Lost),
            Err(error @ (StoreError::Unavailable(_) | StoreError::Full)) => {
                self.again_later(&error).await;
                Ok(None)
            }
            Err(error @ StoreError::Unknown(_)) => {
                tracing::warn!(task.id = %self.plan.id, %error, "sub-tasks are read back");
                if self.is_mine(seq, nonce).await? {
                    let begun = self.read_back(decision).await?;
                    let seated = begun.into_iter().flatten().zip(places);
                    Ok(Some(seated.collect()))
                } else {
                    Ok(None)
                }
            }
        }
    }

    async fn again_later(&self, error: &StoreError) {
        tracing::warn!(task.id = %self.plan.id, %error, "sub-tasks are submitted again later");
        tokio::time::sleep(self.node.options.poll).await;
    }

    /// The outcome was unknown and is known now: they are all there.
    async fn read_back(&mut self, decision: Decision) -> Result<Option<Vec<Plan>>, Lost> {
        let known: Vec<PlanId> = self.plan.children().filter_map(|it| it.plan).collect();
        let fresh = decision.next.children().filter_map(|it| it.plan);
        let fresh: Vec<PlanId> = fresh.filter(|plan| !known.contains(plan)).collect();
        let mut begun = Vec::new();
        for plan in fresh {
            begun.push(Plan::fold(plan, &self.rows_once_readable(plan).await));
        }
        self.advance(decision.next, &Appended::default());
        Ok(Some(begun))
    }
}

/// Why a sub-task does not become a plan.
#[derive(Debug, thiserror::Error)]
enum ChildError {
    #[error("this node does not know workflow `{0}`")]
    Unknown(String),
    #[error(transparent)]
    Input(#[from] InputError),
}
