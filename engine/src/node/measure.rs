//! What a change of a plan tells about times, for whoever plots them.

use crate::clock::Timestamp;
use crate::plan::{Plan, StepStatus, Try};
use crate::state::PlanState;
use metrics::{counter, histogram};

/// Records what ended between these two: attempts of steps, waiting for locks, pauses, the plan itself.
pub(super) fn measure(before: &Plan, after: &Plan, now: Timestamp) {
    let workflow = after.workflow();
    for (index, (was, is)) in before.steps.iter().zip(&after.steps).enumerate() {
        let Some(known) = after.graph().get(index) else {
            continue;
        };
        for attempt in ended_between(was, is) {
            let outcome = match attempt.error {
                None => "success",
                Some(_) => "error",
            };
            let took = attempt.ended_at.unwrap_or(now).since(attempt.started_at);
            histogram!(
                "wharfinger_step_seconds",
                "workflow" => workflow.to_owned(), "step" => known.name.clone(), "outcome" => outcome
            )
            .record(took);
        }
    }
    if before.waits_for_locks() && after.state.is_driven() && !after.waits_for_locks() {
        let since = after.times.resumed.unwrap_or(after.times.created);
        histogram!("wharfinger_lock_wait_seconds", "workflow" => workflow.to_owned())
            .record(now.since(since));
    }
    if before.state == after.state {
        return;
    }
    if after.state == PlanState::Paused {
        let reason = after.reason.map_or_else(String::new, |it| it.to_string());
        counter!(
            "wharfinger_tasks_paused_total",
            "workflow" => workflow.to_owned(), "reason" => reason
        )
        .increment(1);
    }
    if after.state == PlanState::Stopped {
        histogram!(
            "wharfinger_task_seconds",
            "workflow" => workflow.to_owned(), "result" => after.result.to_string()
        )
        .record(now.since(after.times.created));
    }
}

/// The attempts that had not ended before and have now.
fn ended_between<'a>(was: &'a StepStatus, is: &'a StepStatus) -> impl Iterator<Item = &'a Try> {
    let had_ended = |n: usize| {
        was.tries
            .get(n)
            .is_some_and(|known| known.ended_at.is_some())
    };
    let tries = is.tries.iter().enumerate();
    tries
        .filter(move |(n, attempt)| attempt.ended_at.is_some() && !had_ended(*n))
        .map(|(_, attempt)| attempt)
}
