//! What operators want of a plan, put into its mailbox, and what came of it.

use super::mailbox::needs_code;
use super::{Inner, Node, NodeError};
use crate::clock::Timestamp;
use crate::decide;
use crate::edit;
use crate::journal::{Action, ChildState, ENGINE, Entry, Json, Message, PlanId, Row, Submitted};
use crate::plan::Plan;
use crate::state::Refused;
use crate::step::{Services, Work};
use crate::store::{Append, Appended, Head, Store, StoreError};
use crate::workflow::Registered;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

impl<S: Services, St: Store<Tx = S::Tx>> Node<S, St> {
    /// Does what an operator wants and answers with the plan as it is then. Once this has put the message into the mailbox it is
    /// durable, whatever becomes of the node.
    pub async fn act(&self, plan: PlanId, message: Message) -> Result<Arc<Plan>, NodeError> {
        let nothing: Work<St::Tx, (), StoreError> = Box::new(|_| Box::pin(async { Ok(()) }));
        self.act_and(plan, message, nothing).await
    }

    /// The same, and in the transaction that makes the message durable whatever the application writes of it.
    pub async fn act_and(
        &self,
        plan: PlanId,
        message: Message,
        also: Work<St::Tx, (), StoreError>,
    ) -> Result<Arc<Plan>, NodeError> {
        let now = self.0.plan(plan).await?;
        let at = self.0.clock.now();
        decide::fits(&now, &message.action, at)?;
        if message.action == Action::Abort && decide::may_be_abandoned(&now) {
            return self.0.abandon(plan, message, also).await;
        }
        self.0.can_stand(&now, &message.action)?;
        self.0.has_code_for(&now, &message.action, at)?;
        let n = self
            .0
            .store
            .transact::<i64, StoreError>(Box::new(move |tx| {
                Box::pin(async move {
                    also(tx).await?;
                    St::deliver_in(tx, plan, message, at).await
                })
            }))
            .await??;
        self.0.wake(plan);
        self.answer(plan, n).await
    }

    /// What consuming message `n` came to.
    async fn answer(&self, plan: PlanId, n: i64) -> Result<Arc<Plan>, NodeError> {
        let patience = self.0.options.lease_ttl + self.0.options.poll;
        let answer = async {
            loop {
                let mut seen = self.0.watch(plan);
                if let Some(seen) = &mut seen {
                    // What it knows now is in the rows that are read next.
                    seen.borrow_and_update();
                }
                let rows = self.0.store.load(plan).await?;
                if rows.is_empty() {
                    return Err(NodeError::NotFound(plan)); // it was deleted meanwhile, and nobody will read its mail
                }
                let consumed = rows
                    .iter()
                    .flat_map(|row| &row.entries)
                    .find(|entry| entry.consumes() == Some(n));
                if let Some(Entry::Operator {
                    message, refused, ..
                }) = consumed
                {
                    let now = Plan::fold(plan, &rows);
                    if let Some(refused) = refused {
                        return Err(NodeError::Refused(Refused {
                            what: "task",
                            state: now.state.to_string(),
                            event: what_cannot(refused).unwrap_or_else(|| name_of(&message.action)),
                            can: decide::names_of_possible(&now, self.0.clock.now()),
                        }));
                    }
                    return Ok(Arc::new(now));
                }
                let pause = tokio::time::sleep(Duration::from_millis(20));
                match &mut seen {
                    Some(seen) => {
                        tokio::select! { biased; _ = seen.changed() => {}, () = pause => {} }
                    }
                    None => pause.await,
                }
            }
        };
        tokio::time::timeout(patience, answer)
            .await
            .unwrap_or(Err(NodeError::Unanswered(plan)))
    }
}

/// What the recorded refusal says that the task cannot, with the reason.
fn what_cannot(refused: &str) -> Option<String> {
    let (_, rest) = refused.split_once(" cannot ")?;
    let (event, _) = rest.rsplit_once("; it can: ")?;
    Some(event.to_owned())
}

