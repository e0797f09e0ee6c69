//! Sub-tasks are submitted in the transaction in which their parent records them: of each there is one.

use super::actor::{Actor, Lost};
use super::desk::{Forms, forms};
use super::locked;
use super::places::Place;
use crate::decide::{Decision, Happening, decide_with};
use crate::journal::{Parent, PlanId, RefusedChild, StepIndex, Submitted, Until, WantedChild};
use crate::plan::Plan;
use crate::step::Services;
use crate::store::{Accepted, Append, Appended, Store, StoreError};
use crate::workflow::{InputError, locks};

/// At most so many sub-tasks are submitted in one transaction: it holds the store's writer.
const BATCH: usize = 64;

type Begun = Vec<(Plan, Option<Place>)>;

/// What is submitted in one transaction.
#[derive(Default)]
struct Batch {
    keys: Vec<(String, PlanId)>,
    forms: Vec<(Forms, Option<Place>)>,
    refused: Vec<RefusedChild>,
}

impl<S: Services, St: Store<Tx = S::Tx>> Actor<S, St> {
    /// Submits as many sub-tasks of the step as may be open now. One that cannot be has ended with an error: the step hears of it
    /// when it gathers, because others may be at work inside the locks of its plan.
    pub(super) async fn submit_children(&mut self, step: StepIndex) -> Result<(), Lost> {
        let family = self.plan.steps.get(step).and_then(|it| it.family.as_ref());
        let Some(family) = family.cloned() else {
            return Ok(());
        };
        let mut batch = Batch::default();
        for place in family.may_be_submitted().into_iter().take(BATCH) {
            let wanted = &family.children[place].wanted;
            let id = self.node.chance.plan_id(self.node.clock);
            let key = wanted.key.clone();
            match self.formed(step, id, wanted, family.until) {
                Ok(form) => {
                    batch.forms.push(form);
                    batch.keys.push((key, id));
                }
                Err(why) => batch.refused.push(RefusedChild { key, why }),
            }
        }
        self.submit_all(step, batch).await
    }

    fn formed(
        &self,
        step: StepIndex,
        id: PlanId,
        wanted: &WantedChild,
        until: Until,
    ) -> Result<(Forms, Option<Place>), String> {
        let child = self.child(step, wanted, until);
        let child = child.map_err(|why| why.to_string())?;
        let place = self.node.places.take(self.node.kind_of(&child.workflow));
        let form = forms(&self.node, id, &child, &[], place.is_some());
        form.map(|form| (form, place))
            .map_err(|why| why.to_string())
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
            locks::covered(&self.plan, step, workflow.name, &child.locks)?;
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

    async fn submit_all(&mut self, step: StepIndex, batch: Batch) -> Result<(), Lost> {
        let ids: Vec<PlanId> = batch.keys.iter().map(|(_, id)| *id).collect();
        locked(&self.node.submitting).extend(&ids);
        let lease = self.node.lease.which();
        let submitted = self.in_one_transaction(step, batch).await;
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
        batch: Batch,
    ) -> Result<Option<Begun>, Lost> {
        let (all, places): (Vec<Forms>, Vec<Option<Place>>) = batch.forms.into_iter().unzip();
        let (node, clock) = (self.node.options.id, self.node.clock);
        let happening = Happening::Submitted {
            step,
            children: batch.keys,
            refused: batch.refused,
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
