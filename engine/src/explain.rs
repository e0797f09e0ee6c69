//! Why a plan is where it is, in words: made from the very predicates that move it.

use crate::clock::Timestamp;
use crate::decide;
use crate::journal::{Action, Failure, Json, NodeId, PlanId, PlanResult, Reason};
use crate::lock::{LockMode, Seat};
use crate::plan::{Plan, StepStatus};
use crate::state::{PlanState, StepState};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A plan as people see it.
#[derive(Clone, Debug, Serialize)]
pub struct Task {
    /// The plan's id.
    pub id: PlanId,
    /// The workflow's name.
    pub label: String,
    /// Where it is.
    pub state: PlanState,
    /// How it ended.
    pub result: PlanResult,
    /// Why it is paused or was cancelled.
    pub reason: Option<Reason>,
    /// One sentence: what is where since when, and why.
    pub headline: String,
    /// Steps done, from 0 to 1.
    pub progress: f64,
    /// What it does.
    pub action: String,
    /// Its input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
    /// The outputs of its last steps, once it has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<BTreeMap<String, Json>>,
    /// The login of who wanted it.
    pub user: Option<String>,
    /// The organization's label.
    pub organization: Option<String>,
    /// Submitted.
    #[serde(serialize_with = "rfc3339")]
    pub created_at: Timestamp,
    /// Begun.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub started_at: Option<Timestamp>,
    /// Ended.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub ended_at: Option<Timestamp>,
    /// Paused.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub paused_since: Option<Timestamp>,
    /// Everything that it waits for; empty when something of it is under way.
    pub waiting_for: Vec<Waiting>,
    /// The locks it holds or waits for.
    pub locks: Vec<LockSeen>,
    /// The number of its last journal row.
    pub seq: i64,
    /// What happened, what is safe, what now.
    pub explanation: Explanation,
    /// What an operator may do with it, and what that will do.
    pub actions: Vec<Possible>,
    /// Its steps, in graph order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepSeen>>,
    /// What it is about, for the API above.
    #[serde(skip)]
    pub links: Vec<(String, String)>,
}

/// Something that a task waits for.
#[derive(Clone, Debug, Serialize)]
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
}

/// The kinds of things that a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitingKind {
    /// Another task holds what this one needs alone.
    Lock,
    /// The next attempt of a step.
    Retry,
    /// Work that goes on elsewhere.
    Time,
    /// A person.
    Operator,
}

/// A lock of a task.
#[derive(Clone, Debug, Serialize)]
pub struct LockSeen {
    /// What is locked.
    pub resource: String,
    /// `exclusive` or `shared`.
    pub mode: LockModeSeen,
    /// `held` or `queued`.
    pub state: &'static str,
    /// 0 held, 1 the first that waits.
    pub position: u32,
    /// Since when it is asked for or held.
    #[serde(serialize_with = "rfc3339")]
    pub since: Timestamp,
}

/// A lock's mode, as the API writes it.
pub type LockModeSeen = LockMode;

/// Three short paragraphs for whoever looks at a task.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// What happened.
    pub happened: String,
    /// What is safe.
    pub safe: String,
    /// What now.
    pub next: String,
}

/// An action of an operator.
#[derive(Clone, Debug, Serialize)]
pub struct Possible {
    /// Its name.
    pub name: &'static str,
    /// It fits the task as it is.
    pub allowed: bool,
    /// What it will do with this task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub will: Option<String>,
    /// Why it does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// A step as people see it.
#[derive(Clone, Debug, Serialize)]
pub struct StepSeen {
    /// Its name.
    pub name: String,
    /// Its state, or `retrying` or `waiting` for what is between attempts or behind a lock.
    pub state: String,
    /// Attempts begun.
    pub attempts: u32,
    /// Each attempt.
    pub tries: Vec<TrySeen>,
    /// The start of the first attempt.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub started_at: Option<Timestamp>,
    /// Its end, once it has ended.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub ended_at: Option<Timestamp>,
    /// The outputs of the steps it depends on.
    pub input: BTreeMap<String, Json>,
    /// Its recorded output.
    pub output: Option<Json>,
    /// Why its last attempt failed.
    pub error: Option<Failure>,
    /// What a person should know although it succeeded.
    pub warning: Option<String>,
    /// The steps that must have succeeded before it.
    pub depends_on: Vec<String>,
    /// When its next attempt or poll begins.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub wake_at: Option<Timestamp>,
    /// The node of its last attempt.
    pub node: Option<NodeId>,
}

/// An attempt as people see it.
#[derive(Clone, Debug, Serialize)]
pub struct TrySeen {
    /// Its number, from 1.
    pub n: usize,
    /// Its start.
    #[serde(serialize_with = "rfc3339")]
    pub started_at: Timestamp,
    /// Its end.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub ended_at: Option<Timestamp>,
    /// Who ran it.
    pub node: NodeId,
    /// Why it failed.
    pub error: Option<Failure>,
    /// When the next one was due.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub wait_until: Option<Timestamp>,
}

/// What a resume would do.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// The steps that would run, in graph order.
    pub would_run: Vec<String>,
    /// The locks that it would have to ask for again.
    pub asks_for_locks: Vec<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference to the field"
)]
pub(crate) fn rfc3339<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(time)
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn rfc3339_or_null<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => to.collect_str(time),
        None => to.serialize_none(),
    }
}

