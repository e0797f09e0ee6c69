//! `/drills/rehearsals`: tasks to practise on, which touch nothing that matters.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use engine::journal::{Cause, PlanId};
use engine::node::NodeError;
use engine::workflow::Workflow as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::catalog::audit::{self, Action};
use storage::catalog::rehearsals;
use workflows::rehearsal::{Fault, MOST_FAULTS, MOST_MS, MOST_PARTS, Part, Rehearsal};

use super::allowed;
use crate::api::answer::Accepted;
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::{Problem, WrongField};
use crate::api::tasks::Shown;
use crate::api::time::Time;
use crate::app::App;

/// The longest name of a stage: it stands in the name of a lock.
const MAX_STAGE_CHARACTERS: usize = 64;

/// The body of a POST.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "NewRehearsal", example = json!({"parts": 3, "event_ms": 60000, "faults": [{"step": "finish", "attempts": 1}]}))]
pub(in crate::api) struct New {
    /// How many sub-tasks it has, at most 100; 3 unless given.
    parts: Option<u32>,
    /// How long each sub-task works, and the step that must not run twice, in milliseconds; 100 unless given. No time here is
    /// longer than an hour.
    work_ms: Option<u64>,
    /// How long the work elsewhere takes, in milliseconds; 1000 unless given.
    elsewhere_ms: Option<u64>,
    /// How long it waits for the event `go`, in milliseconds; 1000 unless given.
    event_ms: Option<u64>,
    /// It fails without the event; otherwise it goes on when the time is over.
    event_needed: bool,
    /// How long it waits after that, in milliseconds; 1000 unless given.
    pause_ms: Option<u64>,
    /// Rehearsals on one stage come one after the other; without one it waits for no other.
    stage: Option<String>,
    /// What goes wrong, at most 20.
    faults: Vec<NewFault>,
}

/// A step that fails.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewFault")]
struct NewFault {
    /// The step; `play` is that of the first sub-task.
    step: String,
    /// So many attempts fail, from the first.
    attempts: u32,
    /// Another attempt may help; otherwise each failure needs a person.
    #[serde(default)]
    transient: bool,
    /// Undoing it fails, not the step itself.
    #[serde(default)]
    undo: bool,
}

impl From<New> for Rehearsal {
    fn from(new: New) -> Self {
        let usual = Self::default();
        let fault = |fault: NewFault| Fault {
            step: fault.step,
            attempts: fault.attempts,
            transient: fault.transient,
            undo: fault.undo,
        };
        Self {
            parts: new.parts.unwrap_or(usual.parts),
            work_ms: new.work_ms.unwrap_or(usual.work_ms),
            elsewhere_ms: new.elsewhere_ms.unwrap_or(usual.elsewhere_ms),
            event_ms: new.event_ms.unwrap_or(usual.event_ms),
            event_needed: new.event_needed,
            pause_ms: new.pause_ms.unwrap_or(usual.pause_ms),
            stage: new.stage,
            faults: new.faults.into_iter().map(fault).collect(),
        }
    }
}

/// What is wrong with it; `steps` are those that can fail.
fn wrong_fields(wanted: &Rehearsal, steps: &[&str]) -> Vec<WrongField> {
    let mut wrong = Vec::new();
    let mut say = |field: &str, message: String| {
        wrong.push(WrongField {
            field: field.to_owned(),
            message,
        });
    };
    if wanted.parts > MOST_PARTS {
        say("parts", format!("must be at most {MOST_PARTS}"));
    }
    for (field, ms) in [
        ("work_ms", wanted.work_ms),
        ("elsewhere_ms", wanted.elsewhere_ms),
        ("event_ms", wanted.event_ms),
        ("pause_ms", wanted.pause_ms),
    ] {
        if ms > MOST_MS {
            say(field, format!("must be at most {MOST_MS}, an hour"));
        }
    }
    let fits = |stage: &String| {
        (1..=MAX_STAGE_CHARACTERS).contains(&stage.chars().count())
            && !stage.chars().any(char::is_control)
    };
    if !wanted.stage.as_ref().is_none_or(fits) {
        let text = format!("must be one line of 1 to {MAX_STAGE_CHARACTERS} characters");
        say("stage", text);
    }
    if wanted.faults.len() > MOST_FAULTS {
        say("faults", format!("must be at most {MOST_FAULTS}"));
    }
    for (n, fault) in wanted.faults.iter().enumerate() {
        if !steps.contains(&fault.step.as_str()) {
            let text = format!("must be one of {}, not {:?}", steps.join(", "), fault.step);
            say(&format!("faults[{n}].step"), text);
        }
    }
    wrong
}

