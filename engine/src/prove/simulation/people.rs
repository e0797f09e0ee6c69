//! What people do: submit plans, act on them with and without sense, close gates, delete what is old, and at last help.

use super::house::House;
use super::scene::{Dice, KEPT, Scene, SimNode, node_id};
use super::world::{BACKEND, KINDS, submit};
use crate::gate::GateId;
use crate::journal::{Action, Json, Message, PlanId};
use crate::node::NodeError;
use crate::plan::Plan;
use crate::retention::Retention;
use crate::state::{PlanState, StepState};
use crate::step::Work;
use crate::store::memory::{Memory, MemoryTx};
use crate::store::{Store, StoreError};
use crate::workflow::Workflow;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

/// What somebody was told is done.
#[derive(Clone, Debug, Default)]
pub(super) struct Acknowledged {
    pub(super) plans: Vec<PlanId>,
    /// How often an action was done, and how often it was kept to be done later.
    pub(super) actions: BTreeMap<(PlanId, String), (usize, usize)>,
}

/// What somebody wants of a plan.
pub(super) enum Wish {
    Act(Action),
    /// To resume it with another note in its input.
    Edit(u32),
}

impl Wish {
    /// Does it, and answers with what was done of which.
    pub(super) async fn come_true(
        self,
        node: &SimNode,
        plan: PlanId,
    ) -> (Option<Action>, Result<(), NodeError>) {
        let action = match self {
            Self::Act(action) => action,
            Self::Edit(to) => match node.edited(plan, &json!({ "note": to })).await {
                Ok(action) => action,
                Err(error) => return (None, Err(error)),
            },
        };
        let done = node.act(plan, by_somebody(action.clone())).await;
        (Some(action), done.map(drop))
    }
}

impl Scene {
    /// Somebody submits a plan, and perhaps gives up waiting.
    pub(super) fn submit(&mut self, seat: usize) {
        let Some((node, _)) = self.nodes[seat].clone() else {
            return;
        };
        let (n, acknowledged) = (self.dice.below(KINDS), self.acknowledged.clone());
        self.people.spawn(async move {
            if let Some(plan) = submit(&node, n).await {
                let mut acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                acknowledged.plans.push(plan);
            }
        });
    }

    /// Somebody does something to some plan, sense or no sense.
    pub(super) fn operate(&mut self, seat: usize) {
        let Some((node, _)) = self.nodes[seat].clone() else {
            return;
        };
        let some = {
            let record = self.witness.record();
            let plans: Vec<&Plan> = record.present().collect();
            let plan = self.dice.one(&plans);
            plan.and_then(|plan| Some((plan.id, some_wish(plan, &self.dice)?)))
        };
        let Some((plan, wish)) = some else { return };
        let acknowledged = self.acknowledged.clone();
        self.people.spawn(async move {
            let (Some(action), acted) = wish.come_true(&node, plan).await else {
                return;
            };
            let mut acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
            let actions = &mut acknowledged.actions;
            let (done, kept) = actions.entry((plan, action.to_string())).or_default();
            match acted {
                Ok(()) => *done += 1,
                Err(NodeError::Unanswered(_)) => *kept += 1,
                Err(_) => {}
            }
        });
    }

    /// Somebody closes or opens a gate: of the backend, of a workflow, of a node.
    pub(super) fn operate_a_gate(&mut self, seat: usize) {
        let Some((node, _)) = self.nodes[seat].clone() else {
            return;
        };
        let gates = self.gates();
        let Some(gate) = self.dice.one(&gates).cloned() else {
            return;
        };
        let closes = self.dice.below(2) == 0;
        let world = self.world.clone();
        let before = world.closures.before(&gate, node.id());
        self.people.spawn(async move {
            let by = "somebody".to_owned();
            if closes {
                let told = node.close_gate(gate.clone(), by, None, nothing()).await;
                if told.is_ok() {
                    let (id, clock) = (node.id(), node.clock());
                    world.closures.closed(gate, id, clock, before);
                }
            } else {
                world.closures.opens(&gate);
                let _it_may_be_so_already = node.open_gate(gate.clone(), by, None, nothing()).await;
                world.closures.answered(&gate);
            }
        });
    }

