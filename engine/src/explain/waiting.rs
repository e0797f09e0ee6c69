//! What a task waits for: exactly what must change before it moves again.

use super::next::of_paused;
use super::words::why_paused;
use super::{rfc3339, rfc3339_or_null};
use crate::clock::Timestamp;
use crate::gate::{Gate, GateId};
use crate::journal::{ChildState, PlanId, StepIndex};
use crate::lock::{LockMode, Seat};
use crate::plan::{Child, Family, Held, Plan, StepStatus};
use crate::state::{PlanState, StepState};
use serde::Serialize;
use std::sync::Arc;

/// Something that a task waits for.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Waiting {
    /// What kind of thing.
    pub kind: WaitingKind,
    /// In words.
    pub text: String,
    /// The task that stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<PlanId>,
    /// Since when.
    #[serde(
        serialize_with = "rfc3339_or_null",
        skip_serializing_if = "Option::is_none"
    )]
    pub since: Option<Timestamp>,
    /// Until when at the latest.
    #[serde(
        serialize_with = "rfc3339_or_null",
        skip_serializing_if = "Option::is_none"
    )]
    pub until: Option<Timestamp>,
    /// What a person has to do about it; nothing where it comes by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
}

/// The kinds of things that a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum WaitingKind {
    /// Another task holds what this one needs alone.
    Lock,
    /// The next attempt of a step.
    Retry,
    /// Work that goes on elsewhere, or a time.
    Time,
    /// Its sub-tasks.
    Child,
    /// Something outside that it will be told of.
    Event,
    /// A gate that is not open.
    Gate,
    /// The node that would run it: a place among the plans at work there, or its taking over.
    Node,
    /// A version of the program that knows its workflow or step.
    Code,
    /// A person.
    Operator,
}

impl Waiting {
    /// No node here has this code.
    pub(super) fn for_code(missing: &str, plan: &Plan) -> Self {
        Self {
            kind: WaitingKind::Code,
            text: format!("code: no node here knows {missing}"),
            task: None,
            since: plan.times.started.or(Some(plan.times.created)),
            until: None,
            needs: None,
        }
    }

    /// Its node takes up one plan after the other.
    pub(super) fn for_take_over(why: &str) -> Self {
        Self {
            kind: WaitingKind::Node,
            text: format!("its node to take it up: {why}"),
            task: None,
            since: None,
            until: None,
            needs: None,
        }
    }

    fn for_place(plan: &Plan) -> Self {
        let priority = plan.priority();
        Self {
            kind: WaitingKind::Node,
            text: format!(
                "a place: as many tasks are at work on its node, or as many of its workflow, as may be at once, and it is one of priority {priority}"
            ),
            task: None,
            since: plan.place_asked,
            until: None,
            needs: None,
        }
    }
}

/// A lock of a task.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Lock"))]
pub struct LockSeen {
    /// What is locked.
    pub resource: String,
    /// `exclusive` or `shared`.
    pub mode: LockMode,
    /// `held` or `queued`.
    pub state: &'static str,
    /// 0 held, 1 the first that waits.
    pub position: u32,
    /// Since when it is asked for or held.
    #[serde(serialize_with = "rfc3339")]
    pub since: Timestamp,
}

pub(super) fn lock_seen(seat: &Seat) -> LockSeen {
    let state = if seat.position == 0 { "held" } else { "queued" };
    LockSeen {
        resource: seat.resource.clone(),
        mode: seat.mode,
        state,
        position: seat.position,
        since: seat.since,
    }
}

/// Everything that must change before the plan moves again; empty when something of it is under way.
pub(super) fn waiting_for(
    plan: &Plan,
    seats: &[Seat],
    holders: &[(PlanId, Option<Arc<Plan>>)],
    gates: &[(StepIndex, Gate)],
) -> Vec<Waiting> {
    match plan.state {
        PlanState::Stopped => return Vec::new(),
        PlanState::Paused | PlanState::Pending | PlanState::Running
            if plan.unreadable.is_some() =>
        {
            return vec![for_a_person(
                "an operator: it cannot be read".to_owned(),
                plan.times.paused,
                "Abort it.".to_owned(),
            )];
        }
        PlanState::Paused => {
            let text = format!("an operator: {}", why_paused(plan));
            return vec![for_a_person(text, plan.times.paused, of_paused(plan))];
        }
        PlanState::Pending | PlanState::Running => {}
    }
    if is_under_way(plan) {
        return Vec::new();
    }
    let held = plan.held.as_ref().map(|held| {
        let text = format!("its release: {}", who_holds(held));
        let needs = "Release it, when it may go on.".to_owned();
        for_a_person(text, Some(held.since), needs)
    });
    if plan.waits_for_locks() {
        let queued = seats.iter().filter(|seat| seat.position > 0);
        let queued = queued.map(|seat| waiting_for_lock(seat, holders));
        return held.into_iter().chain(queued).collect();
    }
    if let Some(held) = held {
        return vec![held];
    }
    let place = plan.waits_for_place().then(|| Waiting::for_place(plan));
    let graph = plan.graph();
    let at_gates = super::gate::waiting_at_gates(plan, gates);
    let waiting = plan.steps.iter().enumerate().filter_map(|(index, step)| {
        let name = &graph[index].name;
        let retries = step.is_retrying() || step.is_retrying_undo();
        if retries && !plan.waits_for_place() {
            let (what, error) = match &step.undo {
                Some(undo) => ("to undo step", undo.error.as_ref()),
                None => ("of step", step.error.as_ref()),
            };
            let why = error.map_or("", |error| error.message.as_str());
            let text = format!("the next attempt {what} {name}: {why}");
            return Some(Waiting {
                kind: WaitingKind::Retry,
                text,
                task: None,
                since: None,
                until: step.wake_at,
                needs: None,
            });
        }
        (step.state == StepState::Suspended).then(|| waiting_suspended(name, step))
    });
    let waiting = place.into_iter().chain(at_gates).chain(waiting);
    waiting.collect()
}

