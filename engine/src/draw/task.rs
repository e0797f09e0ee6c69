//! The picture of a plan: each step with its state, its attempts and how long they took.

use super::{Attempt, Edge, Passed, Picture, Vertex, shortened};
use crate::explain::{StepSeen, Task};
use crate::state::PlanState;
use std::collections::HashMap;
use std::fmt::Write;

/// An error is shown up to here; the whole of it stands in the task.
const MAX_ERROR_CHARS: usize = 200;
/// More attempts are told as a number.
const MAX_ATTEMPTS_DRAWN: usize = 8;

/// A plan as it is now.
#[must_use]
pub fn task(task: &Task) -> Picture {
    let steps = task.steps.as_deref().unwrap_or_default();
    let places: HashMap<&str, usize> = steps
        .iter()
        .enumerate()
        .map(|(place, step)| (step.name.as_str(), place))
        .collect();
    let is_done = |step: &StepSeen| matches!(step.state.as_str(), "success" | "skipped");
    let done = steps.iter().filter(|step| is_done(step)).count();
    let mut edges = Vec::new();
    for (to, step) in steps.iter().enumerate() {
        for from in step.depends_on.iter().filter_map(|it| places.get(&**it)) {
            edges.push(Edge {
                from: *from,
                to,
                label: String::new(),
                passed: if is_done(&steps[*from]) {
                    Passed::Done
                } else {
                    Passed::ToDo
                },
            });
        }
    }
    let state = if task.state == PlanState::Stopped {
        task.result.to_string()
    } else {
        task.state.to_string()
    };
    Picture {
        title: format!(
            "{}: {state}, {done} of {} steps done",
            task.action,
            steps.len()
        ),
        of: "steps",
        vertices: steps.iter().map(vertex).collect(),
        edges,
    }
}

fn vertex(step: &StepSeen) -> Vertex {
    let failed = step.tries.iter().any(|it| it.error.is_some());
    let says_more = step.tries.len() > 1 || failed;
    let attempts = step.tries.iter().map(|it| match &it.error {
        Some(_) => Attempt::Failed,
        None => Attempt::Fine,
    });
    let is_drawn = says_more && step.tries.len() <= MAX_ATTEMPTS_DRAWN;
    let error = step.error.as_ref().filter(|_| step.state != "success");
    Vertex {
        name: step.name.clone(),
        state: step.state.clone(),
        word: word(step),
        attempts: attempts.filter(|_| is_drawn).collect(),
        about: error.map_or_else(String::new, |it| shortened(&it.message, MAX_ERROR_CHARS)),
    }
}

/// `success, 31 ms`; `retrying at 14:09:40`; `error, 5 attempts`. Nothing in it passes with time alone: the same task is the
/// same picture.
fn word(step: &StepSeen) -> String {
    let mut word = step.state.clone();
    if step.state == "retrying"
        && let Some(at) = step.wake_at
        && let Some(time) = at.to_rfc3339().get(11..19)
    {
        word.push_str(" at ");
        word.push_str(time);
    }
    if step.state == "success"
        && let Some(took) = took(step)
    {
        word.push_str(", ");
        word.push_str(&took);
    }
    if step.tries.len() > 1 {
        // Writing to a String cannot fail.
        let _ = write!(word, ", {} attempts", step.tries.len());
    }
    word
}

/// How long its attempts took together: what it waited for in between is not its doing.
fn took(step: &StepSeen) -> Option<String> {
    let lasted = |at: &crate::explain::TrySeen| Some(at.ended_at?.since(at.started_at).as_millis());
    let ended: Vec<u128> = step.tries.iter().filter_map(lasted).collect();
    let milliseconds: u128 = ended.iter().sum();
    let seconds = milliseconds / 1_000;
    (!ended.is_empty()).then(|| match seconds {
        0 => format!("{milliseconds} ms"),
        1..60 => format!("{seconds}.{} s", milliseconds % 1_000 / 100),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    })
}
