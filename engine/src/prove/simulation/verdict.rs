//! What must be true once everything has ended.

use super::people::Acknowledged;
use super::scene::Scene;
use super::tally::{Deed, Tally};
use super::witness::{Known, Record};
use super::world::{IN_TRANSACTION, Place, Seen, row_of};
use crate::check::check;
use crate::clock::Timestamp;
use crate::journal::{Action, Entry, PlanId, PlanResult, Row};
use crate::plan::Plan;
use crate::state::{PlanState, StepState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

/// Everything that is wrong, of deleted plans too: they were once as they had to be.
pub(super) async fn wrong(scene: &Scene, nominal: &[Timestamp]) -> Vec<String> {
    let table = scene.memory.table().await;
    let there: BTreeSet<PlanId> = scene.memory.ids().await.into_iter().collect();
    let acknowledged = {
        let acknowledged = scene.acknowledged.lock();
        acknowledged.unwrap_or_else(PoisonError::into_inner).clone()
    };
    let record = scene.witness.record();
    let seen = scene.world.seen.lock();
    let seen = seen.unwrap_or_else(PoisonError::into_inner);
    let tally = &scene.weather.tally;
    let executions = seen.values().map(|seen| (seen.runs + seen.undos) as usize);
    tally.add(Deed::Execution, executions.sum());
    let mut wrong = record.wrong.clone();
    wrong.extend(scene.weather.turns.wrong());
    for plan in &acknowledged.plans {
        if !record.plans.contains_key(plan) {
            wrong.push(format!("task {plan} was acknowledged and never written"));
        }
    }
    let closures = &scene.world.closures;
    for (id, known) in &record.plans {
        wrong.extend(closures.wrong(*id, &known.rows));
        if there.contains(id) == known.forgotten {
            let deleted = known.forgotten;
            wrong.push(format!("task {id} was deleted: {deleted}, and is not so"));
        }
        wrong.extend(of_plan(known, &seen, &table, &acknowledged, tally));
    }
    let (closed, begins) = closures.looked();
    tally.add(Deed::Closure, closed);
    tally.add(Deed::LookAtGates, begins);
    wrong.extend(children(&record));
    wrong.extend(fired(&record, nominal));
    wrong
}

fn of_plan(
    known: &Known,
    seen: &BTreeMap<Place, Seen>,
    table: &BTreeMap<String, String>,
    acknowledged: &Acknowledged,
    tally: &Tally,
) -> Vec<String> {
    let (plan, rows) = (&known.plan, &known.rows);
    let mut wrong = check(plan.id, rows);
    wrong.extend(keeps_actions(plan, rows, acknowledged, tally));
    wrong.extend(lost_to_itself(rows));
    for (step, of_graph) in plan.graph().iter().enumerate() {
        let name = of_graph.name.as_str();
        if let Some(found) = seen.get(&(plan.id, name)) {
            wrong.extend(steps(plan, step, name, *found));
        }
        wrong.extend(writes(plan, step, table));
    }
    if !wrong.is_empty() {
        wrong.extend(rows.iter().map(|row| told(row)));
    }
    let whose = |why: String| {
        let (workflow, result) = (plan.workflow(), plan.result);
        format!("task {} ({workflow}, {result}): {why}", plan.id)
    };
    wrong.into_iter().map(whose).collect()
}

/// Of a key there is one sub-task, and each is known to its parent.
fn children(record: &Record) -> Vec<String> {
    let mut children = BTreeMap::<(PlanId, &str), usize>::new();
    for plan in record.plans.values().map(|known| &known.plan) {
        for child in plan.children() {
            let key = (plan.id, child.wanted.key.as_str());
            *children.entry(key).or_default() += 1;
        }
    }
    let twice = children.into_iter().filter(|(_, count)| *count > 1);
    let twice =
        twice.map(|((plan, key), count)| format!("task {plan} has {count} sub-tasks `{key}`"));
    twice.chain(orphaned_children(record)).collect()
}

/// Each nominal time was fired, and once.
fn fired(record: &Record, nominal: &[Timestamp]) -> Vec<String> {
    let mut runs = BTreeMap::<&str, usize>::new();
    for known in record.plans.values() {
        if let Some(at) = known.plan.link("scheduled_for") {
            *runs.entry(at).or_default() += 1;
        }
    }
    let mut wrong = Vec::new();
    for at in nominal {
        let count = runs.remove(at.to_rfc3339().as_str()).unwrap_or(0);
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
fn orphaned_children(record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    for plan in record.plans.values().map(|known| &known.plan) {
        let Some(parent) = plan.submitted.as_ref().and_then(|it| it.parent) else {
            continue;
        };
        let parent = record.plans.get(&parent.plan);
        let mut siblings = parent.iter().flat_map(|known| known.plan.children());
        let known = siblings.any(|child| child.plan == Some(plan.id));
        let replaced = matches!(plan.result, PlanResult::Cancelled | PlanResult::Reverted);
        if !known && !replaced {
            wrong.push(format!("task {} is nobody's sub-task", plan.id));
        }
    }
    wrong
}

/// What an operator was told is done is in the journal, and what he was told is kept was read.
fn keeps_actions(
    plan: &Plan,
    rows: &[Arc<Row>],
    acknowledged: &Acknowledged,
    tally: &Tally,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let actions = acknowledged.actions.range((plan.id, String::new())..);
    for ((_, action), (done, kept)) in actions.take_while(|((id, _), _)| *id == plan.id) {
        let consumed = |refused_too: bool| {
            let entries = rows.iter().flat_map(|row| &row.entries);
            let consumed = entries.filter(|entry| {
                matches!(entry, Entry::Operator { message, refused, .. }
                    if (refused.is_none() || refused_too)
                        && !matches!(message.action, Action::ChildMoved { .. })
                        && message.action.to_string() == *action)
            });
            consumed.count()
        };
        let (recorded, read) = (consumed(false), consumed(true));
        if recorded < *done {
            wrong.push(format!(
                "{action} was acknowledged {done} times and recorded {recorded} times"
            ));
        }
        if read < done + kept {
            wrong.push(format!(
                "{action} was acknowledged {done} times, kept {kept} times and read {read} times"
            ));
        }
        tally.add(Deed::Action, *done);
        tally.add(Deed::KeptAction, *kept);
    }
    wrong
}

/// A node takes a plan from itself only after it was restarted or lost its lease, which both begin a new life; or where it does
/// not know whether it has submitted it.
fn lost_to_itself(rows: &[Arc<Row>]) -> Vec<String> {
    let pairs = rows.windows(2);
    pairs
        .filter(|pair| {
            let claims = pair[1].entries.first().is_some_and(Entry::takes_over);
            // The numbers of a life follow each other from where chance began.
            let same_life = pair[0].nonce.abs_diff(pair[1].nonce) < 1_000_000;
            claims && pair[0].node == pair[1].node && same_life && pair[0].seq > 1
        })
        .map(|pair| format!("row {}: its owner took it from itself", pair[1].seq))
        .collect()
}

fn steps(plan: &Plan, step: usize, name: &str, seen: Seen) -> Vec<String> {
    let status = &plan.steps[step];
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
