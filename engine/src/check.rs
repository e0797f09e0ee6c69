//! What an observer may always rely on: the guarantees, checked over a plan's journal.

use crate::journal::{Entry, PlanId, PlanResult, Row};
use crate::lock::LockState;
use crate::plan::Plan;
use crate::state::{PlanState, StepState};

/// What is wrong with a plan's journal; nothing when it keeps the guarantees.
///
/// Its numbers have no gap, every entry fits, a step that succeeded has one success and keeps its output, a stopped plan holds
/// nothing, and its result follows from its steps.
#[must_use]
pub fn check(id: PlanId, rows: &[Row]) -> Vec<String> {
    let plan = Plan::fold(id, rows);
    if let Some(why) = &plan.unreadable {
        return vec![format!("its journal cannot be read: {why}")];
    }
    let mut wrong = Vec::new();
    for (step, known) in plan.graph().iter().enumerate() {
        let is_success =
            |entry: &&Entry| matches!(entry, Entry::StepSucceeded { step: it, .. } if *it == step);
        let successes = rows
            .iter()
            .flat_map(|row| &row.entries)
            .filter(is_success)
            .count();
        if successes > 1 {
            wrong.push(format!("step {} succeeded {successes} times", known.name));
        }
        if (successes == 1) != (plan.steps[step].state == StepState::Success) {
            wrong.push(format!(
                "step {} is {} with {successes} recorded successes",
                known.name, plan.steps[step].state
            ));
        }
    }
    if plan.state == PlanState::Stopped {
        if plan.locks.iter().any(|lock| lock.state != LockState::Ended) {
            wrong.push("it is stopped and still has a lock".into());
        }
        if plan
            .steps
            .iter()
            .any(|step| step.state.is_under_way() || step.state == StepState::Pending)
        {
            wrong.push("it is stopped with steps that have not ended".into());
        }
        let all = plan
            .steps
            .iter()
            .all(|step| step.state == StepState::Success);
        if all != matches!(plan.result, PlanResult::Success | PlanResult::Warning) {
            wrong.push(format!(
                "its result {} does not follow from its steps",
                plan.result
            ));
        }
    }
    wrong
}
