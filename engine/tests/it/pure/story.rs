//! A plan to which things happen, one after the other.

use super::generate::{NODE, json};
use engine::clock::Timestamp;
use engine::decide::{Decision, Happening, decide, submit};
use engine::journal::{
    Action, Failure, GraphStep, Json, Message, Parent, PlanId, PlanResult, Reason, Submitted,
};
use engine::lock::{LockMode, LockRequest, OnPause};
use engine::plan::Plan;
use engine::state::PlanState;
use std::time::Duration;
use uuid::Uuid;

/// A plan and the time; every step is known by its name.
pub(super) struct Story {
    pub(super) plan: Plan,
    pub(super) now: i64,
}

impl Story {
    pub(super) fn of(graph: Vec<GraphStep>) -> Self {
        Self::revertible_for(graph, None)
    }

    pub(super) fn with_locks(graph: Vec<GraphStep>, locks: Vec<LockRequest>) -> Self {
        Self::submitted(graph, locks, None)
    }

    pub(super) fn revertible_for(graph: Vec<GraphStep>, time: Option<Duration>) -> Self {
        Self::submitted(graph, vec![], time)
    }

    pub(super) fn child_of(parent: Parent, graph: Vec<GraphStep>) -> Self {
        Self::begun(Submitted {
            parent: Some(parent),
            ..Self::first_entry(graph, vec![], None)
        })
    }

    pub(super) fn submitted(
        graph: Vec<GraphStep>,
        locks: Vec<LockRequest>,
        time: Option<Duration>,
    ) -> Self {
        Self::begun(Self::first_entry(graph, locks, time))
    }

    fn first_entry(
        graph: Vec<GraphStep>,
        locks: Vec<LockRequest>,
        time: Option<Duration>,
    ) -> Submitted {
        Submitted {
            workflow: "any".into(),
            version: 1,
            action: "Any".into(),
            graph: graph.into(),
            input: json("input"),
            locks,
            actor: None,
            organization: None,
            links: vec![],
            cause: None,
            parent: None,
            revertible_for: time,
            priority: engine::priority::Priority::default(),
        }
    }

    fn begun(submitted: Submitted) -> Self {
        let id = PlanId(Uuid::from_u128(7));
        let begun = submit(id, submitted, vec![], true, Timestamp(0), NODE).unwrap();
        Self {
            plan: begun.next,
            now: 0,
        }
    }

    pub(super) fn happens(&mut self, happening: Happening) -> Decision {
        self.now += 1;
        let decision = decide(&self.plan, happening, Timestamp(self.now), NODE).unwrap();
        self.plan = decision.next.clone();
        decision
    }

    pub(super) fn step(&self, name: &str) -> usize {
        self.plan.index_of(name).unwrap()
    }

    pub(super) fn succeeds(&mut self, name: &str) {
        let step = self.step(name);
        let output = json(name);
        self.happens(Happening::Succeeded {
            step,
            output,
            warning: None,
            form: 1,
        });
    }

    pub(super) fn fails(&mut self, name: &str) {
        let step = self.step(name);
        self.happens(Happening::Failed {
            step,
            error: Failure::new("test", "it broke", false),
            retry_at: Timestamp(self.now),
        });
    }

    pub(super) fn is_undone(&mut self, name: &str) {
        let step = self.step(name);
        self.happens(Happening::Undone { step });
    }

    pub(super) fn cannot_be_undone(&mut self, name: &str) {
        let step = self.step(name);
        self.happens(Happening::UndoFailed {
            step,
            error: Failure::new("test", "it is stuck", false),
            retry_at: Timestamp(self.now),
        });
    }

    /// What the message came to; none: it was done.
    pub(super) fn told(&mut self, action: Action) -> Option<String> {
        let message = Message {
            action,
            by: "ann".into(),
            reason: Some("because".into()),
        };
        let decision = self.happens(Happening::Mail { n: 1, message });
        decision.refused.map(|refused| refused.to_string())
    }

    pub(super) fn skipped(&mut self, step: &str, output: Option<Json>) -> Option<String> {
        let step = step.to_owned();
        self.told(Action::Skip { step, output })
    }

    pub(super) fn states(&self) -> String {
        let steps = self.plan.graph().iter().zip(&self.plan.steps);
        let each: Vec<String> = steps
            .map(|(step, status)| format!("{} {}", step.name, status.state))
            .collect();
        each.join(", ")
    }

    pub(super) fn end(&self) -> (PlanState, PlanResult, Option<Reason>) {
        (self.plan.state, self.plan.result, self.plan.reason)
    }
}

pub(super) fn step(name: &str, after: &[usize]) -> GraphStep {
    GraphStep {
        undoable: true,
        ..GraphStep::new(name, after.to_vec())
    }
}

pub(super) fn lock(resource: &str, until: Option<usize>) -> LockRequest {
    LockRequest {
        resource: resource.into(),
        mode: LockMode::Exclusive,
        until,
        on_pause: OnPause::Release,
    }
}

/// `first`, then `left` and `right` side by side, then `last`.
pub(super) fn diamond() -> Vec<GraphStep> {
    vec![
        step("first", &[]),
        step("left", &[0]),
        step("right", &[0]),
        step("last", &[1, 2]),
    ]
}

pub(super) fn with(
    mut graph: Vec<GraphStep>,
    name: &str,
    change: impl Fn(&mut GraphStep),
) -> Vec<GraphStep> {
    change(graph.iter_mut().find(|step| step.name == name).unwrap());
    graph
}

pub(super) const REVERTED: (PlanState, PlanResult, Option<Reason>) =
    (PlanState::Stopped, PlanResult::Reverted, None);
