//! What goes wrong in a rehearsal, as its input says.

use super::{Part, Rehearsal};
use engine::step::{Context, Declared, StepError};
use serde::{Deserialize, Serialize};

/// A step that fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The step; `play` is that of the first sub-task.
    pub step: String,
    /// So many attempts fail, from the first.
    pub attempts: u32,
    /// Another attempt may help; otherwise each failure needs a person.
    #[serde(default)]
    pub transient: bool,
    /// Undoing it fails, not the step itself.
    #[serde(default)]
    pub undo: bool,
}

/// Fails where the faults say so.
fn befalls(faults: &[Fault], step: &str, attempt: u32, undo: bool) -> Result<(), StepError> {
    let fault = faults
        .iter()
        .find(|fault| fault.step == step && fault.undo == undo && attempt <= fault.attempts);
    let Some(fault) = fault else { return Ok(()) };
    let what = if undo { "undoing step" } else { "step" };
    let text = format!("it is rehearsed that {what} {step} fails");
    Err(if fault.transient {
        StepError::transient(text)
    } else {
        StepError::permanent(text)
    }
    .class("rehearsed"))
}

/// Fails where the rehearsal wants this step to fail.
pub(super) fn run<D: Declared>(
    input: &Rehearsal,
    cx: &Context<Rehearsal>,
) -> Result<(), StepError> {
    befalls(&input.faults, D::NAME, cx.attempt(), false)
}

/// Fails where the rehearsal wants undoing this step to fail.
pub(super) fn undo<D: Declared>(
    input: &Rehearsal,
    cx: &Context<Rehearsal>,
) -> Result<(), StepError> {
    befalls(&input.faults, D::NAME, cx.attempt(), true)
}

/// Fails where the rehearsal wants this sub-task to fail.
pub(super) fn part<D: Declared>(part: &Part, cx: &Context<Part>) -> Result<(), StepError> {
    befalls(&part.faults, D::NAME, cx.attempt(), false)
}

/// Fails where the rehearsal wants undoing this sub-task to fail.
pub(super) fn undo_part<D: Declared>(part: &Part, cx: &Context<Part>) -> Result<(), StepError> {
    befalls(&part.faults, D::NAME, cx.attempt(), true)
}
