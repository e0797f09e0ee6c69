//! Why a plan is where it is, in words: made from the very predicates that move it.

mod actions;
mod gate;
mod next;
mod step;
mod waiting;
mod words;

pub use actions::{Possible, Preview, RevertPreview};
pub use step::{Compensation, StepSeen, TrySeen};
pub(crate) use waiting::is_under_way;
pub use waiting::{LockSeen, Waiting, WaitingKind};
pub use words::Explanation;

use crate::clock::Timestamp;
use crate::edit::{self, Change};
use crate::gate::Gate;
use crate::journal::{Cause, Json, PlanId, PlanResult, Reason, StepIndex};
use crate::lock::Seat;
use crate::plan::{Edit, Plan};
use crate::priority::Priority;
use crate::state::PlanState;
use crate::store::Count;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A plan as people see it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// How operators have changed its input since it was submitted, oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_changes: Option<Vec<InputChange>>,
    /// The outputs of its last steps, once it has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<BTreeMap<String, Json>>,
    /// The login of who wanted it.
    pub user: Option<String>,
    /// The organization's label.
    pub organization: Option<String>,
    /// What started it; null for one that was submitted before this was recorded.
    pub cause: Option<Cause>,
    /// How urgent it is when not all that want can be at work.
    pub priority: Priority,
    /// Who holds it; null: nobody.
    pub held: Option<HeldSeen>,
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
    /// Until when it can be reverted after its success; null where it cannot.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub revertible_until: Option<Timestamp>,
    /// Everything that it waits for; empty when something of it is under way.
    pub waiting_for: Vec<Waiting>,
    /// The locks it holds or waits for.
    pub locks: Vec<LockSeen>,
    /// The task whose sub-task it is.
    pub parent: Option<PlanId>,
    /// How many sub-tasks it has in each state.
    pub children: BTreeMap<String, u64>,
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

impl Task {
    /// The plan as of `now`. `seats` are its places in the queues of its locks, `holders` the plans that stand in its way.
    #[must_use]
    pub fn of(
        plan: &Plan,
        seats: &[Seat],
        holders: &[(PlanId, Option<Arc<Plan>>)],
        now: Timestamp,
    ) -> Self {
        Self::at_gates(plan, seats, holders, &[], now)
    }

    /// The same with the gates at which its steps wait, as these are now.
    #[must_use]
    pub fn at_gates(
        plan: &Plan,
        seats: &[Seat],
        holders: &[(PlanId, Option<Arc<Plan>>)],
        gates: &[(StepIndex, Gate)],
        now: Timestamp,
    ) -> Self {
        let submitted = plan.submitted.as_deref();
        let done = plan
            .steps
            .iter()
            .filter(|step| step.state.is_done())
            .count();
        let waiting_for = waiting::waiting_for(plan, seats, holders, gates);
        Self {
            id: plan.id,
            label: plan.workflow().to_owned(),
            state: plan.state,
            result: plan.result,
            reason: plan.reason,
            headline: words::headline(plan, &waiting_for),
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
            input_changes: Some(plan.edits.iter().map(InputChange::of).collect()),
            output: matches!(plan.result, PlanResult::Success | PlanResult::Warning)
                .then(|| last_outputs(plan)),
            user: submitted.and_then(|it| it.actor.clone()),
            organization: submitted.and_then(|it| it.organization.clone()),
            cause: submitted.and_then(|it| it.cause),
            priority: plan.priority(),
            held: plan.held.as_ref().map(HeldSeen::of),
            created_at: plan.times.created,
            started_at: plan.times.started,
            ended_at: plan.times.ended,
            paused_since: plan.times.paused,
            revertible_until: plan.revertible_until(),
            locks: seats.iter().map(waiting::lock_seen).collect(),
            parent: submitted.and_then(|it| it.parent).map(|it| it.plan),
            children: BTreeMap::new(),
            seq: plan.seq,
            explanation: words::explanation(plan, &waiting_for, now),
            waiting_for,
            actions: actions::actions(plan, now),
            steps: Some(
                (0..plan.steps.len())
                    .map(|step| step::step_seen(plan, step, gates))
                    .collect(),
            ),
            links: submitted.map(|it| it.links.clone()).unwrap_or_default(),
        }
    }

    /// The task, which no node here can drive for want of this code.
    #[must_use]
    pub fn waiting_for_code(mut self, plan: &Plan, missing: &str, now: Timestamp) -> Self {
        self.waiting_for = vec![Waiting::for_code(missing, plan)];
        self.headline = words::headline(plan, &self.waiting_for);
        self.explanation = words::explanation(plan, &self.waiting_for, now);
        self
    }

    /// The task, which its node has not taken up yet for this reason.
    #[must_use]
    pub fn waiting_for_take_over(mut self, plan: &Plan, why: &str, now: Timestamp) -> Self {
        self.waiting_for = vec![Waiting::for_take_over(why)];
        self.headline = words::headline(plan, &self.waiting_for);
        self.explanation = words::explanation(plan, &self.waiting_for, now);
        self
    }

    /// The task with what its workflow says besides: what is safe, and what else than a resume helps.
    #[must_use]
    pub fn with_sentences(mut self, plan: &Plan, (safe, other): (&str, &str)) -> Self {
        let is_over = matches!(self.result, PlanResult::Success | PlanResult::Warning);
        let add = |to: &mut String, sentence: &str| {
            if !sentence.is_empty() {
                to.push(' ');
                to.push_str(sentence);
            }
        };
        if !is_over && !plan.reverting && plan.result != PlanResult::Reverted {
            add(&mut self.explanation.safe, safe);
        }
        let failed = plan.state == PlanState::Paused && plan.reason == Some(Reason::Error);
        if failed || plan.result == PlanResult::Error {
            add(&mut self.explanation.next, other);
        }
        self
    }

    /// The task with so many sub-tasks.
    #[must_use]
    pub fn with_children(mut self, counts: &[Count]) -> Self {
        for count in counts {
            *self.children.entry(count.state.to_string()).or_default() += count.plans;
        }
        self
    }

    /// The task as lists show it.
    #[must_use]
    pub fn without_steps(self) -> Self {
        Self {
            steps: None,
            input: None,
            input_changes: None,
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

/// A hold of a task.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Hold"))]
pub struct HeldSeen {
    /// The login of who holds it.
    pub by: String,
    /// Why, in his words.
    pub reason: Option<String>,
    /// Since when.
    #[serde(serialize_with = "rfc3339")]
    pub since: Timestamp,
}

impl HeldSeen {
    fn of(held: &crate::plan::Held) -> Self {
        Self {
            by: held.by.clone(),
            reason: held.reason.clone(),
            since: held.since,
        }
    }
}

/// A change of a task's input.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InputChange {
    /// The login of who wanted it.
    pub by: String,
    /// Why, in his words.
    pub reason: Option<String>,
    /// When.
    #[serde(serialize_with = "rfc3339")]
    pub at: Timestamp,
    /// What is different, place by place.
    pub changes: Vec<Change>,
}

impl InputChange {
    fn of(edit: &Edit) -> Self {
        Self {
            by: edit.by.clone(),
            reason: edit.reason.clone(),
            at: edit.at,
            changes: edit::changes(&edit.change),
        }
    }
}

fn last_outputs(plan: &Plan) -> BTreeMap<String, Json> {
    let graph = plan.graph();
    let is_last = |step: usize| !graph.iter().any(|other| other.after.contains(&step));
    let last = (0..graph.len()).filter(|step| is_last(*step));
    last.filter_map(|step| Some((graph[step].name.clone(), plan.steps[step].output.clone()?)))
        .collect()
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
