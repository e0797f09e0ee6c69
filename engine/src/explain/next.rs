//! What now: what a person has to do about a task, or that nobody has to do anything.

use super::waiting::{Waiting, WaitingKind};
use super::words::{named, why_failed};
use crate::journal::{PlanResult, Reason};
use crate::plan::Plan;
use crate::state::PlanState;

pub(super) fn what_now(plan: &Plan, waiting_for: &[Waiting]) -> String {
    if plan.unreadable.is_some() && plan.state != PlanState::Stopped {
        return "Nothing can be done with it but to end it: abort it, and others get its locks. `doctor` tells more."
            .to_owned();
    }
    match plan.state {
        PlanState::Paused => of_paused(plan),
        PlanState::Stopped => match plan.result {
            PlanResult::Error => "Mend the cause, then resume.".to_owned(),
            PlanResult::Success
            | PlanResult::Warning
            | PlanResult::Cancelled
            | PlanResult::Reverted
            | PlanResult::Pending => "Nothing is left to do.".to_owned(),
        },
        PlanState::Pending | PlanState::Running => {
            let goes_on = of_waiting(waiting_for);
            match why_failed(plan).filter(|_| !plan.reverting && !plan.cancelling) {
                Some(failed) => format!(
                    "A person is needed once the rest has come to an end: {failed}. Then the task pauses; or cancel it now. Until then: {goes_on}"
                ),
                None => goes_on,
            }
        }
    }
}

pub(super) fn of_paused(plan: &Plan) -> String {
    match plan.reason {
        Some(Reason::Interrupted) => {
            "Find out whether it happened, and say so (resolve), or go on without it (skip)."
                .to_owned()
        }
        Some(Reason::CompensationError) => {
            "Mend the cause, then resume: that tries again to undo it. Or leave it as it is (skip)."
                .to_owned()
        }
        Some(Reason::Poison) => {
            "Find out first what ends the server: a resume runs that step again. Or cancel the task."
                .to_owned()
        }
        Some(Reason::Error | Reason::Operator | Reason::Superseded) | None => {
            let rest = named(plan, |step| !step.state.is_done()).join(", ");
            format!(
                "Mend the cause, then resume: that runs {rest} again from where it stopped."
            )
        }
    }
}

/// Who is needed so that it goes on: of all that it waits for the first that a person must do.
fn of_waiting(waiting_for: &[Waiting]) -> String {
    if let Some(needs) = waiting_for.iter().find_map(|it| it.needs.as_deref()) {
        return needs.to_owned();
    }
    match waiting_for.first() {
        Some(waiting) if waiting.kind == WaitingKind::Code => {
            "Start a version of the program that knows it: then the task goes on by itself."
                .to_owned()
        }
        Some(waiting) if waiting.kind == WaitingKind::Gate => match waiting.until {
            Some(at) => format!(
                "Nothing is needed from a person once what stands behind the gate works again: it looks at {at}, opens by itself, and the task goes on."
            ),
            None => "It goes on by itself when the gate lets it pass. Who closed a gate by hand opens it by hand.".to_owned(),
        },
        Some(waiting) if waiting.kind == WaitingKind::Node => {
            "Nothing is needed from a person: its turn comes by itself.".to_owned()
        }
        Some(waiting) => format!(
            "Nothing is needed from a person: it waits for {}.",
            waiting.text
        ),
        None => "Nothing is needed from a person: it is at work.".to_owned(),
    }
}
