//! Which actions of an operator fit a plan as it is.

use super::readable;
use crate::clock::Timestamp;
use crate::edit;
use crate::journal::{
    Action, ChildState, ENGINE, Json, Message, PlanResult, Reason, StepIndex, Until,
};
use crate::plan::{Plan, StepStatus};
use crate::state::{PlanState, Refused, StepState};

/// Whether the action can be done to the plan as it is; the same answer that consuming the message will give.
pub fn fits(plan: &Plan, action: &Action, at: Timestamp) -> Result<(), Refused> {
    if may_be_abandoned(plan) && *action == Action::Abort {
        return Ok(());
    }
    readable(plan)?;
    let why_not = match action {
        Action::Resume => resume(plan),
        Action::ResumeEdited { change } => edited(plan, change),
        Action::Cancel => ends(plan, "cancel").or_else(|| {
            plan.cancelling
                .then(|| "cancel, because it is being cancelled".into())
        }),
        Action::Abort => abort(plan),
        Action::Supersede { .. } => supersede(plan),
        Action::Revert => revert(plan, at),
        Action::Hold => hold(plan),
        Action::Release if plan.held.is_none() => {
            Some("be released, because nobody holds it".into())
        }
        Action::Release => None,
        Action::Skip { step, output } => {
            skip(plan, step).or_else(|| output.as_ref().and_then(|_| skip_with_output(plan, step)))
        }
        Action::Resolve { step, .. } => resolve(plan, step),
        Action::RetryNow { step } => retry_now(plan, step),
        Action::Event { name, .. } => {
            (plan.state == PlanState::Stopped).then(|| format!("receive event `{name}`"))
        }
        Action::Unreadable { why } => Some(format!(
            "do what it was told, because the message cannot be read: {why}"
        )),
        Action::ChildMoved { child, .. } => {
            let known = plan.children().any(|it| it.plan == Some(*child));
            (!known).then(|| format!("hear of task {child}, which is no sub-task of it"))
        }
    };
    match why_not {
        None => Ok(()),
        Some(event) => Err(Refused {
            what: "task",
            state: plan.state.to_string(),
            event,
            can: names_of_possible(plan, at),
        }),
    }
}

/// It cannot be read and has not ended: a person can end it.
pub(crate) fn may_be_abandoned(plan: &Plan) -> bool {
    plan.unreadable.is_some() && plan.state != PlanState::Stopped
}

fn resume(plan: &Plan) -> Option<String> {
    let failed = plan.state == PlanState::Stopped && plan.result == PlanResult::Error;
    let stuck = plan
        .children()
        .any(|child| child.state == ChildState::Stuck);
    if plan.state.is_driven() && stuck {
        return None;
    }
    if plan.state != PlanState::Paused && !failed {
        return Some("resume".into());
    }
    if let Some(parent) = inside_its_parent(plan) {
        return Some(format!(
            "resume by itself, because it has no locks of its own: resume it {parent}"
        ));
    }
    (plan.reason == Some(Reason::Interrupted)).then(|| {
        let step = named(plan, |it| it.state == StepState::Interrupted);
        format!(
            "resume, because nobody knows whether step `{step}` happened: resolve or skip that first"
        )
    })
}

/// Through whom a sub-task goes on that has ended: its parent waited for its end, has its locks, and may have let go of them since.
fn inside_its_parent(plan: &Plan) -> Option<String> {
    let parent = plan.submitted.as_ref()?.parent?;
    let has_ended = plan.state == PlanState::Stopped && parent.until == Until::Ended;
    has_ended.then(|| format!("through its parent, task {}", parent.plan))
}

/// Whether a message fits the plan as it is: of a parent that waits for it again, a sub-task may go on after its end; and one that a
/// step of its parent undoes in its own undoing, for as long as that has time.
pub(crate) fn fits_from(plan: &Plan, message: &Message, at: Timestamp) -> Result<(), Refused> {
    let from_its_parent = message.by == ENGINE && inside_its_parent(plan).is_some();
    let goes_on = message.action == Action::Resume && plan.result == PlanResult::Error;
    let is_undone = message.action == Action::Revert
        && plan.result != PlanResult::Reverted
        && plan.graph().iter().any(|step| step.undoable);
    if from_its_parent && (goes_on || is_undone) {
        return readable(plan);
    }
    fits(plan, &message.action, at)
}

/// A resume with another input.
fn edited(plan: &Plan, change: &Json) -> Option<String> {
    if plan.reverting {
        return Some("go on with another input, because it is being reverted".into());
    }
    if plan.state.is_driven() {
        return Some("go on with another input, because it is under way: pause comes first".into());
    }
    if let Some(why) = resume(plan) {
        return Some(why);
    }
    let submitted = plan.submitted.as_ref()?;
    edit::apply(&submitted.input, change)
        .err()
        .map(|why| format!("go on with another input: {why}"))
}

fn ends(plan: &Plan, event: &str) -> Option<String> {
    if plan.state == PlanState::Stopped {
        return Some(event.into());
    }
    plan.reverting
        .then(|| format!("{event}, because it is being reverted"))
}

/// Of a revert only what is under way can be dropped: what is undone half-way needs a person.
fn abort(plan: &Plan) -> Option<String> {
    let under_way = |step: &StepStatus| step.state.is_under_way() || step.is_being_undone();
    if plan.state == PlanState::Stopped {
        Some("abort".into())
    } else if plan.reverting && !plan.steps.iter().any(under_way) {
        Some("abort, because it is being reverted and nothing of it is under way".into())
    } else {
        None
    }
}

