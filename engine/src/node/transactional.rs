//! Transactional steps of a plan: the writes of a body and the row that records its success are one commit. Steps that follow each
//! other share one, as long as that is short: each has its row, and none begins before the success of those before it is
//! written in the same transaction.

use super::actor::{Actor, Lost, crash};
use super::bodies::{Bodies, InTransaction, panicked};
use super::caller::{Caller, Purpose};
use super::drill::{Effect, ends_by};
use crate::clock::Clock;
use crate::decide::{Admission, Happening, decide_with};
use crate::journal::{Failure, NodeId, PlanId, StepIndex};
use crate::plan::Plan;
use crate::state::StepState;
use crate::step::{Job, Outcome, Services, StepError};
use crate::store::{Append, Appended, Store, StoreError};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A transactional step holds the store's only writer: past this it is rolled back.
const TRANSACTION_LIMIT: Duration = Duration::from_secs(5);

/// After this time no further step begins in the same transaction.
const TOGETHER: Duration = Duration::from_millis(100);

/// A further step that takes longer is rolled back, and then has a transaction to itself.
const FURTHER_STEP_LIMIT: Duration = Duration::from_secs(1);

/// Why transactional steps left no write.
enum NotCommitted {
    Step {
        /// So many before it had done their work.
        after: usize,
        error: StepError,
    },
    Store(StoreError),
}

/// A step whose work is done, in a transaction that is not committed yet.
struct Done {
    step: StepIndex,
    next: Arc<Plan>,
    told: Vec<PlanId>,
    appended: Appended,
}

/// Steps that run in one transaction.
struct Together<S: Services> {
    caller: Caller<S>,
    admission: Admission,
    clock: Clock,
    node: NodeId,
    /// Of each row; so many steps at most.
    nonces: Vec<i64>,
    /// They are not among them.
    busy: Vec<StepIndex>,
}

impl<S: Services> Together<S> {
    async fn run<St: Store<Tx = S::Tx>>(
        self,
        tx: &mut S::Tx,
        mut plan: Arc<Plan>,
        first: InTransaction,
    ) -> Result<Vec<Done>, NotCommitted> {
        let begun = Instant::now();
        let mut done = Vec::new();
        let (mut step, mut undoes) = (first.step, first.undoes);
        for (after, nonce) in self.nonces.iter().enumerate() {
            let failed = |error| NotCommitted::Step { after, error };
            let limit = self.caller.policy(step).timeout.min(if after == 0 {
                TRANSACTION_LIMIT
            } else {
                FURTHER_STEP_LIMIT
            });
            let effect = first.effect.filter(|_| after == 0);
            let happening = self
                .attempt(tx, &plan, (step, undoes), (limit, effect))
                .await
                .map_err(failed)?;
            let decision = decide_with(
                &self.admission,
                &plan,
                happening,
                self.clock.now(),
                self.node,
            )
            .map_err(|refused| failed(StepError::permanent(refused)))?;
            let append = Append::new(&plan, &decision, self.node, *nonce)
                .map_err(|error| failed(StepError::permanent(error)))?;
            let appended = St::append_in(tx, append)
                .await
                .map_err(NotCommitted::Store)?;
            plan = Arc::new(decision.next);
            done.push(Done {
                step,
                next: plan.clone(),
                told: decision.notices.iter().map(|(plan, _)| *plan).collect(),
                appended,
            });
            let next = self
                .next(&plan)
                .filter(|_| !undoes && begun.elapsed() < TOGETHER);
            match next {
                Some(next) => (step, undoes) = (next, false),
                None => break,
            }
        }
        Ok(done)
    }

    /// A step that runs now and can be among them.
    fn next(&self, plan: &Plan) -> Option<StepIndex> {
        (0..plan.steps.len()).find(|step| {
            plan.steps[*step].state == StepState::Running
                && !self.busy.contains(step)
                && self.caller.is_transactional(*step)
        })
    }

    async fn attempt(
        &self,
        tx: &mut S::Tx,
        plan: &Arc<Plan>,
        (step, undoes): (StepIndex, bool),
        (limit, effect): (Duration, Option<Effect>),
    ) -> Result<Happening, StepError> {
        let Job::InTransaction(job) = self.caller.job(plan, step, &Purpose::undoing(undoes), None)
        else {
            return Err(StepError::permanent(
                "a step that runs by itself was given to the store",
            ));
        };
        let body = AssertUnwindSafe(ends_by(effect, job(tx))).catch_unwind();
        let body = tokio::time::timeout(limit, body);
        let outcome = match body.await {
            Err(_) => return Err(StepError(Failure::timeout(limit))),
            Ok(Err(panic)) => return Err(panicked(panic.as_ref())),
            Ok(Ok(outcome)) => outcome?,
        };
        match outcome {
            Outcome::Done { .. } if undoes => Ok(Happening::Undone { step }),
            Outcome::Done { output, warning } => Ok(Happening::Succeeded {
                step,
                output,
                warning,
                form: self.caller.form(step),
            }),
            Outcome::Wait { .. } | Outcome::Await { .. } | Outcome::Spawn { .. } => Err(
                StepError::permanent("a transactional step neither waits nor has sub-tasks"),
            ),
        }
    }
}

