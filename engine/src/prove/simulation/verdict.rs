//! What must be true once everything has ended.

use super::scene::{Did, all_plans};
use super::world::{IN_TRANSACTION, Place, Seen, World, row_of};
use crate::check::check;
use crate::clock::Timestamp;
use crate::journal::{Action, Entry, PlanId, PlanResult, Row};
use crate::plan::Plan;
use crate::state::{PlanState, StepState};
use crate::store::Store;
use crate::store::memory::Memory;
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// What somebody was told is done.
#[derive(Clone, Debug, Default)]
pub(super) struct Acknowledged {
    pub(super) plans: Vec<PlanId>,
    pub(super) actions: BTreeMap<(PlanId, String), usize>,
}

/// Everything that is wrong.
pub(super) async fn wrong(
    memory: &Memory,
    world: &World,
    acknowledged: &Acknowledged,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let plans = all_plans(memory).await;
    let table = memory.table().await;
    let seen = world
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    for plan in &acknowledged.plans {
        if !plans.iter().any(|known| known.id == *plan) {
            wrong.push(format!("task {plan} was acknowledged and is gone"));
        }
    }
    let mut children = BTreeMap::<(PlanId, String), usize>::new();
    for plan in &plans {
        let rows = memory.load(plan.id).await.unwrap_or_default();
        let mut of_plan = check(plan.id, &rows);
        of_plan.extend(keeps_actions(plan, &rows, acknowledged));
        of_plan.extend(lost_to_itself(&rows));
        of_plan.extend(world.closures.wrong(plan.id, &rows));
        for (step, known) in plan.graph().iter().enumerate() {
            let found = seen
                .iter()
                .find(|((id, name), _)| *id == plan.id && *name == known.name);
            if let Some((place, found)) = found {
                of_plan.extend(steps(plan, step, *place, *found));
            }
            of_plan.extend(writes(plan, step, &table));
        }
        for child in plan.children() {
            let key = (plan.id, child.wanted.key.clone());
            *children.entry(key).or_default() += 1;
        }
        if !of_plan.is_empty() {
            of_plan.extend(rows.iter().map(told));
        }
        wrong.extend(of_plan.iter().map(|why| {
            format!(
                "task {} ({}, {}): {why}",
                plan.id,
                plan.workflow(),
                plan.result
            )
        }));
    }
    for ((plan, key), count) in children {
        if count > 1 {
            wrong.push(format!("task {plan} has {count} sub-tasks `{key}`"));
        }
    }
    wrong.extend(orphaned_children(&plans));
    wrong
}

/// Each nominal time was fired, and once.
pub(super) async fn fired(memory: &Memory, nominal: &[Timestamp]) -> Vec<String> {
    let mut runs = BTreeMap::<String, usize>::new();
    for plan in all_plans(memory).await {
        if let Some(at) = plan.link("scheduled_for") {
            *runs.entry(at.to_owned()).or_default() += 1;
        }
    }
    let mut wrong = Vec::new();
    for at in nominal {
        let count = runs.remove(&at.to_rfc3339()).unwrap_or(0);
        if count != 1 {
            wrong.push(format!("the run of {at} was fired {count} times"));
        }
    }
    wrong.extend(runs.keys().map(|at| format!("a run of {at} was fired")));
    wrong
}

/// A row in one line.
fn told(row: &Row) -> String {
    let kind = |entry: &Entry| {
        let text = format!("{entry:?}");
        let end = text.find(['(', '{', ' ']).unwrap_or(text.len());
        if let Entry::Operator {
            message, refused, ..
        } = entry
        {
            return format!("operator {} {}", message.action, refused.is_none());
        }
        match entry.step() {
            Some(step) => format!("{} {step}", &text[..end]),
            None => text[..end].to_owned(),
        }
    };
    let entries: Vec<String> = row.entries.iter().map(kind).collect();
    let node = row.node.0.as_u128();
    format!(
        "    row {} of node {node} at {} ({}): {}",
        row.seq,
        row.at,
        row.nonce,
        entries.join(", ")
    )
}

/// Each sub-task is known to its parent, or was one that was cancelled and replaced.
fn orphaned_children(plans: &[Plan]) -> Vec<String> {
    let mut wrong = Vec::new();
    for plan in plans {
        let Some(parent) = plan.submitted.as_ref().and_then(|it| it.parent) else {
            continue;
        };
        let known = plans
            .iter()
            .filter(|other| other.id == parent.plan)
            .flat_map(Plan::children)
            .any(|child| child.plan == Some(plan.id));
        let replaced = matches!(plan.result, PlanResult::Cancelled | PlanResult::Reverted);
        if !known && !replaced {
            wrong.push(format!("task {} is nobody's sub-task", plan.id));
        }
    }
    wrong
}

