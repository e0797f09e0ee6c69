//! What must be true of a plan whatever happened to it.

use engine::clock::Timestamp;
use engine::explain::Task;
use engine::journal::{ChildState, PlanResult, Reason, Rescue, Until};
use engine::lock::{LockState, OnPause, Seat};
use engine::plan::{Child, Family, Plan, PlanLock, StepStatus};
use engine::search::{Wait, Waits};
use engine::state::{PlanState, StepState};
use proptest::prelude::*;

/// The reference: what must be true of a plan, told from its steps and locks alone.
pub(super) fn expect(plan: &Plan) -> Result<(), TestCaseError> {
    steps(plan)?;
    match plan.state {
        PlanState::Pending | PlanState::Running => driven(plan),
        PlanState::Paused => paused(plan),
        PlanState::Stopped => stopped(plan),
    }
}

fn is(plan: &Plan, state: StepState) -> bool {
    plan.steps.iter().any(|step| step.state == state)
}

fn under_way(plan: &Plan) -> bool {
    let at_work = |step: &StepStatus| step.state.is_under_way() || step.is_being_undone();
    plan.steps.iter().any(at_work)
}

/// What is told of its waiting: nothing exactly when it may be taken up at once, because something of it is under way, or has
/// ended. The search finds the same.
pub(super) fn explained(plan: &Plan) -> Result<(), TestCaseError> {
    let queued = plan
        .locks
        .iter()
        .filter(|lock| lock.state == LockState::Queued);
    let seats: Vec<Seat> = queued
        .map(|lock| Seat {
            resource: lock.request.resource.clone(),
            mode: lock.request.mode,
            since: Timestamp(0),
            position: 1,
            behind: None,
        })
        .collect();
    let task = Task::of(plan, &seats, &[], Timestamp(1_000));
    let goes_on = |step: &StepStatus| match step.state {
        StepState::Running => true,
        StepState::Compensating => {
            let tries = step.undo.iter().flat_map(|undo| &undo.tries);
            tries.last().is_some_and(|last| last.ended_at.is_none())
        }
        StepState::Suspended => {
            let awaited = step.awaits.as_ref().and_then(|it| it.event.as_ref());
            let has_come = awaited.is_some_and(|name| plan.events.iter().any(|it| it.0 == *name));
            let family = step.family.as_ref().filter(|_| step.awaits.is_none());
            let submits = !plan.cancelling
                && !plan.reverting
                && plan.held.is_none()
                && !plan.waits_for_locks();
            has_come
                || family.is_some_and(|family| {
                    family.is_over() || (submits && !family.may_be_submitted().is_empty())
                })
        }
        StepState::Pending
        | StepState::Success
        | StepState::Error
        | StepState::Interrupted
        | StepState::Skipped
        | StepState::Cancelled
        | StepState::Compensated
        | StepState::CompensationError => false,
    };
    let empty = match plan.state {
        PlanState::Stopped => true,
        PlanState::Paused => false,
        PlanState::Pending | PlanState::Running => plan.steps.iter().any(goes_on),
    };
    prop_assert_eq!(
        task.waiting_for.is_empty(),
        empty,
        "it waits for {:?}: {:?}",
        task.waiting_for,
        plan
    );
    let mut told: Vec<String> = task
        .waiting_for
        .iter()
        .map(|it| serde_json::to_value(it.kind).unwrap())
        .map(|kind| kind.as_str().unwrap_or_default().to_owned())
        .collect();
    told.sort();
    told.dedup();
    let words = Waits::of(plan).to_words().unwrap_or_default();
    let mut found: Vec<String> = words
        .split(' ')
        .filter(|word| !word.is_empty() && *word != "held")
        .map(str::to_owned)
        .collect();
    found.sort();
    prop_assert_eq!(told, found, "the search says the same: {:?}", plan);
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let wait: Wait = word.parse().unwrap();
        let known = Waits::all_with(wait);
        prop_assert!(
            known.contains(&Waits::of(plan)),
            "no search finds `{}`",
            words
        );
    }
    Ok(())
}

fn steps(plan: &Plan) -> Result<(), TestCaseError> {
    for family in plan.steps.iter().filter_map(|step| step.family.as_ref()) {
        for child in &family.children {
            let wanted = child.state == ChildState::Wanted || child.refused.is_some();
            prop_assert_eq!(wanted, child.plan.is_none(), "{:?}", child);
        }
    }
    for step in &plan.steps {
        let ends = |family: &Family| family.until == Until::Ended;
        let waited_for = step.family.iter().filter(|family| ends(family));
        let open = waited_for
            .flat_map(|family| &family.children)
            .any(Child::is_open);
        prop_assert!(
            !open || step.state == StepState::Suspended,
            "its sub-tasks are at work inside the locks of a step that is {}",
            step.state
        );
    }
    let at_work = |step: &StepStatus| step.state == StepState::Running || step.is_being_undone();
    prop_assert!(
        !plan
            .locks
            .iter()
            .any(|lock| lock.state == LockState::Queued)
            || !plan.steps.iter().any(at_work),
        "something runs while its locks are asked for: {:?}",
        plan
    );
    for (index, (step, status)) in plan.graph().iter().zip(&plan.steps).enumerate() {
        let began = status.state.is_under_way() || status.success.is_some();
        // Undone ones were done when it began.
        let was_done = |before: &usize| {
            let before = &plan.steps[*before];
            before.state.is_done() || before.success.is_some()
        };
        if began {
            let all = step.after.iter().all(was_done);
            prop_assert!(all, "{} began before what it waits for", step.name);
            prop_assert!(
                plan.lacks(index).is_none(),
                "{} began without an output that it needs",
                step.name
            );
        }
        let has_output = if status.state == StepState::Skipped {
            status.output.is_some()
        } else {
            status.success.is_some()
        };
        prop_assert_eq!(status.output.is_some(), has_output);
        prop_assert!(step.once || status.state != StepState::Interrupted);
        prop_assert!(step.undoable || status.undo.is_none());
        if status.is_being_undone() || status.state == StepState::Compensated {
            prop_assert!(plan.reverting, "only a revert undoes");
        }
    }
    Ok(())
}

