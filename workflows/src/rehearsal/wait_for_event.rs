//! A wait for an event that somebody tells the task of.

use super::{Rehearsal, fault};
use engine::journal::Json;
use engine::step::{Begun, Context, Declared, Polled, PollingStep, Received, StepError};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The event that a rehearsal waits for.
pub const EVENT: &str = "go";

/// What came of the wait.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    /// What is known of the event; none: the time was over first.
    pub payload: Option<Json>,
}

/// Waits for the event, which may have been told before. When the time is over it goes on without, or fails, as the input says.
pub struct WaitForEvent;

impl Declared for WaitForEvent {
    const NAME: &'static str = "wait_for_event";
    type Workflow = Rehearsal;
    type Needs = ();
    type Output = Told;
}

impl PollingStep for WaitForEvent {
    type Ticket = ();

    async fn start(
        &self,
        cx: &Context<Rehearsal>,
        input: &Rehearsal,
        (): (),
    ) -> Result<Begun<Told, ()>, StepError> {
        fault::run::<Self>(input, cx)?;
        Ok(Begun::Event {
            name: EVENT.to_owned(),
            within: Some(Duration::from_millis(input.event_ms)),
        })
    }

    async fn poll(
        &self,
        _: &Context<Rehearsal>,
        _: &Rehearsal,
        (): &(),
    ) -> Result<Polled<Told>, StepError> {
        Err(StepError::permanent("it waits for an event, not for work"))
    }

    async fn received(
        &self,
        _: &Context<Rehearsal>,
        input: &Rehearsal,
        event: Received,
    ) -> Result<Told, StepError> {
        match event {
            Received::Event(payload) => Ok(Told {
                payload: Some(payload),
            }),
            Received::TimeIsOver if input.event_needed => {
                let text = format!("nobody told of event `{EVENT}` in time");
                Err(StepError::permanent(text).class("no_event"))
            }
            Received::TimeIsOver => Ok(Told { payload: None }),
        }
    }
}