/// `POST /drills/rehearsals`.
pub(in crate::api) async fn begin(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(new): Body<New>,
) -> Result<Accepted<Shown>, Problem> {
    allowed(&app)?;
    let wanted = Rehearsal::from(new);
    let steps = [Rehearsal::NAME, Part::NAME].map(|workflow| app.node.steps_of(workflow));
    let steps: Vec<&str> = steps.into_iter().flatten().flatten().collect();
    let wrong = wrong_fields(&wanted, &steps);
    if !wrong.is_empty() {
        return Err(Problem::invalid(&wrong));
    }
    let offer = app.node.offer(&wanted, Some(caller.user.login.clone()))?;
    let offer = offer.caused_by(Cause::Client);
    let plan = offer.id();
    let mut entry = caller.does(Action::Create, format!("rehearsal {plan}"));
    entry.task = Some(plan);
    let at = app.services.clock.now();
    let begun = app.node.transact::<(), Problem, _>(move |tx, desk| {
        Box::pin(async move {
            desk.submit(tx, offer).await.map_err(NodeError::from)?;
            Ok(audit::record(tx, &entry, at).await?)
        })
    });
    begun.await??;
    let task = app.node.task(plan).await?;
    Ok(Accepted(Shown::of(&app, task).await?))
}

/// What a rehearsal or one of its sub-tasks has left behind.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Marks")]
pub(in crate::api) struct Marks {
    /// The task.
    task_id: PlanId,
    /// By the names of its steps.
    marks: Vec<Mark>,
}

/// What a step has left behind.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Mark")]
struct Mark {
    step: String,
    /// How often the step has left it.
    runs: u32,
    /// When it did so last.
    left_at: Time,
}

/// `GET /drills/rehearsals/{id}`.
pub(in crate::api) async fn marks(
    State(app): State<Arc<App>>,
    _: Caller,
    Path(id): Path<PlanId>,
) -> Result<Json<Marks>, Problem> {
    allowed(&app)?;
    let plan = app.node.plan(id).await?;
    if ![Rehearsal::NAME, Part::NAME].contains(&plan.workflow()) {
        return Err(Problem::not_found(format!("rehearsal {id}")));
    }
    let mut tx = app.services.database.read().await?;
    let marks = rehearsals::marks(&mut tx, id).await?;
    let shown = |mark: rehearsals::Mark| Mark {
        step: mark.step,
        runs: mark.runs,
        left_at: mark.left_at.into(),
    };
    Ok(Json(Marks {
        task_id: id,
        marks: marks.into_iter().map(shown).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(body: serde_json::Value) -> Vec<String> {
        let new: New = serde_json::from_value(body).unwrap();
        let wrong = wrong_fields(&new.into(), &["begin", "finish", "play"]);
        wrong.into_iter().map(|wrong| wrong.field).collect()
    }

    #[test]
    fn a_rehearsal_without_any_wish_is_one_of_a_few_seconds() {
        let new: New = serde_json::from_str("{}").unwrap();

        assert_eq!(Rehearsal::from(new), Rehearsal::default());
        assert_eq!(wrong(json!({})), [""; 0]);
    }

    #[test]
    fn a_rehearsal_larger_or_longer_than_one_can_oversee_is_refused_field_by_field() {
        let all = json!({"parts": 101, "work_ms": 3_600_001, "pause_ms": 3_600_001, "stage": "",
            "faults": [{"step": "finish", "attempts": 1}, {"step": "dance", "attempts": 1}]});

        assert_eq!(
            wrong(all),
            ["parts", "work_ms", "pause_ms", "stage", "faults[1].step"]
        );
    }
}