fn name_of(action: &Action) -> String {
    match action {
        Action::Resume => "resume".into(),
        Action::ResumeEdited { .. } => "go on with another input".into(),
        Action::Cancel => "cancel".into(),
        Action::Abort => "abort".into(),
        Action::Revert => "be reverted".into(),
        Action::Hold => "be held".into(),
        Action::Release => "be released".into(),
        Action::Skip { step, .. } => format!("skip step `{step}`"),
        Action::Resolve { step, .. } => format!("resolve step `{step}`"),
        Action::RetryNow { step } => format!("retry step `{step}` now"),
        Action::Unreadable { .. } => "do what it was told".into(),
        Action::Supersede { .. } => "be superseded".into(),
        Action::Event { name, .. } => format!("receive event `{name}`"),
        Action::ChildMoved { .. } => "hear of a sub-task".into(),
    }
}

/// The input itself, where no field of it is to blame.
const WHOLE: &str = "input";

impl<S: Services, St: Store<Tx = S::Tx>> Node<S, St> {
    /// The resume of a plan with what is wanted of its input merged into it (RFC 7396). Refused where its workflow allows no such
    /// change, and where that is no input of it any more.
    pub async fn edited(&self, plan: PlanId, wanted: &Value) -> Result<Action, NodeError> {
        let plan = self.0.plan(plan).await?;
        self.0.edited(&plan, wanted)
    }
}

impl<S: Services, St: Store<Tx = S::Tx>> Inner<S, St> {
    pub(super) fn edited(&self, plan: &Plan, wanted: &Value) -> Result<Action, NodeError> {
        let refused = |why: String| NodeError::Edit {
            at: WHOLE.into(),
            why,
        };
        let Value::Object(fields) = wanted else {
            return Err(refused("what is wanted of it must be an object".into()));
        };
        let (workflow, submitted) = self.code_and_input(plan)?;
        for field in fields.keys() {
            if !workflow.editable.contains(&field.as_str()) {
                let name = workflow.name;
                let why = match workflow.editable {
                    [] => format!("no field of an input of workflow `{name}` can be changed"),
                    some => format!("of workflow `{name}` only {} can", some.join(", ")),
                };
                return Err(NodeError::Edit {
                    at: format!("{WHOLE}.{field}"),
                    why,
                });
            }
        }
        let after = edit::merged(&submitted.input, wanted).map_err(refused)?;
        let change = edit::difference(&submitted.input, &after).map_err(refused)?;
        let Some(change) = change else {
            return Ok(Action::Resume);
        };
        let action = Action::ResumeEdited { change };
        self.is_an_input(plan, &action)?;
        Ok(action)
    }