/// What an operator was told is done is in the journal.
fn keeps_actions(plan: &Plan, rows: &[Row], acknowledged: &Acknowledged) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((id, action), count) in &acknowledged.actions {
        if *id != plan.id {
            continue;
        }
        let consumed = rows.iter().flat_map(|row| &row.entries).filter(|entry| {
            matches!(entry, Entry::Operator { message, refused: None, .. }
                if message.action.to_string() == *action
                    && !matches!(message.action, Action::ChildMoved { .. }))
        });
        let consumed = consumed.count();
        if consumed < *count {
            wrong.push(format!(
                "{action} was acknowledged {count} times and recorded {consumed} times"
            ));
        }
    }
    wrong
}

/// A node takes a plan from itself only after it was restarted or lost its lease, which both begin a new life; or where it does
/// not know whether it has submitted it.
fn lost_to_itself(rows: &[Row]) -> Vec<String> {
    let pairs = rows.windows(2);
    pairs
        .filter(|pair| {
            let claims = pair[1].entries.first() == Some(&Entry::Claimed);
            // The numbers of a life follow each other from where chance began.
            let same_life = pair[0].nonce.abs_diff(pair[1].nonce) < 1_000_000;
            claims && pair[0].node == pair[1].node && same_life && pair[0].seq > 1
        })
        .map(|pair| format!("row {}: its owner took it from itself", pair[1].seq))
        .collect()
}

fn steps(plan: &Plan, step: usize, place: Place, seen: Seen) -> Vec<String> {
    let (name, status) = (place.1, &plan.steps[step]);
    let mut wrong = Vec::new();
    let (begun, undone) = (status.attempts(), status.undo_attempts());
    // A polling body starts anew after its old ticket. Transactional ones are rolled back and run again when one after them in
    // the same transaction fails: their rows say how often they counted.
    if seen.runs > begun && !IN_TRANSACTION.contains(&name) {
        wrong.push(format!(
            "{name} ran {} times in {begun} attempts",
            seen.runs
        ));
    }
    if seen.undos > undone {
        wrong.push(format!(
            "{name} was undone {} times in {undone} attempts",
            seen.undos
        ));
    }
    if seen.undos > 0 && status.success.is_none() {
        wrong.push(format!("{name} was undone and never succeeded"));
    }
    let is_effect = !IN_TRANSACTION.contains(&name);
    let should = if status.state == StepState::Success {
        Some(true)
    } else {
        (status.state == StepState::Compensated).then_some(false)
    };
    let operator_said = status.tries.last().is_some_and(|last| last.error.is_some());
    if is_effect && !operator_said && should.is_some_and(|should| should != seen.there) {
        wrong.push(format!(
            "{name} is {} and its effect is there: {}",
            status.state, seen.there
        ));
    }
    wrong
}

/// The writes of a transactional step are there once if it succeeded and was not undone.
fn writes(plan: &Plan, step: usize, table: &BTreeMap<String, String>) -> Vec<String> {
    let name = plan.graph()[step].name.as_str();
    if !IN_TRANSACTION.contains(&name) || plan.state != PlanState::Stopped {
        return Vec::new();
    }
    let there = table.get(&row_of(plan.id, name)).map_or(0, String::len);
    let state = plan.steps[step].state;
    let should = matches!(state, StepState::Success | StepState::CompensationError);
    if there == usize::from(should) {
        return Vec::new();
    }
    vec![format!("{name} is {state} and has written {there} times")]
}

pub(super) async fn did(
    memory: &Memory,
    world: &World,
    faults: usize,
    crashes: usize,
    acknowledged: &Acknowledged,
) -> Did {
    let plans = all_plans(memory).await;
    let mut did = Did {
        plans: plans.len(),
        faults,
        crashes,
        ..Did::default()
    };
    for plan in &plans {
        let rows = memory.load(plan.id).await.unwrap_or_default();
        did.rows += rows.len();
        did.take_overs += rows
            .windows(2)
            .filter(|pair| pair[0].node != pair[1].node)
            .count();
        for entry in rows.iter().flat_map(|row| &row.entries) {
            did.at_gates += usize::from(matches!(entry, Entry::AtGate { .. }));
            did.turned_back += usize::from(matches!(entry, Entry::TurnedBack { .. }));
        }
        let asked = |row: &&crate::journal::Row| row.entries.contains(&Entry::PlaceAsked);
        did.waited += rows.iter().filter(asked).count();
        did.scheduled += usize::from(plan.link("scheduled_for").is_some());
        did.reverted += usize::from(plan.result == PlanResult::Reverted);
    }
    let seen = world.seen.lock().unwrap_or_else(PoisonError::into_inner);
    did.executions = seen
        .values()
        .map(|seen| (seen.runs + seen.undos) as usize)
        .sum();
    did.actions = acknowledged.actions.values().sum();
    (did.closures, did.begins) = world.closures.looked();
    did
}
