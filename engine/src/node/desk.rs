//! Where the application submits plans inside its own transaction.

use super::places::Place;
use super::{Inner, Node, NodeError, locked};
use crate::decide::{self, Admission};
use crate::journal::{Action, Cause, Json, Message, PlanId, StepIndex};
use crate::plan::Plan;
use crate::priority::Priority;
use crate::step::{BoxFuture, Declared, Services};
use crate::store::{Accepted, Append, OpenPlan, Store, StoreError, Submission};
use crate::workflow::{InputError, Registered, Workflow};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A plan about to be submitted: its input, who wants it, and the steps that the request has done itself.
pub struct Offer<S: Services> {
    pub(super) id: PlanId,
    pub(super) submitted: crate::journal::Submitted,
    pub(super) workflow: Arc<Registered<S>>,
    pub(super) recorded: Vec<(StepIndex, Json)>,
    pub(super) open_key: Option<String>,
}

impl<S: Services> Offer<S> {
    /// The id that the plan will have.
    #[must_use]
    pub fn id(&self) -> PlanId {
        self.id
    }

    /// Step `D` was done by the request itself: its output is recorded with the submit.
    pub fn with_recorded<D: Declared>(mut self, output: &D::Output) -> Result<Self, InputError> {
        let workflow = self.workflow.name;
        let json = Json::of(output).map_err(|source| InputError::NotJson { workflow, source })?;
        if let Some(step) = self.workflow.index_of(D::NAME) {
            self.recorded.push((step, json));
        }
        Ok(self)
    }

    /// How urgent it is, whatever its workflow says.
    #[must_use]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.submitted.priority = priority;
        self
    }

    /// So long after its success it can still be reverted, whatever its workflow says.
    #[must_use]
    pub fn revertible_for(mut self, time: Duration) -> Self {
        self.submitted.revertible_for = Some(time);
        self
    }

    /// Says what started the plan.
    #[must_use]
    pub fn caused_by(mut self, cause: Cause) -> Self {
        self.submitted.cause = Some(cause);
        self
    }
}

/// What submitting came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// A new plan.
    New(PlanId),
    /// An open plan has the same key.
    Open(PlanId),
}

impl Placed {
    /// The plan, new or not.
    #[must_use]
    pub fn plan(self) -> PlanId {
        match self {
            Self::New(plan) | Self::Open(plan) => plan,
        }
    }
}

/// Submits plans and sends messages inside the application's own transaction. What it did counts once that is committed.
pub struct Desk<S: Services, St> {
    node: Arc<Inner<S, St>>,
    done: Arc<Mutex<Done>>,
}

#[derive(Default)]
struct Done {
    plans: Vec<(Plan, Option<Place>)>,
    told: Vec<PlanId>,
}

impl<S: Services, St: Store<Tx = S::Tx>> Desk<S, St> {
    /// Records the plan; the node drives it as soon as the transaction is committed.
    pub async fn submit(&self, tx: &mut St::Tx, offer: Offer<S>) -> Result<Placed, StoreError> {
        let Offer {
            id,
            submitted,
            recorded,
            open_key,
            ..
        } = offer;
        let place = self.node.places.take_in_turn(
            self.node.kind_of(&submitted.workflow),
            submitted.organization.as_ref(),
        );
        let form = forms(&self.node, id, &submitted, &recorded, place.is_some())?;
        let (begun, waiting) = (form.begun.clone(), form.waiting.clone());
        let accepted = St::submit_in(tx, form.submission(open_key)).await?;
        match accepted {
            Accepted::OpenAlready(open) => Ok(Placed::Open(open)),
            Accepted::Recorded { granted } => {
                locked(&self.node.submitting).insert(id);
                let plan = if granted { begun } else { waiting };
                let place = place.filter(|_| plan.is_at_work());
                locked(&self.done).plans.push((plan, place));
                Ok(Placed::New(id))
            }
        }
    }

    /// Puts a message into a plan's mailbox.
    pub async fn tell(
        &self,
        tx: &mut St::Tx,
        plan: PlanId,
        message: Message,
    ) -> Result<(), StoreError> {
        St::deliver_in(tx, plan, message, self.node.clock.now()).await?;
        locked(&self.done).told.push(plan);
        Ok(())
    }

    /// Ends `older`, which is not at work, in favour of `newer`: its open key is free at once.
    pub async fn supersede(
        &self,
        tx: &mut St::Tx,
        older: PlanId,
        newer: PlanId,
        by: &str,
    ) -> Result<(), StoreError> {
        St::take_key_in(tx, older).await?;
        let message = Message {
            action: Action::Supersede { by: newer },
            by: by.to_owned(),
            reason: None,
        };
        self.tell(tx, older, message).await
    }

    /// The open plans whose key begins so.
    pub async fn open(&self, tx: &mut St::Tx, prefix: String) -> Result<Vec<OpenPlan>, StoreError> {
        St::open_in(tx, prefix).await
    }
}

