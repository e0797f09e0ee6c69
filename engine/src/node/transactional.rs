//! A transactional step of a plan: the writes of its body and the row that records its success are one commit.

use super::actor::{Actor, Lost, crash};
use super::bodies::{InTransaction, panicked};
use crate::decide::{Decision, Happening, decide_with};
use crate::journal::Failure;
use crate::plan::Plan;
use crate::step::{Outcome, Policy, Services, StepError, Work};
use crate::store::{Append, Appended, Store, StoreError};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// A transactional step holds the store's only writer: past this it is rolled back.
const TRANSACTION_LIMIT: Duration = Duration::from_secs(5);

/// Why a transactional step left no write.
enum NotCommitted {
    Step(StepError),
    Store(StoreError),
}

impl<S: Services, St: Store<Tx = S::Tx>> Actor<S, St> {
    /// Runs a transactional step: its writes and the row that records its success are one commit.
    pub(super) async fn transact(
        &mut self,
        work: InTransaction<St::Tx>,
        policy: Policy,
    ) -> Result<(), Lost> {
        let InTransaction {
            step,
            undoes,
            form,
            job,
            rehearsal,
            limit,
            crashes_after,
        } = work;
        if let Some(rehearsal) = rehearsal {
            self.rehearse(rehearsal).await;
        }
        let (plan, node, clock, nonce) = (
            self.plan.clone(),
            self.node.options.id,
            self.node.clock,
            self.node.nonce(),
        );
        let (seq, admission) = (plan.seq + 1, self.admission());
        let limit = limit.min(TRANSACTION_LIMIT);
        let until_durable = self.node.stamps.begin(clock);
        let committed = self
            .node
            .store
            .transact::<(Decision, Appended), NotCommitted>(Box::new(move |tx| {
                Box::pin(async move {
                    let body =
                        tokio::time::timeout(limit, AssertUnwindSafe(job(tx)).catch_unwind());
                    let outcome = match body.await {
                        Err(_) => Err(StepError(Failure::timeout(limit))),
                        Ok(Err(panic)) => Err(panicked(panic.as_ref())),
                        Ok(Ok(outcome)) => outcome,
                    };
                    let Outcome::Done { output, warning } = outcome.map_err(NotCommitted::Step)?
                    else {
                        return Err(NotCommitted::Step(StepError::permanent(
                            "a transactional step has no ticket",
                        )));
                    };
                    let happening = if undoes {
                        Happening::Undone { step }
                    } else {
                        Happening::Succeeded {
                            step,
                            output,
                            warning,
                            form,
                        }
                    };
                    let decision = decide_with(&admission, &plan, happening, clock.now(), node)
                        .map_err(|refused| NotCommitted::Step(StepError::permanent(refused)))?;
                    let append = Append::new(&plan, &decision, node, nonce)
                        .map_err(|error| NotCommitted::Step(StepError::permanent(error)))?;
                    let appended = St::append_in(tx, append)
                        .await
                        .map_err(NotCommitted::Store)?;
                    Ok((decision, appended))
                })
            }))
            .await;
        drop(until_durable);
        match committed {
            Ok(Ok((decision, appended))) => {
                self.advance(decision.next, &appended);
                self.node
                    .wake_all(decision.notices.iter().map(|(plan, _)| *plan));
            }
            Ok(Err(NotCommitted::Step(error))) => {
                self.happen(self.happened(step, undoes, Err(error), policy, form))
                    .await?;
            }
            Ok(Err(NotCommitted::Store(StoreError::Fenced { .. }))) => return Err(Lost),
            Ok(Err(NotCommitted::Store(error))) | Err(error) => {
                if matches!(error, StoreError::Unknown(_)) && self.is_mine(seq, nonce).await? {
                    // No further than this row: what follows it may be another owner's.
                    let rows = self.rows_once_readable(self.plan.id).await;
                    let ours = rows.iter().take_while(|row| row.seq <= seq);
                    self.advance(Plan::fold(self.plan.id, ours), &Appended::default());
                } else {
                    let error = StepError::transient(error).class("store");
                    self.happen(self.happened(step, undoes, Err(error), policy, form))
                        .await?;
                }
            }
        }
        if crashes_after {
            crash(&self.plan, step);
        }
        Ok(())
    }

    /// Runs the body and rolls it back: what a crash before the commit leaves.
    async fn rehearse(&self, body: Work<St::Tx, Outcome, StepError>) {
        let rolled_back = self.node.store.transact::<(), ()>(Box::new(move |tx| {
            Box::pin(async move {
                drop(body(tx).await);
                Err(())
            })
        }));
        drop(rolled_back.await);
    }
}
