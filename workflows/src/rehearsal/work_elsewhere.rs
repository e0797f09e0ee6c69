//! Work that goes on elsewhere: it is begun, and asked for with a ticket.

use super::{Rehearsal, fault, marks};
use engine::clock::Timestamp;
use engine::step::{Begun, Context, Declared, Policy, Polled, PollingStep, StepError};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Nothing but that it happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Elsewhere {}

/// When the work elsewhere will be done.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ticket {
    done_at: Timestamp,
}

/// Leaves its mark when the work begins, and polls until that is done.
pub struct WorkElsewhere;

impl Declared for WorkElsewhere {
    const NAME: &'static str = "work_elsewhere";
    const POLICY: Policy = Policy::idempotent()
        .undoable()
        .polled(Duration::from_millis(50), Duration::from_secs(1));
    type Workflow = Rehearsal;
    type Needs = ();
    type Output = Elsewhere;
}

impl PollingStep for WorkElsewhere {
    type Ticket = Ticket;

    async fn start(
        &self,
        cx: &Context<Rehearsal>,
        input: &Rehearsal,
        (): (),
    ) -> Result<Begun<Elsewhere, Ticket>, StepError> {
        fault::run::<Self>(input, cx)?;
        marks::leave(cx, Self::NAME).await?;
        let done_at = cx.clock().now() + Duration::from_millis(input.elsewhere_ms);
        Ok(Begun::Ticket(Ticket { done_at }))
    }

    async fn poll(
        &self,
        cx: &Context<Rehearsal>,
        _: &Rehearsal,
        ticket: &Ticket,
    ) -> Result<Polled<Elsewhere>, StepError> {
        Ok(if cx.clock().now() >= ticket.done_at {
            Polled::Done(Elsewhere {})
        } else {
            Polled::NotYet
        })
    }

    async fn compensate(
        &self,
        cx: &Context<Rehearsal>,
        input: &Rehearsal,
        _: Elsewhere,
    ) -> Result<(), StepError> {
        fault::undo::<Self>(input, cx)?;
        marks::take_away(cx, Self::NAME).await
    }
}