    fn code_and_input<'p>(
        &self,
        plan: &'p Plan,
    ) -> Result<(&Registered<S>, &'p Submitted), NodeError> {
        let unknown = || NodeError::UnknownWorkflow(plan.workflow().into());
        let workflow = self
            .workflows
            .known
            .get(plan.workflow())
            .ok_or_else(unknown)?;
        let submitted = plan.submitted.as_ref().ok_or_else(unknown)?;
        Ok((workflow, submitted))
    }

    /// The input as an operator has changed it is one of the workflow, and about the same.
    fn is_an_input(&self, plan: &Plan, action: &Action) -> Result<(), NodeError> {
        let Action::ResumeEdited { change } = action else {
            return Ok(());
        };
        let refused = |why: String| NodeError::Edit {
            at: WHOLE.into(),
            why,
        };
        let (workflow, submitted) = self.code_and_input(plan)?;
        for field in edit::changes(change) {
            let top = field.at.split('/').nth(1).unwrap_or_default();
            if !workflow.editable.contains(&top) {
                return Err(NodeError::Edit {
                    at: format!("{WHOLE}.{top}"),
                    why: "its workflow does not allow that".into(),
                });
            }
        }
        let Ok(input) = edit::apply(&submitted.input, change) else {
            return Ok(()); // made for another input: that is told when the message is judged
        };
        let read = |input: &Json| (workflow.read)(workflow, input, submitted.actor.clone());
        let (after, key) = read(&input).map_err(|error| refused(error.to_string()))?;
        let Ok((before, key_before)) = read(&submitted.input) else {
            return Ok(()); // what it was about was not readable any more
        };
        let same = (&after.locks, &after.organization, &after.links, key)
            == (
                &before.locks,
                &before.organization,
                &before.links,
                key_before,
            );
        if same {
            return Ok(());
        }
        Err(refused(
            "the task would be about something else; start another one for that".into(),
        ))
    }

    /// Ends a plan that nobody can read: by a row after its last one, without its mailbox, which nobody reads. It lets go of its
    /// locks and its key; nothing of it is undone.
    async fn abandon(
        self: &Arc<Self>,
        id: PlanId,
        message: Message,
        also: Work<St::Tx, (), StoreError>,
    ) -> Result<Arc<Plan>, NodeError> {
        let (rows, seats) = (self.store.load(id).await?, self.store.seats(id).await?);
        let before = Plan::fold(id, &rows);
        let row = Row {
            seq: rows.last().map_or(0, |row| row.seq) + 1,
            nonce: self.nonce(),
            node: self.options.id,
            at: self.clock.now(),
            entries: vec![Entry::Abandoned {
                by: message.by,
                reason: message.reason,
            }],
            unreadable: None,
        };
        let mut next = before.clone();
        next.append(&row);
        let told = Action::ChildMoved {
            child: id,
            state: ChildState::Ended(next.result),
        };
        let parent = before.submitted.as_ref().and_then(|it| it.parent);
        let append = Append {
            plan: id,
            entries: serde_json::to_string(&row.entries)
                .map_err(|error| StoreError::Corrupt(error.to_string()))?,
            head: Some(Head::of(&next, self.options.id)),
            let_go: seats.into_iter().map(|seat| seat.resource).collect(),
            asked_for: Vec::new(),
            mail: None,
            notices: parent
                .map(|parent| {
                    let by = ENGINE.to_owned();
                    let (action, reason) = (told, None);
                    (parent.plan, Message { action, by, reason })
                })
                .into_iter()
                .collect(),
            gives_key_up: true,
            row,
        };
        let appended = self
            .store
            .transact::<Appended, StoreError>(Box::new(move |tx| {
                Box::pin(async move {
                    also(tx).await?;
                    St::append_in(tx, append).await
                })
            }))
            .await??;
        self.tell_granted(&appended.granted);
        Ok(Arc::new(next))
    }

    /// What would let a step run is not taken where its code is not.
    fn has_code_for(&self, plan: &Plan, action: &Action, at: Timestamp) -> Result<(), NodeError> {
        let others = plan.state.is_driven() && plan.node != Some(self.options.id);
        if others || !needs_code(action) {
            return Ok(());
        }
        let Some(missing) = self.missing_code(plan) else {
            return Ok(());
        };
        let name = name_of(action);
        Err(NodeError::Refused(Refused {
            what: "task",
            state: plan.state.to_string(),
            event: format!("{name}, because this node does not know {missing}"),
            can: decide::names_of_possible(plan, at),
        }))
    }

    /// What an operator gives for a step's output can be read by the steps after it.
    fn can_stand(&self, plan: &Plan, action: &Action) -> Result<(), NodeError> {
        self.is_an_input(plan, action)?;
        let (Action::Skip {
            step,
            output: Some(output),
        }
        | Action::Resolve {
            step,
            output: Some(output),
        }) = action
        else {
            return Ok(());
        };
        let workflow = self.workflows.known.get(plan.workflow());
        let code = workflow.and_then(|it| Some(&it.bodies[it.index_of(step)?]));
        let code = code.ok_or_else(|| NodeError::UnknownWorkflow(plan.workflow().into()))?;
        code.can_leave(output).map_err(|why| NodeError::Output {
            step: step.clone(),
            why: why.to_string(),
        })
    }
}