    /// Somebody deletes what has ended long enough ago: he looks, takes his time, and deletes what he has seen.
    pub(super) fn forget_the_ended(&mut self, seat: usize) {
        let Some((node, _)) = self.nodes[seat].clone() else {
            return;
        };
        let (clock, dice) = (self.weather.clock, self.dice.clone());
        self.people.spawn(async move {
            let Ok(rules) = serde_json::from_str::<Retention>(r#"{"other": "1h"}"#) else {
                return;
            };
            // Of the hour that they say all but a moment has passed already.
            let until = clock.now() - KEPT;
            let now = until + Duration::from_hours(1);
            let Ok(ended) = node.store().ended(until, None, 32).await else {
                return;
            };
            let ended = ended.into_iter().map(|it| it.plan).collect();
            let Ok(mut families) = node.store().families(ended).await else {
                return;
            };
            families.retain(|family| family.may_go(&rules, now));
            if families.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(dice.below(3000).into())).await;
            let forgotten = node.transact::<Vec<PlanId>, StoreError, _>(move |tx, _| {
                Box::pin(Memory::forget_in(tx, families))
            });
            drop(forgotten.await);
        });
    }

    fn gates(&self) -> Vec<GateId> {
        let nodes = (0..self.nodes.len()).map(|seat| GateId::Node(node_id(seat)));
        let others = [
            GateId::Backend(BACKEND.into()),
            GateId::Workflow("big".into()),
            GateId::Workflow("small".into()),
        ];
        others.into_iter().chain(nodes).collect()
    }

    /// Whatever a person has closed, a person opens. What closed by itself is left alone.
    pub(super) async fn open_what_people_closed(&self, node: &SimNode) {
        for gate in self.gates() {
            if node.gate(&gate).gate.is_closed_by_hand() {
                self.world.closures.opens(&gate);
                let opened = node.open_gate(gate.clone(), "somebody".into(), None, nothing());
                drop(opened.await);
                self.world.closures.answered(&gate);
            }
        }
    }
}

fn some_wish(plan: &Plan, dice: &Dice) -> Option<Wish> {
    let step = dice.one(plan.graph())?.name.clone();
    let number = Json::of(&dice.below(100)).ok();
    Some(Wish::Act(match dice.below(24) {
        0..4 => Action::Resume,
        4 => Action::Cancel,
        5 => Action::Abort,
        6..9 => Action::Revert,
        9 | 10 => Action::Hold,
        11..13 => Action::Release,
        13 | 14 => Action::Skip {
            step,
            output: number,
        },
        15 => Action::Skip { step, output: None },
        16 | 17 => Action::RetryNow { step },
        18 => Action::Resolve { step, output: None },
        19 => Action::Resolve {
            step,
            output: number,
        },
        20 | 21 => return Some(Wish::Edit(dice.below(100))),
        _ => Action::Event {
            name: "told".into(),
            payload: number?,
        },
    }))
}

/// What a person would do for a plan that needs one.
pub(super) fn helps(plan: &Plan, dice: &Dice) -> Option<Wish> {
    if plan.held.is_some() {
        return Some(Wish::Act(Action::Release));
    }
    let interrupted = plan
        .steps
        .iter()
        .position(|step| step.state == StepState::Interrupted);
    if let Some(step) = interrupted {
        let step = plan.graph().get(step)?.name.clone();
        return Some(Wish::Act(Action::Resolve { step, output: None }));
    }
    if plan.state != PlanState::Paused {
        return None;
    }
    if plan.workflow() == House::NAME && !plan.reverting && dice.below(2) == 0 {
        return Some(Wish::Edit(dice.below(100)));
    }
    Some(Wish::Act(Action::Resume))
}

fn by_somebody(action: Action) -> Message {
    Message {
        action,
        by: "somebody".into(),
        reason: None,
    }
}

fn nothing() -> Work<MemoryTx, (), StoreError> {
    Box::new(|_| Box::pin(async { Ok(()) }))
}