impl<S: Services, St: Store<Tx = S::Tx>> Node<S, St> {
    /// Makes a plan of this input, still to be submitted.
    pub fn offer<W: Workflow<Services = S>>(
        &self,
        input: &W,
        actor: Option<String>,
    ) -> Result<Offer<S>, NodeError> {
        let workflow = self
            .0
            .workflows
            .known
            .get(W::NAME)
            .ok_or_else(|| NodeError::UnknownWorkflow(W::NAME.into()))?
            .clone();
        Ok(Offer {
            id: self.0.chance.plan_id(self.0.clock),
            submitted: workflow.submitted(input, actor)?,
            workflow,
            recorded: Vec::new(),
            open_key: input.open_key(),
        })
    }

    /// Runs the application's work in one transaction; the plans it submits through its desk are driven once that is committed.
    ///
    /// Dropping this future takes nothing back: what is committed then is driven all the same.
    pub async fn transact<T, E, F>(&self, work: F) -> Result<Result<T, E>, NodeError>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: for<'t> FnOnce(&'t mut St::Tx, Desk<S, St>) -> BoxFuture<'t, Result<T, E>>
            + Send
            + 'static,
    {
        if self.0.draining.is_cancelled() {
            return Err(NodeError::Draining);
        }
        let (node, lost) = (self.0.clone(), self.0.lost.clone());
        let done = lost.run_until_cancelled_owned(async move { node.transact(work).await });
        let done = match self.0.tasks.spawn(done).await {
            Ok(Some(done)) => done,
            Ok(None) => Err(StoreError::Unknown("the node was stopped".into())),
            Err(error) => Err(StoreError::Unknown(error.to_string())),
        };
        Ok(done?)
    }

    /// Submits a plan that needs no further writes.
    pub async fn submit<W: Workflow<Services = S>>(
        &self,
        input: &W,
        actor: Option<String>,
    ) -> Result<PlanId, NodeError> {
        let offer = self.offer(input, actor)?;
        let placed = self
            .transact::<Placed, StoreError, _>(move |tx, desk| {
                Box::pin(async move { desk.submit(tx, offer).await })
            })
            .await??;
        Ok(placed.plan())
    }
}

/// A plan about to be submitted, as it is with its locks and as it is without.
pub(super) struct Forms {
    granted: Append,
    queued: Append,
    pub(super) begun: Plan,
    pub(super) waiting: Plan,
}

impl Forms {
    pub(super) fn submission(self, open_key: Option<String>) -> Submission {
        Submission {
            queued: self.queued,
            granted: self.granted,
            open_key,
        }
    }
}

/// Both forms of a plan about to be submitted, for which there is a place or not.
pub(super) fn forms<S: Services, St: Store<Tx = S::Tx>>(
    inner: &Inner<S, St>,
    id: PlanId,
    submitted: &crate::journal::Submitted,
    recorded: &[(StepIndex, Json)],
    has_place: bool,
) -> Result<Forms, StoreError> {
    let admission = Admission {
        place: if has_place {
            decide::Place::Free
        } else {
            decide::Place::Taken
        },
        closed: inner.gates.closed(),
    };
    let (at, node) = (inner.clock.now(), inner.options.id);
    let empty = Plan::empty(id);
    let corrupt = |error: &dyn std::fmt::Display| {
        StoreError::Corrupt(format!("plan {id} as submitted: {error}"))
    };
    let form = |granted| {
        let (submitted, recorded) = (submitted.clone(), recorded.to_vec());
        let decision = decide::submit_with(&admission, id, submitted, recorded, granted, at, node)
            .map_err(|refused| corrupt(&refused))?;
        let append =
            Append::new(&empty, &decision, node, inner.nonce()).map_err(|error| corrupt(&error))?;
        Ok::<_, StoreError>((append, decision.next))
    };
    let ((granted, begun), (queued, waiting)) = (form(true)?, form(false)?);
    Ok(Forms {
        granted,
        queued,
        begun,
        waiting,
    })
}

impl<S: Services, St: Store<Tx = S::Tx>> Inner<S, St> {
    async fn transact<T, E, F>(self: &Arc<Self>, work: F) -> Result<Result<T, E>, StoreError>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: for<'t> FnOnce(&'t mut St::Tx, Desk<S, St>) -> BoxFuture<'t, Result<T, E>>
            + Send
            + 'static,
    {
        let done = Arc::<Mutex<Done>>::default();
        let desk = Desk {
            node: self.clone(),
            done: done.clone(),
        };
        let lease = self.lease.which();
        let result = self
            .store
            .transact::<T, E>(Box::new(move |tx| work(tx, desk)))
            .await;
        let Done { plans, told } = std::mem::take(&mut *locked(&done));
        let committed = matches!(result, Ok(Ok(_)));
        for (plan, place) in plans {
            let id = plan.id;
            if committed {
                self.drive_submitted(plan, lease, place);
            }
            locked(&self.submitting).remove(&id);
        }
        if committed {
            for plan in told {
                self.wake(plan);
            }
        }
        result
    }
}
