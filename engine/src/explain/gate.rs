//! Waiting at gates, in words: what keeps a gate closed, and what opens it.

use super::waiting::{Waiting, WaitingKind};
use crate::gate::{Gate, GateId, GateState};
use crate::journal::StepIndex;
use crate::plan::Plan;

/// What a plan waits for at gates: each gate once.
pub(super) fn waiting_at_gates(plan: &Plan, gates: &[(StepIndex, Gate)]) -> Vec<Waiting> {
    let mut seen: Vec<Gate> = Vec::new();
    let mut waiting = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let Some(at) = &step.at_gate else {
            continue;
        };
        let known = gates.iter().find(|(step, _)| *step == index);
        let gate = known.map_or_else(|| recorded(&at.gate), |(_, gate)| gate.clone());
        if seen.contains(&gate) {
            continue;
        }
        let is_open = gate.state == GateState::Open;
        waiting.push(Waiting {
            kind: match gate.id {
                GateId::Backend(_) => WaitingKind::Gate,
                GateId::Node(_) | GateId::Workflow(_) => WaitingKind::Operator,
            },
            text: text(&gate),
            task: None,
            since: Some(if is_open { at.since } else { gate.since }),
            until: gate.probe_at,
            needs: match gate.id {
                GateId::Backend(_) => None,
                GateId::Node(_) | GateId::Workflow(_) => {
                    Some("Release it, when it may go on.".to_owned())
                }
            },
        });
        seen.push(gate);
    }
    waiting
}

/// The gate as the plan recorded it, where nothing more is known.
fn recorded(id: &GateId) -> Gate {
    Gate::open(id.clone())
}

fn text(gate: &Gate) -> String {
    let why = gate
        .reason
        .as_ref()
        .map_or_else(String::new, |why| format!(" ({why})"));
    let by = gate.by.as_deref().unwrap_or("somebody");
    let since = gate.since;
    match (&gate.id, gate.state) {
        (GateId::Node(_), GateState::Closed) => {
            format!("the release of its node, which {by} holds since {since}{why}")
        }
        (GateId::Workflow(name), GateState::Closed) => {
            format!("the release of workflow {name}, which {by} holds since {since}{why}")
        }
        (GateId::Backend(name), GateState::Closed) if gate.by.is_some() => {
            format!("gate {name}, which {by} closed at {since}{why}")
        }
        (GateId::Backend(name), GateState::Closed) => {
            format!("gate {name}, which is closed since {since}{why}")
        }
        (GateId::Backend(name), GateState::Opening) => format!(
            "its turn at gate {name}, which opens slowly: {} at once",
            gate.at_once
        ),
        (id, GateState::Open | GateState::Opening) => format!("its turn at {id}"),
    }
}
