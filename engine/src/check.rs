//! What an observer may always rely on: the guarantees, checked over a plan's journal.

use crate::decide::is_built_upon;
use crate::journal::{Entry, PlanId, PlanResult, Row};
use crate::lock::LockState;
use crate::plan::Plan;
use crate::state::{PlanState, StepState};
use std::borrow::Borrow;

/// What is wrong with a plan's journal; nothing when it keeps the guarantees.
///
/// Its numbers have no gap, every entry fits, a step that succeeded has one success and keeps its output, nothing is undone
/// before what was built upon it, a stopped plan holds nothing, and its result follows from its steps.
#[must_use]
pub fn check<R: Borrow<Row>>(id: PlanId, rows: &[R]) -> Vec<String> {
    let rows: Vec<&Row> = rows.iter().map(Borrow::borrow).collect();
    let plan = Plan::fold(id, rows.iter().copied());
    let mut entries = rows.iter().flat_map(|row| &row.entries);
    if entries.any(|entry| matches!(entry, Entry::Abandoned { .. })) {
        return Vec::new(); // a person has said that nothing can be relied upon
    }
    if let Some(why) = &plan.unreadable {
        return vec![format!("its journal cannot be read: {why}")];
    }
    let mut wrong = Vec::new();
    for (step, known) in plan.graph().iter().enumerate() {
        steps(&plan, step, &known.name, &rows, &mut wrong);
    }
    order_of_undoing(id, &rows, &mut wrong);
    if plan.state == PlanState::Stopped {
        stopped(&plan, &mut wrong);
    }
    wrong
}

/// A step succeeds once at most, and is undone once at most, after that.
fn steps(plan: &Plan, step: usize, name: &str, rows: &[&Row], wrong: &mut Vec<String>) {
    let entries = || rows.iter().flat_map(|row| &row.entries);
    let is_success = |entry: &&Entry| matches!(entry, Entry::StepSucceeded { step: it, .. } | Entry::StepResolved { step: it, .. } if *it == step);
    let is_undone =
        |entry: &&Entry| matches!(entry, Entry::Compensated { step: it } if *it == step);
    let (successes, undone) = (
        entries().filter(is_success).count(),
        entries().filter(is_undone).count(),
    );
    let state = plan.steps[step].state;
    if successes > 1 {
        wrong.push(format!("step {name} succeeded {successes} times"));
    }
    if undone > 1 {
        wrong.push(format!("step {name} was undone {undone} times"));
    }
    let succeeded = matches!(
        state,
        StepState::Success
            | StepState::Compensating
            | StepState::Compensated
            | StepState::CompensationError
    );
    if (successes == 1) != succeeded || (undone == 1) != (state == StepState::Compensated) {
        wrong.push(format!(
            "step {name} is {state} with {successes} recorded successes, undone {undone} times"
        ));
    }
}

/// Nothing is undone before what was built upon it.
fn order_of_undoing(id: PlanId, rows: &[&Row], wrong: &mut Vec<String>) {
    let undoes = |row: &&&Row| {
        let mut entries = row.entries.iter();
        entries.any(|entry| matches!(entry, Entry::Compensating { .. }))
    };
    let Some(last) = rows.iter().rfind(undoes).map(|row| row.seq) else {
        return;
    };
    let mut plan = Plan::empty(id);
    for row in rows.iter().take_while(|row| row.seq <= last) {
        for entry in &row.entries {
            if let Entry::Compensating { step } = entry
                && is_built_upon(&plan, *step)
            {
                let name = plan.graph().get(*step).map_or("?", |step| &step.name);
                wrong.push(format!(
                    "row {}: step {name} is undone before what came after it",
                    row.seq
                ));
            }
            if plan.apply(entry, row.at, row.node).is_err() {
                return; // the fold has told it
            }
        }
    }
}

fn stopped(plan: &Plan, wrong: &mut Vec<String>) {
    if plan.locks.iter().any(|lock| lock.state != LockState::Ended) {
        wrong.push("it is stopped and still has a lock".into());
    }
    if plan.waits_at_a_gate() {
        wrong.push("it is stopped and a step of it waits at a gate".into());
    }
    let open = |state: StepState| {
        state.is_under_way() || matches!(state, StepState::Pending | StepState::Compensating)
    };
    if plan.steps.iter().any(|step| open(step.state)) {
        wrong.push("it is stopped with steps that have not ended".into());
    }
    let all = plan.steps.iter().all(|step| step.state.is_done());
    let left = (0..plan.steps.len()).any(|step| plan.is_to_undo(step) || plan.is_unfinished(step));
    let follows = match plan.result {
        PlanResult::Success | PlanResult::Warning => all,
        PlanResult::Error | PlanResult::Cancelled => !all,
        PlanResult::Reverted => !left,
        PlanResult::Pending => false,
    };
    if !follows {
        wrong.push(format!(
            "its result {} does not follow from its steps",
            plan.result
        ));
    }
}
