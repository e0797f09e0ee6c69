//! Whether the steps of a rehearsal ran as they should: their marks say what happened, the journal says what was recorded.

use super::{Begin, Finish, OnlyOnce, Play, WorkElsewhere};
use engine::plan::{Plan, StepStatus};
use engine::state::StepState;
use engine::step::Declared;
use storage::catalog::rehearsals::Mark;

/// How a mark comes about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaves {
    /// In the transaction that records the success: there is one exactly as long as that counts.
    WithItsRecord,
    /// Before it is recorded: at most one in each attempt.
    Before,
}

/// The steps that leave a mark.
const LEAVE: [(&str, Leaves); 5] = [
    (Begin::NAME, Leaves::WithItsRecord),
    (WorkElsewhere::NAME, Leaves::Before),
    (OnlyOnce::NAME, Leaves::Before),
    (Play::NAME, Leaves::Before),
    (Finish::NAME, Leaves::WithItsRecord),
];

/// What is wrong with the marks of a rehearsal or of one of its sub-tasks; nothing when all is as it should be.
#[must_use]
pub fn check(plan: &Plan, marks: &[Mark]) -> Vec<String> {
    let mut wrong = Vec::new();
    for mark in marks {
        if plan.step(&mark.step).is_none() || !LEAVE.iter().any(|(step, _)| *step == mark.step) {
            wrong.push(format!(
                "there is a mark of {}, which leaves none",
                mark.step
            ));
        }
    }
    for (name, leaves) in LEAVE {
        let Some(status) = plan.step(name) else {
            continue; // of the other workflow
        };
        let mark = marks.iter().find(|mark| mark.step == name);
        let runs = mark.map_or(0, |mark| mark.runs);
        let (least, most) = runs_of(name, leaves, status);
        if !(least..=most).contains(&runs) {
            let state = status.state;
            wrong.push(format!(
                "step {name} is {state} after {} attempts and has left its mark {runs} times, not {least} to {most}",
                status.attempts()
            ));
        }
    }
    wrong
}

/// How often, at least and at most, a step has left a mark that is there.
fn runs_of(name: &str, leaves: Leaves, status: &StepStatus) -> (u32, u32) {
    let attempts = status.attempts();
    let most = if name == OnlyOnce::NAME { 1 } else { attempts };
    match (leaves, status.state) {
        (
            Leaves::WithItsRecord,
            StepState::Success | StepState::Compensating | StepState::CompensationError,
        ) => (1, 1),
        (_, StepState::Compensated) | (Leaves::WithItsRecord, _) => (0, 0),
        (Leaves::Before, StepState::Success) => (1, most),
        (Leaves::Before, StepState::Suspended) if status.ticket.is_some() => (1, most),
        (Leaves::Before, _) => (0, most),
    }
}