fn supersede(plan: &Plan) -> Option<String> {
    let why = if plan.state == PlanState::Stopped {
        return Some("be superseded".into());
    } else if plan.cancelling {
        "because it is being cancelled"
    } else if plan.reverting {
        "because it is being reverted"
    } else if plan.state.is_driven() && !plan.waits_for_locks() {
        "because it is at work and is let finish"
    } else {
        return None;
    };
    Some(format!("be superseded, {why}"))
}

fn revert(plan: &Plan, at: Timestamp) -> Option<String> {
    if plan.result == PlanResult::Reverted {
        return Some("be reverted, because it was reverted already".into());
    }
    if plan.reverting {
        return Some("be reverted, because it is being reverted".into());
    }
    if plan.cancelling && plan.state != PlanState::Stopped {
        return Some("be reverted while it is being cancelled: wait for its end".into());
    }
    if let Some(parent) = inside_its_parent(plan) {
        return Some(format!(
            "be reverted by itself, because it has no locks of its own: undo it {parent}"
        ));
    }
    if !plan.graph().iter().any(|step| step.undoable) {
        return Some("be reverted, because none of its steps can be undone".into());
    }
    if !matches!(plan.result, PlanResult::Success | PlanResult::Warning) {
        return None;
    }
    match plan.revertible_until() {
        None => Some("be reverted, because its workflow allows no revert after its success".into()),
        Some(until) if until < at => Some(format!(
            "be reverted, because the time for that was over at {until}"
        )),
        Some(_) => None,
    }
}

fn hold(plan: &Plan) -> Option<String> {
    if !plan.state.is_driven() {
        return Some("be held".into());
    }
    if plan.cancelling {
        return Some("be held, because it is being cancelled".into());
    }
    let held = plan.held.as_ref()?;
    Some(format!("be held, because {} holds it already", held.by))
}

fn skip(plan: &Plan, step: &str) -> Option<String> {
    let Some(index) = plan.index_of(step) else {
        return Some(format!("skip step `{step}`, because it has no such step"));
    };
    let status = &plan.steps[index];
    let fits = super::needs_a_person(plan, index) || plan.is_suspect(index);
    if plan.state != PlanState::Paused {
        return Some(format!(
            "skip step `{step}`: only of a paused task can one be skipped"
        ));
    }
    (!fits).then(|| {
        format!(
            "skip step `{step}`, because that is {}: only what failed, was interrupted, could not be undone or perhaps kills its node can be skipped",
            status.state
        )
    })
}

/// In place of an output somebody must be there to read it.
fn skip_with_output(plan: &Plan, step: &str) -> Option<String> {
    plan.reverting.then(|| {
        format!(
            "skip step `{step}` with an output, because it is being reverted and nobody reads that: skip it without one"
        )
    })
}

fn resolve(plan: &Plan, step: &str) -> Option<String> {
    let Some(status) = plan.step(step) else {
        return Some(format!(
            "resolve step `{step}`, because it has no such step"
        ));
    };
    if status.state != StepState::Interrupted {
        return Some(format!(
            "resolve step `{step}`, because that is {} and not interrupted",
            status.state
        ));
    }
    (plan.state == PlanState::Stopped).then(|| format!("resolve step `{step}`"))
}

fn retry_now(plan: &Plan, step: &str) -> Option<String> {
    let why = match plan.step(step) {
        None => "because it has no such step".into(),
        Some(status) if !waits_for_an_attempt(status) => {
            format!("because that is {} and waits for no attempt", status.state)
        }
        Some(_) if !plan.state.is_driven() => "because it has to be resumed first".into(),
        Some(_) if plan.held.is_some() => "because it is held".into(),
        Some(_) if plan.waits_for_locks() => {
            return Some(format!(
                "retry step `{step}` now, because it waits for its locks"
            ));
        }
        Some(_) if plan.reverting && plan.aborting => {
            "because its revert is aborted: what is under way ends first".into()
        }
        Some(_) if plan.waits_for_place() => {
            "because as many tasks are at work on its node as may be".into()
        }
        Some(_) => return None,
    };
    Some(format!("retry step `{step}` now, {why}"))
}

fn waits_for_an_attempt(step: &StepStatus) -> bool {
    step.is_retrying() || step.is_retrying_undo()
}

fn named(plan: &Plan, which: impl Fn(&StepStatus) -> bool) -> &str {
    let index = plan.steps.iter().position(which);
    index
        .and_then(|index| plan.graph().get(index))
        .map_or("?", |step| step.name.as_str())
}

/// The operator's actions that fit the plan as it is, with the step they are about.
#[must_use]
pub fn possible(plan: &Plan, at: Timestamp) -> Vec<(&'static str, Option<StepIndex>)> {
    let mut possible = Vec::new();
    if plan.unreadable.is_some() {
        possible.extend(may_be_abandoned(plan).then_some(("abort", None)));
        return possible;
    }
    let whole = [
        ("resume", resume(plan)),
        (
            "cancel",
            ends(plan, "cancel").or_else(|| plan.cancelling.then(String::new)),
        ),
        ("abort", abort(plan)),
        ("revert", revert(plan, at)),
        ("hold", hold(plan)),
        ("release", plan.held.is_none().then(String::new)),
    ];
    possible.extend(
        whole
            .into_iter()
            .filter(|(_, why_not)| why_not.is_none())
            .map(|(name, _)| (name, None)),
    );
    for (index, known) in plan.graph().iter().enumerate() {
        let of_step = [
            ("skip", skip(plan, &known.name)),
            ("resolve", resolve(plan, &known.name)),
            ("retry_now", retry_now(plan, &known.name)),
        ];
        possible.extend(
            of_step
                .into_iter()
                .filter(|(_, why_not)| why_not.is_none())
                .map(|(name, _)| (name, Some(index))),
        );
    }
    possible
}

/// Their names, each once.
#[must_use]
pub fn names_of_possible(plan: &Plan, at: Timestamp) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in possible(plan, at) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}
