//! What people ask a node about its plans.

use super::{Node, NodeError};
use crate::clock::Timestamp;
use crate::decide;
use crate::edit;
use crate::explain::{Preview, Task};
use crate::journal::{Action, Entry, NodeId, PlanId, Row};
use crate::plan::Plan;
use crate::search::{Search, TaskCursor};
use crate::step::Services;
use crate::store::{Count, Page, Store, Visible};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// A page of tasks.
#[derive(Clone, Debug, Serialize)]
pub struct Tasks {
    /// In the order of the list.
    pub results: Vec<Task>,
    /// How many there are on all pages.
    pub total: u64,
    /// Where this page ended, when more follow.
    pub next: Option<TaskCursor>,
}

/// One entry of a task's history.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryRow {
    /// The number of its row.
    pub seq: i64,
    /// When it was recorded.
    #[serde(serialize_with = "crate::explain::rfc3339")]
    pub at: Timestamp,
    /// By whom.
    pub node: NodeId,
    /// The login of who wanted it, where a person did.
    pub actor: Option<String>,
    /// The step it is about.
    pub step: Option<String>,
    /// What became true.
    pub entry: Entry,
}

impl HistoryRow {
    /// Everything that these rows of the plan tell, in order.
    #[must_use]
    pub fn all(plan: &Plan, rows: Vec<Row>) -> Vec<Self> {
        let name = |step: usize| plan.graph().get(step).map(|known| known.name.clone());
        let mut all = Vec::new();
        for Row {
            seq,
            at,
            node,
            entries,
            ..
        } in rows
        {
            all.extend(entries.into_iter().map(|entry| Self {
                seq,
                at,
                node,
                actor: entry.actor().map(ToOwned::to_owned),
                step: entry.step().and_then(name),
                entry,
            }));
        }
        all
    }

    /// What became true, as `step_started`, and what of it; its fields are the event's own.
    #[must_use]
    pub fn event_and_detail(&self) -> (String, Value) {
        match serde_json::to_value(&self.entry).unwrap_or(Value::Null) {
            Value::String(name) => (name, Value::Null),
            Value::Object(fields) => fields.into_iter().next().unwrap_or_default(),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
                (String::new(), other)
            }
        }
    }
}

impl<S: Services, St: Store<Tx = S::Tx>> Node<S, St> {
    /// The task in full.
    pub async fn task(&self, plan: PlanId) -> Result<Task, NodeError> {
        let plan = self.plan(plan).await?;
        self.explained(&plan).await
    }

    /// A plan, explained as of now.
    pub async fn explained(&self, plan: &Plan) -> Result<Task, NodeError> {
        let has_locks = plan.state.is_driven() && !plan.locks.is_empty();
        let seats = if has_locks {
            self.store().seats(plan.id).await?
        } else {
            Vec::new()
        };
        let mut holders = Vec::new();
        for holder in seats.iter().filter_map(|seat| seat.behind) {
            holders.push((holder, self.plan(holder).await.ok()));
        }
        let now = self.clock().now();
        let gates = self.gates_of(plan);
        let mut task = Task::at_gates(plan, &seats, &holders, &gates, now);
        let nobodys = self.0.is_left_alone(plan);
        if let Some(why) = self.0.brake.holds_back(plan.id) {
            task = task.waiting_for_take_over(plan, &why, now);
        }
        if let Some(missing) = nobodys.then(|| self.0.missing_code(plan)).flatten() {
            task = task.waiting_for_code(plan, &missing, now);
        }
        if let Some(workflow) = self.0.workflows.known.get(plan.workflow()) {
            task = task.with_sentences(plan, workflow.sentences);
        }
        if plan.children().any(|child| child.plan.is_some()) {
            let counts = self.store().children(plan.id).await?;
            return Ok(task.with_children(&counts));
        }
        Ok(task)
    }

    /// A page of the tasks that this search finds, without their steps.
    pub async fn tasks(&self, search: Search, page: Page) -> Result<Tasks, NodeError> {
        let listing = self.store().list(search, page).await?;
        let mut results = Vec::with_capacity(listing.plans.len());
        // They come in the order in which they were asked for.
        for (id, rows) in self.store().load_all(listing.plans).await? {
            let plan = Plan::fold(id, &rows);
            results.push(self.explained(&plan).await?.without_steps());
        }
        Ok(Tasks {
            results,
            total: listing.total,
            next: listing.next,
        })
    }

    /// How many tasks there are by state, result and reason.
    pub async fn count(&self, visible: Visible) -> Result<Vec<Count>, NodeError> {
        Ok(self.store().count(visible).await?)
    }

    /// Everything that was ever recorded of a task.
    pub async fn history(&self, plan: PlanId) -> Result<Vec<HistoryRow>, NodeError> {
        let rows = self.store().load(plan).await?;
        if rows.is_empty() {
            return Err(NodeError::NotFound(plan));
        }
        let folded = Plan::fold(plan, &rows);
        Ok(HistoryRow::all(&folded, rows))
    }

    /// The plan, once its journal goes beyond row `seq`; past the time as it is then.
    pub async fn beyond(
        &self,
        plan: PlanId,
        seq: i64,
        at_most: Duration,
    ) -> Result<Arc<Plan>, NodeError> {
        let longer = async {
            loop {
                if let Some(mut seen) = self.0.attach(plan).await? {
                    let longer = seen
                        .wait_for(|plan| plan.seq > seq)
                        .await
                        .map(|plan| plan.clone());
                    if let Ok(longer) = longer {
                        return Ok(longer);
                    }
                }
                let now = self.0.plan(plan).await?;
                if now.seq > seq {
                    return Ok(now);
                }
                // Nobody drives it, or another node does.
                tokio::time::sleep(self.0.options.poll / 4).await;
            }
        };
        match tokio::time::timeout(at_most, longer).await {
            Ok(longer) => longer,
            Err(_) => self.0.plan(plan).await,
        }
    }

    /// What resuming the plan would do, without doing it; also with what is wanted of its input merged into that.
    pub async fn resume_preview(
        &self,
        plan: PlanId,
        wanted: Option<&Value>,
    ) -> Result<Preview, NodeError> {
        let plan = self.plan(plan).await?;
        let action = match wanted {
            Some(wanted) => self.0.edited(&plan, wanted)?,
            None => Action::Resume,
        };
        decide::fits(&plan, &action, self.clock().now())?;
        let input_changes = if let Action::ResumeEdited { change } = &action {
            edit::changes(change)
        } else {
            Vec::new()
        };
        let mut behind = Vec::new();
        for lock in plan
            .locks
            .iter()
            .filter(|lock| lock.state == crate::lock::LockState::GivenUp)
        {
            behind.push(lock.request.resource.clone());
        }
        Ok(Preview::of(&plan, behind, input_changes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_entry_is_told_by_its_name() {
        let row = |entry| HistoryRow {
            seq: 1,
            at: Timestamp(0),
            node: NodeId(uuid::Uuid::nil()),
            actor: None,
            step: None,
            entry,
        };

        let (claimed, started) = (row(Entry::Claimed), row(Entry::StepStarted { step: 3 }));

        assert_eq!(claimed.event_and_detail(), ("claimed".into(), Value::Null));
        assert_eq!(
            started.event_and_detail(),
            ("step_started".into(), json!({"step": 3}))
        );
    }
}
