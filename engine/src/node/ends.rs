//! What comes of what was under way of a plan: the end of a body, of a poll, of a wait.

use super::actor::{Actor, Lost, crash};
use super::bodies::{Bodies, Ended};
use crate::clock::Timestamp;
use crate::decide::Happening;
use crate::journal::StepIndex;
use crate::state::StepState;
use crate::step::{Outcome, Policy, Services, StepError};
use crate::store::Store;

/// At most so many ends of bodies go into one row.
const TOGETHER: usize = 64;

impl<S: Services, St: Store<Tx = S::Tx>> Actor<S, St> {
    pub(super) async fn ended(
        &mut self,
        step: StepIndex,
        ended: Ended,
        bodies: &mut Bodies<S, St>,
    ) -> Result<(), Lost> {
        match ended {
            Ended::Woken => self.happen(Happening::Woken { step }).await,
            Ended::Submits => {
                bodies.drop_body(step); // what is left to submit is asked for again
                self.submit_children(step).await
            }
            Ended::Passed(place) => {
                bodies.drop_body(step); // where it may not begin after all, it passes once more
                bodies.keep(step, place);
                self.happen(Happening::Passed { step }).await
            }
            Ended::Asked(effect) => {
                bodies.asked(&self.plan, step, effect);
                Ok(())
            }
            Ended::Body {
                outcome,
                crashes_after: true,
            } => {
                let policy = bodies.caller().policy(step);
                self.ask_before_giving_up(step, policy, &outcome).await;
                let happening = self.of_body(step, outcome, bodies);
                self.happen(happening).await?;
                crash(&self.plan, step)
            }
            Ended::Body { outcome, .. } => {
                let policy = bodies.caller().policy(step);
                self.ask_before_giving_up(step, policy, &outcome).await;
                let happening = self.of_body(step, outcome, bodies);
                self.happen_together(step, happening, bodies).await
            }
        }
    }

    /// Records the end of a body, and in the same row those that have come meanwhile.
    async fn happen_together(
        &mut self,
        step: StepIndex,
        first: Happening,
        bodies: &mut Bodies<S, St>,
    ) -> Result<(), Lost> {
        let _until_durable = self.node.stamps.begin(self.node.clock);
        let mut decision = self.decided(first).map_err(|it| self.cannot_go_on(&it))?;
        if self.place.is_none() {
            return self.commit(decision).await;
        }
        let (admission, me) = (self.admission(), self.node.options.id);
        let mut ended = vec![step];
        while ended.len() < TOGETHER
            && let Some((step, outcome)) = bodies.next_body_now(&ended)
        {
            let happening = self.of_body(step, outcome, bodies);
            if let Err(refused) = decision.and(&admission, happening, me) {
                self.commit(decision).await?;
                return Err(self.cannot_go_on(&refused));
            }
            ended.push(step);
        }
        self.commit(decision).await
    }

    fn of_body(
        &self,
        step: StepIndex,
        outcome: Result<Outcome, StepError>,
        bodies: &Bodies<S, St>,
    ) -> Happening {
        let undoes = self.undoes(step);
        self.happened(
            step,
            undoes,
            outcome,
            bodies.caller().policy(step),
            bodies.caller().form(step),
        )
    }

    /// What is under way of the step undoes it.
    fn undoes(&self, step: StepIndex) -> bool {
        let status = self.plan.steps.get(step);
        status.is_some_and(|it| it.state == StepState::Compensating)
    }

    pub(super) fn happened(
        &self,
        step: StepIndex,
        undoes: bool,
        outcome: Result<Outcome, StepError>,
        policy: Policy,
        form: u32,
    ) -> Happening {
        let gate = self.tell_gate(step, policy, &outcome);
        match outcome {
            Ok(Outcome::Done { .. }) if undoes => Happening::Undone { step },
            Ok(Outcome::Done { output, warning }) => Happening::Succeeded {
                step,
                output,
                warning,
                form,
            },
            Ok(Outcome::Wait { ticket, after }) => Happening::Suspended {
                step,
                ticket,
                wake_at: self.node.clock.now() + after.unwrap_or(policy.poll),
                form,
            },
            Ok(Outcome::Await { event, within }) => Happening::Awaits {
                step,
                event,
                until: within.map(|time| self.node.clock.now() + time),
            },
            Ok(Outcome::Spawn {
                children,
                until,
                at_once,
            }) => Happening::Spawns {
                step,
                children,
                until,
                at_once,
            },
            Err(StepError(error)) if policy.once && !undoes && error.tells_nothing() => {
                Happening::Lost { step }
            }
            Err(StepError(error)) => {
                let retry_at = self.retry_at(step, policy);
                match gate {
                    Some(gate) => Happening::TurnedBack {
                        step,
                        gate,
                        error,
                        retry_at,
                    },
                    None if undoes => Happening::UndoFailed {
                        step,
                        error,
                        retry_at,
                    },
                    None => Happening::Failed {
                        step,
                        error,
                        retry_at,
                    },
                }
            }
        }
    }

    fn retry_at(&self, step: StepIndex, policy: Policy) -> Timestamp {
        let status = self.plan.steps.get(step);
        let failures = status.map_or(0, |status| match &status.undo {
            Some(undo) => undo.failures,
            None => status.failures,
        });
        let longest = policy.longest_wait(failures + 1);
        // Full jitter, but never at once: at least a tenth of it.
        let part = self.node.chance.part(0.1, 1.0);
        self.node.clock.now() + longest.mul_f64(part)
    }
}