impl<S: Services, St: Store<Tx = S::Tx>> Actor<S, St> {
    /// Runs a transactional step, and those that can begin then and can be recorded by the same commit. Where a further one fails
    /// all is rolled back, and those before it run again without it.
    pub(super) async fn transact(
        &mut self,
        first: InTransaction,
        bodies: &Bodies<S, St>,
    ) -> Result<(), Lost> {
        if first.effect == Some(Effect::RunTwice) {
            self.rehearse(first, bodies).await;
        }
        let mut at_most = self.at_most_together(first, bodies).await;
        loop {
            let nonces: Vec<i64> = (0..at_most).map(|_| self.node.nonce()).collect();
            let error = match self.try_together(first, bodies, nonces.clone()).await {
                Ok(done) => {
                    self.record(done);
                    break;
                }
                Err(NotCommitted::Step { after, .. }) if after > 0 => {
                    at_most = after;
                    continue;
                }
                Err(NotCommitted::Step { error, .. }) => error,
                Err(NotCommitted::Store(StoreError::Fenced { .. })) => return Err(Lost),
                Err(NotCommitted::Store(error)) => {
                    let unknown = matches!(error, StoreError::Unknown(_));
                    if unknown && self.is_mine(self.plan.seq + 1, nonces[0]).await? {
                        self.believe(&nonces).await;
                        break;
                    }
                    self.alone = true; // perhaps together they took too long
                    StepError::transient(error).class("store")
                }
            };
            let (policy, form) = (
                bodies.caller().policy(first.step),
                bodies.caller().form(first.step),
            );
            let failed = Err(error);
            self.ask_before_giving_up(first.step, policy, &failed).await;
            let failed = self.happened(first.step, first.undoes, failed, policy, form);
            self.happen(failed).await?;
            break;
        }
        if first.effect == Some(Effect::CrashAfter) {
            crash(&self.plan, first.step);
        }
        Ok(())
    }

    /// One where a drill may befall another, because that is asked before each of them.
    async fn at_most_together(&self, first: InTransaction, bodies: &Bodies<S, St>) -> usize {
        if self.alone || !first.is_plain() {
            return 1;
        }
        match &self.node.drill {
            Some(drill) if drill.may_befall(&self.plan).await => 1,
            _ => self
                .node
                .options
                .steps_per_commit
                .clamp(1, bodies.caller().code.len().max(1)),
        }
    }

    async fn try_together(
        &self,
        first: InTransaction,
        bodies: &Bodies<S, St>,
        nonces: Vec<i64>,
    ) -> Result<Vec<Done>, NotCommitted> {
        let together = Together {
            caller: bodies.caller().clone(),
            admission: self.admission(),
            clock: self.node.clock,
            node: self.node.options.id,
            nonces,
            busy: bodies.busy(),
        };
        let plan = self.plan.clone();
        let _until_durable = self.node.stamps.begin(self.node.clock);
        let committed = self
            .node
            .store
            .transact::<Vec<Done>, NotCommitted>(Box::new(move |tx| {
                Box::pin(together.run::<St>(tx, plan, first))
            }))
            .await;
        committed.unwrap_or_else(|error| Err(NotCommitted::Store(error)))
    }

    /// They are committed.
    fn record(&mut self, all: Vec<Done>) {
        self.alone = false;
        for done in all {
            self.tell_gate_of_success(done.step);
            self.advance(done.next, &done.appended);
            self.node.wake_all(done.told.into_iter());
        }
    }

    /// The plan as these rows have left it. No further: what follows them may be another owner's.
    async fn believe(&mut self, nonces: &[i64]) {
        let rows = self.rows_once_readable(self.plan.id).await;
        let known = self.plan.seq;
        let ours = rows
            .iter()
            .take_while(|row| row.seq <= known || nonces.contains(&row.nonce));
        self.advance(Plan::fold(self.plan.id, ours), &Appended::default());
    }

    /// Runs the body and rolls it back: what a crash before the commit leaves.
    async fn rehearse(&self, work: InTransaction, bodies: &Bodies<S, St>) {
        let purpose = Purpose::undoing(work.undoes);
        let job = bodies.caller().job(&self.plan, work.step, &purpose, None);
        let Job::InTransaction(body) = job else {
            return;
        };
        let rolled_back = self.node.store.transact::<(), ()>(Box::new(move |tx| {
            Box::pin(async move {
                drop(body(tx).await);
                Err(())
            })
        }));
        drop(rolled_back.await);
    }
}
