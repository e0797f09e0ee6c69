//! The steps of a plan, as it was submitted with them.

use super::StepIndex;
use serde::{Deserialize, Serialize};

/// A step as the plan was submitted with it: the graph is copied into the plan, so that new code cannot reshape an old plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraphStep {
    /// As the API shows it.
    pub name: String,
    /// Not before these have succeeded. They stand earlier in the graph.
    pub after: Vec<StepIndex>,
    /// How many attempts it has before it needs a person.
    pub attempts: u32,
    /// What its last failure means for the plan.
    pub rescue: Rescue,
    /// It must not run twice: where nobody knows whether it happened, a person says so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub once: bool,
    /// A revert undoes it. What leaves nothing behind needs no undoing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub undoable: bool,
    /// The form of its output and ticket: raised when code changes what they look like.
    #[serde(default = "first_form", skip_serializing_if = "is_first_form")]
    pub form: u32,
    /// The steps without whose output it cannot run; of plans from before this was recorded, all that it comes after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Vec<StepIndex>>,
    /// The gate of what it works on outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
}

/// Step `after` of the graph is this one, or comes after it, directly or through others.
pub(crate) fn comes_after(graph: &[GraphStep], step: StepIndex, after: StepIndex) -> bool {
    let mut reached = vec![false; graph.len()];
    for (index, known) in graph.iter().enumerate().skip(step) {
        let mut before = known.after.iter();
        reached[index] = index == step || before.any(|before| reached[*before]);
    }
    reached.get(after).copied().unwrap_or(false)
}

pub(super) const fn first_form() -> u32 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference to the field"
)]
pub(super) fn is_first_form(form: &u32) -> bool {
    *form == first_form()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference to the field"
)]
pub(super) fn is_false(flag: &bool) -> bool {
    !flag
}

impl GraphStep {
    /// A step with one attempt that pauses its plan when it fails.
    #[must_use]
    pub fn new(name: impl Into<String>, after: Vec<StepIndex>) -> Self {
        Self {
            name: name.into(),
            after,
            attempts: 1,
            rescue: Rescue::Pause,
            once: false,
            undoable: false,
            form: first_form(),
            needs: None,
            gate: None,
        }
    }

    /// Its name and form, as code is asked for: `copy@2`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}@{}", self.name, self.form)
    }

    /// The steps without whose output it cannot run.
    #[must_use]
    pub fn needed(&self) -> &[StepIndex] {
        self.needs.as_deref().unwrap_or(&self.after)
    }
}

/// What becomes of a plan whose step is out of attempts, once its other branches have run to their end. Where several steps
/// failed, the first of these that one of them has decides: pause, revert, fail, skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rescue {
    /// The plan pauses and waits for a person.
    Pause,
    /// The plan stops with `error`.
    Fail,
    /// What the plan did is undone, and it stops with `reverted`.
    Revert,
    /// The plan goes on without the step, and ends with `warning`.
    Skip,
}