impl Task {
    /// The plan as of `now`. `seats` are its places in the queues of its locks, `holders` the plans that stand in its way.
    #[must_use]
    pub fn of(
        plan: &Plan,
        seats: &[Seat],
        holders: &[(PlanId, Option<Arc<Plan>>)],
        now: Timestamp,
    ) -> Self {
        let submitted = plan.submitted.as_deref();
        let done = plan
            .steps
            .iter()
            .filter(|step| step.state == StepState::Success)
            .count();
        let waiting_for = waiting_for(plan, seats, holders);
        Self {
            id: plan.id,
            label: plan.workflow().to_owned(),
            state: plan.state,
            result: plan.result,
            reason: plan.reason,
            headline: headline(plan, &waiting_for),
            #[expect(
                clippy::cast_precision_loss,
                reason = "a plan has at most 10,000 steps"
            )]
            progress: if plan.steps.is_empty() {
                0.0
            } else {
                done as f64 / plan.steps.len() as f64
            },
            action: submitted.map_or_else(|| "unreadable task".into(), |it| it.action.clone()),
            input: submitted.map(|it| it.input.clone()),
            output: matches!(plan.result, PlanResult::Success | PlanResult::Warning)
                .then(|| last_outputs(plan)),
            user: submitted.and_then(|it| it.actor.clone()),
            organization: submitted.and_then(|it| it.organization.clone()),
            created_at: plan.times.created,
            started_at: plan.times.started,
            ended_at: plan.times.ended,
            paused_since: plan.times.paused,
            locks: seats.iter().map(lock_seen).collect(),
            seq: plan.seq,
            explanation: explanation(plan, &waiting_for, now),
            waiting_for,
            actions: actions(plan),
            steps: Some(
                (0..plan.steps.len())
                    .map(|step| step_seen(plan, step))
                    .collect(),
            ),
            links: submitted.map(|it| it.links.clone()).unwrap_or_default(),
        }
    }

    /// The task as lists show it.
    #[must_use]
    pub fn without_steps(self) -> Self {
        Self {
            steps: None,
            input: None,
            output: None,
            ..self
        }
    }

    /// The value of this link.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&str> {
        self.links
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

fn last_outputs(plan: &Plan) -> BTreeMap<String, Json> {
    let graph = plan.graph();
    let is_last = |step: usize| !graph.iter().any(|other| other.after.contains(&step));
    let last = (0..graph.len()).filter(|step| is_last(*step));
    last.filter_map(|step| Some((graph[step].name.clone(), plan.steps[step].output.clone()?)))
        .collect()
}

fn lock_seen(seat: &Seat) -> LockSeen {
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
fn waiting_for(
    plan: &Plan,
    seats: &[Seat],
    holders: &[(PlanId, Option<Arc<Plan>>)],
) -> Vec<Waiting> {
    match plan.state {
        PlanState::Stopped => return Vec::new(),
        PlanState::Paused => {
            let text = format!("an operator: {}", why_paused(plan));
            let since = plan.times.paused;
            return vec![Waiting {
                kind: WaitingKind::Operator,
                text,
                task: None,
                since,
                until: None,
            }];
        }
        PlanState::Pending | PlanState::Running => {}
    }
    if plan.waits_for_locks() {
        let queued = seats.iter().filter(|seat| seat.position > 0);
        return queued.map(|seat| waiting_for_lock(seat, holders)).collect();
    }
    if plan
        .steps
        .iter()
        .any(|step| step.state == StepState::Running)
    {
        return Vec::new();
    }
    let graph = plan.graph();
    let waiting = plan.steps.iter().enumerate().filter_map(|(index, step)| {
        let name = &graph[index].name;
        if step.is_retrying() {
            let why = step
                .error
                .as_ref()
                .map_or("", |error| error.message.as_str());
            let text = format!("the next attempt of step {name}: {why}");
            return Some(Waiting {
                kind: WaitingKind::Retry,
                text,
                task: None,
                since: None,
                until: step.wake_at,
            });
        }
        (step.state == StepState::Suspended).then(|| {
            let since = step.tries.last().map(|last| last.started_at);
            let text = format!("the work of step {name}, which goes on elsewhere");
            Waiting {
                kind: WaitingKind::Time,
                text,
                task: None,
                since,
                until: None,
            }
        })
    });
    waiting.collect()
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
    }
}