fn driven(plan: &Plan) -> Result<(), TestCaseError> {
    let queued = |lock: &PlanLock| lock.state == LockState::Queued;
    let retrying = |step: &StepStatus| step.is_retrying() || step.is_retrying_undo();
    let by_itself = under_way(plan) || plan.steps.iter().any(retrying);
    prop_assert!(
        by_itself
            || plan.waits_at_a_gate()
            || plan.locks.iter().any(queued)
            || plan.held.is_some()
            || plan.place_asked.is_some(),
        "a plan that is not paused must move: {:?}",
        plan
    );
    prop_assert!(
        !plan.cancelling || under_way(plan),
        "a cancelled plan only waits for bodies"
    );
    if plan.cancelling {
        let waits = |step: &StepStatus| step.state == StepState::Suspended;
        let told = plan.steps.iter().filter(|step| waits(step));
        prop_assert!(
            told.clone().all(StepStatus::has_open_children),
            "of what is elsewhere, a cancelled plan waits for its sub-tasks only"
        );
    }
    if plan.waits_for_place() {
        prop_assert!(!plan.is_at_work(), "who is at work has a place");
        prop_assert!(plan.held.is_none() && !plan.cancelling);
    }
    if plan.reverting {
        prop_assert!(
            !plan.aborting || under_way(plan),
            "an abort is over by then"
        );
        let rests = |step: &StepStatus| {
            let awaited = step.awaits.as_ref().and_then(|it| it.event.as_ref());
            let has_come = awaited.is_some_and(|name| plan.event(name).is_some());
            step.state == StepState::Suspended
                && step.awaits.is_some()
                && step.wake_at.is_none()
                && !has_come
        };
        prop_assert!(
            !plan.steps.iter().any(rests),
            "a revert waits for nothing that has not come"
        );
    }
    let undoing = plan.steps.iter().any(StepStatus::is_being_undone);
    let forward = plan.steps.iter().any(|step| step.state.is_under_way());
    prop_assert!(
        !(undoing && forward),
        "nothing is undone before all that was under way has come to an end"
    );
    Ok(())
}

fn paused(plan: &Plan) -> Result<(), TestCaseError> {
    prop_assert!(!plan.waits_at_a_gate(), "it waits for a person");
    let poison = plan.reason == Some(Reason::Poison);
    prop_assert!(!is(plan, StepState::Running), "a paused plan does nothing");
    prop_assert!(
        poison || !under_way(plan),
        "only poison leaves a ticket unasked"
    );
    match plan.reason {
        Some(Reason::Poison) => {}
        Some(Reason::Error) => {
            prop_assert!(is(plan, StepState::Error));
            prop_assert!(!is(plan, StepState::Interrupted));
        }
        Some(Reason::Interrupted) => prop_assert!(is(plan, StepState::Interrupted)),
        Some(Reason::CompensationError) => {
            let unfinished = (0..plan.steps.len()).any(|step| plan.is_unfinished(step));
            let stuck = is(plan, StepState::CompensationError) || unfinished;
            prop_assert!(plan.reverting && stuck);
        }
        other => prop_assert!(false, "paused for {:?}", other),
    }
    prop_assert!(!plan.cancelling, "who cancels it wants its end");
    prop_assert_eq!(plan.result, PlanResult::Error);
    let mut held = plan
        .locks
        .iter()
        .filter(|lock| lock.state == LockState::Held);
    prop_assert!(held.all(|lock| lock.request.on_pause == OnPause::Hold));
    Ok(())
}

fn stopped(plan: &Plan) -> Result<(), TestCaseError> {
    prop_assert!(!plan.waits_at_a_gate());
    let waited_for = |step: &StepStatus| step.has_open_children();
    prop_assert!(!plan.steps.iter().any(waited_for));
    prop_assert!(!under_way(plan) && !is(plan, StepState::Pending));
    prop_assert!(!is(plan, StepState::Compensating));
    let done = plan.steps.iter().all(|step| step.state.is_done());
    let warned = plan.steps.iter().any(|step| step.warning.is_some());
    let wants = |rescue: Rescue| {
        let mut steps = plan.graph().iter().zip(&plan.steps);
        steps.any(|(step, status)| status.state == StepState::Error && step.rescue == rescue)
    };
    match plan.result {
        PlanResult::Success => prop_assert!(done && !warned),
        PlanResult::Warning => prop_assert!(done && warned),
        PlanResult::Cancelled => prop_assert!(plan.cancelling && !done),
        PlanResult::Error => {
            prop_assert!(wants(Rescue::Fail) && !wants(Rescue::Pause) && !wants(Rescue::Revert));
        }
        PlanResult::Reverted => {
            prop_assert!(plan.reverting);
            for (index, (step, status)) in plan.graph().iter().zip(&plan.steps).enumerate() {
                let left = status.state == StepState::Success && step.undoable;
                let unknown = plan.is_unfinished(index);
                prop_assert!(!left && !unknown, "{} is left: {:?}", step.name, plan);
            }
        }
        PlanResult::Pending => prop_assert!(false, "stopped without a result"),
    }
    Ok(())
}
