//! A wait for a time.

use super::{Rehearsal, fault};
use engine::step::{Begun, Context, Declared, Polled, PollingStep, Received, StepError};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Nothing but that it is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Waited {}

/// Waits as long as the input says, however often the server ends meanwhile.
pub struct WaitAWhile;

impl Declared for WaitAWhile {
    const NAME: &'static str = "wait_a_while";
    type Workflow = Rehearsal;
    type Needs = ();
    type Output = Waited;
}

impl PollingStep for WaitAWhile {
    type Ticket = ();

    async fn start(
        &self,
        cx: &Context<Rehearsal>,
        input: &Rehearsal,
        (): (),
    ) -> Result<Begun<Waited, ()>, StepError> {
        fault::run::<Self>(input, cx)?;
        Ok(Begun::Sleep(Duration::from_millis(input.pause_ms)))
    }

    async fn poll(
        &self,
        _: &Context<Rehearsal>,
        _: &Rehearsal,
        (): &(),
    ) -> Result<Polled<Waited>, StepError> {
        Err(StepError::permanent("it waits for a time, not for work"))
    }

    async fn received(
        &self,
        _: &Context<Rehearsal>,
        _: &Rehearsal,
        _: Received,
    ) -> Result<Waited, StepError> {
        Ok(Waited {})
    }
}