/// Something of it runs here and now, or may be begun by itself at once.
pub(crate) fn is_under_way(plan: &Plan) -> bool {
    plan.is_at_work() || plan.steps.iter().any(|step| plan.goes_on_now(step))
}

fn waiting_suspended(name: &str, step: &StepStatus) -> Waiting {
    let since = step.tries.last().map(|last| last.started_at);
    let event = step.awaits.as_ref().and_then(|it| it.event.as_ref());
    let (kind, text, task, until) = match (&step.family, event) {
        (Some(family), _) => {
            let open = family.children.iter().find(|child| child.is_open());
            let (text, task) = (words_of_children(name, family), open.and_then(|it| it.plan));
            (WaitingKind::Child, text, task, None)
        }
        (None, Some(event)) => {
            let text = format!("event `{event}`, for step {name}");
            (WaitingKind::Event, text, None, step.wake_at)
        }
        (None, None) if step.awaits.is_some() => {
            let text = format!("the time at which step {name} goes on");
            (WaitingKind::Time, text, None, step.wake_at)
        }
        (None, None) => {
            let text = format!("the work of step {name}, which goes on elsewhere");
            (WaitingKind::Time, text, None, None)
        }
    };
    Waiting {
        kind,
        text,
        task,
        since,
        until,
        needs: step.family.as_deref().and_then(stuck_children_need),
    }
}

/// Stuck sub-tasks wait for a person, and their parent for them.
fn stuck_children_need(family: &Family) -> Option<String> {
    let stuck = family.children.iter();
    let stuck = stuck.filter(|child| child.state == ChildState::Stuck);
    let stuck: Vec<String> = stuck
        .filter_map(|child| Some(child.plan?.to_string()))
        .take(5)
        .collect();
    (!stuck.is_empty()).then(|| {
        format!(
            "Look at what its sub-tasks are stuck at, and resume or cancel them: {}.",
            stuck.join(", ")
        )
    })
}

fn for_a_person(text: String, since: Option<Timestamp>, needs: String) -> Waiting {
    Waiting {
        kind: WaitingKind::Operator,
        text,
        task: None,
        since,
        until: None,
        needs: Some(needs),
    }
}

fn who_holds(held: &Held) -> String {
    let why = held.reason.as_ref();
    let why = why.map_or(String::new(), |why| format!(" ({why})"));
    format!("{} holds it{why}", held.by)
}

/// What stands in the way of the plan that goes first, if only a person can do something about that.
fn holder_needs(holder: &Plan) -> Option<String> {
    let id = holder.id;
    if holder.unreadable.is_some() {
        return Some(format!(
            "Abort task {id}, which goes first and cannot be read."
        ));
    }
    if holder.state == PlanState::Paused {
        let why = why_paused(holder);
        return Some(format!(
            "Task {id} goes first and waits for an operator: {why}. Resume or cancel that task."
        ));
    }
    if is_under_way(holder) {
        return None;
    }
    if let Some(held) = &holder.held {
        return Some(format!(
            "Task {id} goes first and is held: {}. Release that task, when it may go on.",
            who_holds(held)
        ));
    }
    let by_hand = holder.steps.iter().find_map(|step| match &step.at_gate {
        Some(at) if matches!(at.gate, GateId::Workflow(_) | GateId::Node(_)) => Some(&at.gate),
        _ => None,
    });
    by_hand.map(|gate| {
        format!("Task {id} goes first and waits for the release of {gate}. Release that, when it may go on.")
    })
}

fn words_of_children(name: &str, family: &Family) -> String {
    let count = |is: fn(&Child) -> bool| family.children.iter().filter(|child| is(child)).count();
    let ended = count(|child| matches!(child.state, ChildState::Ended(_)));
    let stuck = family
        .children
        .iter()
        .filter(|child| child.state == ChildState::Stuck);
    let stuck: Vec<&str> = stuck
        .map(|child| child.wanted.key.as_str())
        .take(5)
        .collect();
    let all = family.children.len();
    let mut text = format!("the sub-tasks of step {name}: {ended} of {all} have ended");
    if !stuck.is_empty() {
        text = format!("{text}; stuck: {}", stuck.join(", "));
    }
    text
}

fn waiting_for_lock(seat: &Seat, holders: &[(PlanId, Option<Arc<Plan>>)]) -> Waiting {
    let holder = holders
        .iter()
        .find(|(id, _)| Some(*id) == seat.behind)
        .and_then(|(_, plan)| plan.as_ref());
    let by = holder.map_or_else(
        || "another task".to_owned(),
        |plan| {
            let action = plan
                .submitted
                .as_ref()
                .map_or("task", |it| it.action.as_str());
            match step_at_work(plan) {
                Some(step) => format!("task {} ({action}), which is at step {step}", plan.id),
                None => format!("task {} ({action})", plan.id),
            }
        },
    );
    let text = format!(
        "lock {}: position {}, behind {by}",
        seat.resource, seat.position
    );
    Waiting {
        kind: WaitingKind::Lock,
        text,
        task: seat.behind,
        since: Some(seat.since),
        until: None,
        needs: holder.and_then(|holder| holder_needs(holder)),
    }
}

pub(super) fn step_at_work(plan: &Plan) -> Option<&str> {
    let index = plan.steps.iter().position(|step| {
        step.state.is_under_way() || step.is_retrying() || step.state == StepState::Compensating
    })?;
    Some(&plan.graph().get(index)?.name)
}