fn step_at_work(plan: &Plan) -> Option<&str> {
    let index = plan
        .steps
        .iter()
        .position(|step| step.state.is_under_way() || step.is_retrying())?;
    Some(&plan.graph().get(index)?.name)
}

/// The first step that failed, with its name.
fn failed(plan: &Plan) -> Option<(&str, &StepStatus)> {
    let index = plan
        .steps
        .iter()
        .position(|step| step.state == StepState::Error)?;
    Some((&plan.graph().get(index)?.name, &plan.steps[index]))
}

fn times(count: u32) -> String {
    if count == 1 {
        "once".into()
    } else {
        format!("{count} times")
    }
}

fn why_failed(plan: &Plan) -> Option<String> {
    let (name, step) = failed(plan)?;
    let why = step
        .error
        .as_ref()
        .map_or("without a message", |error| error.message.as_str());
    Some(format!(
        "step {name} failed {}: {why}",
        times(step.failures.max(1))
    ))
}

fn why_paused(plan: &Plan) -> String {
    match plan.reason {
        Some(Reason::Poison) => format!(
            "it was taken over {} times without any progress; perhaps step {} kills its node",
            plan.recoveries,
            plan.graph()
                .iter()
                .zip(&plan.steps)
                .find(|(_, it)| it.state == StepState::Pending)
                .map_or("?", |(it, _)| &it.name)
        ),
        Some(Reason::Error | Reason::Operator | Reason::Superseded) | None => {
            why_failed(plan).unwrap_or_else(|| "it cannot go on".into())
        }
    }
}

fn headline(plan: &Plan, waiting_for: &[Waiting]) -> String {
    let action = plan
        .submitted
        .as_ref()
        .map_or("Task", |it| it.action.as_str());
    if let Some(why) = &plan.unreadable {
        return format!("{action} cannot be read: {why}");
    }
    match plan.state {
        PlanState::Paused => {
            let since = plan
                .times
                .paused
                .map(|at| format!(" since {at}"))
                .unwrap_or_default();
            format!("{action} is paused{since}: {}", why_paused(plan))
        }
        PlanState::Stopped => match plan.result {
            PlanResult::Success => format!("{action} is done"),
            PlanResult::Warning => format!("{action} is done, with a warning: {}", warnings(plan)),
            PlanResult::Error => {
                format!(
                    "{action} failed: {}",
                    why_failed(plan).unwrap_or_else(|| "no step says why".into())
                )
            }
            PlanResult::Cancelled => match (plan.reason, plan.superseded_by) {
                (Some(Reason::Superseded), Some(by)) => {
                    format!("{action} was superseded by task {by}")
                }
                _ => format!("{action} was cancelled"),
            },
            PlanResult::Pending => format!("{action} has stopped"),
        },
        PlanState::Pending | PlanState::Running if plan.cancelling => {
            format!("{action} is being cancelled")
        }
        PlanState::Pending | PlanState::Running => {
            match (waiting_for.first(), step_at_work(plan)) {
                (Some(waiting), _) if waiting.kind == WaitingKind::Retry => {
                    format!("{action} is retrying: {}", waiting.text)
                }
                (Some(waiting), _) => format!("{action} waits for {}", waiting.text),
                (None, Some(step)) => format!("{action} is running: step {step}"),
                (None, None) => format!("{action} is {}", plan.state),
            }
        }
    }
}

fn warnings(plan: &Plan) -> String {
    let warnings: Vec<&str> = plan
        .steps
        .iter()
        .filter_map(|step| step.warning.as_deref())
        .collect();
    warnings.join("; ")
}

fn explanation(plan: &Plan, waiting_for: &[Waiting], now: Timestamp) -> Explanation {
    let done: Vec<&str> = named(plan, |step| step.state == StepState::Success);
    let rest: Vec<&str> = named(plan, |step| step.state != StepState::Success);
    let happened = match plan.state {
        PlanState::Paused => {
            let ago = plan.times.paused.map_or(0, |at| now.since(at).as_secs());
            format!("It has been paused for {ago} s: {}.", why_paused(plan))
        }
        PlanState::Stopped | PlanState::Pending | PlanState::Running => {
            format!("{}.", headline(plan, waiting_for))
        }
    };
    let safe = match (done.is_empty(), plan.result) {
        (_, PlanResult::Success | PlanResult::Warning) => {
            "All steps are done and recorded.".to_owned()
        }
        (true, _) => {
            "Nothing was changed yet; what was pushed is kept and can be pulled by its digest."
                .to_owned()
        }
        (false, _) => format!(
            "Done and recorded: {}. They will not run again. What was pushed is kept and can be pulled by its digest.",
            done.join(", ")
        ),
    };
    let next = match plan.state {
        PlanState::Paused => format!(
            "Mend the cause, then resume: that runs {} again from where it stopped. Or push again, which resumes it too.",
            rest.join(", ")
        ),
        PlanState::Stopped => match plan.result {
            PlanResult::Error => "Mend the cause and push again.".to_owned(),
            PlanResult::Success
            | PlanResult::Warning
            | PlanResult::Cancelled
            | PlanResult::Pending => "Nothing is left to do.".to_owned(),
        },
        PlanState::Pending | PlanState::Running => match waiting_for.first() {
            Some(waiting) => format!(
                "Nothing is needed from a person: it waits for {}.",
                waiting.text
            ),
            None => "Nothing is needed from a person: it is at work.".to_owned(),
        },
    };
    Explanation {
        happened,
        safe,
        next,
    }
}

fn named(plan: &Plan, which: impl Fn(&StepStatus) -> bool) -> Vec<&str> {
    let steps = plan.graph().iter().zip(&plan.steps);
    steps
        .filter(|(_, status)| which(status))
        .map(|(step, _)| step.name.as_str())
        .collect()
}

fn actions(plan: &Plan) -> Vec<Possible> {
    let would_run: Vec<&str> = decide::would_run(plan)
        .into_iter()
        .map(|step| plan.graph()[step].name.as_str())
        .collect();
    let resume = format!("runs {}; what is done stays done", would_run.join(", "));
    let cancel = "ends the task; what is done stays done, what has not run will not run".to_owned();
    let mut actions = vec![
        possible(plan, "resume", &Action::Resume, resume),
        possible(plan, "cancel", &Action::Cancel, cancel),
    ];
    for (_, step) in decide::possible(plan)
        .into_iter()
        .filter(|(name, _)| *name == "retry_now")
    {
        if let Some(known) = step.and_then(|step| plan.graph().get(step)) {
            let will = format!(
                "begins the next attempt of step {} without waiting",
                known.name
            );
            actions.push(Possible {
                name: "retry_now",
                allowed: true,
                will: Some(will),
                because: None,
            });
        }
    }
    actions
}

fn possible(plan: &Plan, name: &'static str, action: &Action, will: String) -> Possible {
    match decide::fits(plan, action) {
        Ok(()) => Possible {
            name,
            allowed: true,
            will: Some(will),
            because: None,
        },
        Err(refused) => Possible {
            name,
            allowed: false,
            will: None,
            because: Some(refused.to_string()),
        },
    }
}

fn step_seen(plan: &Plan, index: usize) -> StepSeen {
    let (known, step) = (&plan.graph()[index], &plan.steps[index]);
    let state = if step.is_retrying() && plan.state != PlanState::Paused {
        "retrying".to_owned()
    } else if step.state == StepState::Pending && plan.waits_for_locks() && plan.is_ready(index) {
        "waiting".to_owned()
    } else {
        step.state.to_string()
    };
    let tries = step.tries.iter().enumerate().map(|(n, it)| TrySeen {
        n: n + 1,
        started_at: it.started_at,
        ended_at: it.ended_at,
        node: it.node,
        error: it.error.clone(),
        wait_until: it.wake_at,
    });
    let before = known
        .after
        .iter()
        .map(|before| (plan.graph()[*before].name.clone(), &plan.steps[*before]));
    StepSeen {
        name: known.name.clone(),
        state,
        attempts: step.attempts(),
        started_at: step.tries.first().map(|first| first.started_at),
        ended_at: if step.state.is_under_way() || step.state == StepState::Pending {
            None
        } else {
            step.tries.last().and_then(|last| last.ended_at)
        },
        tries: tries.collect(),
        input: before
            .clone()
            .filter_map(|(name, it)| Some((name, it.output.clone()?)))
            .collect(),
        output: step.output.clone(),
        error: step.error.clone(),
        warning: step.warning.clone(),
        depends_on: before.map(|(name, _)| name).collect(),
        wake_at: step.wake_at,
        node: step.tries.last().map(|last| last.node),
    }
}
