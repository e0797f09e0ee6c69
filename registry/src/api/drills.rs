//! `/drills`: trouble on purpose, so that recovery can be practised. All of it is 403 unless the server allows drills.

pub(super) mod rehearsals;

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::catalog::audit::{self, Action};
use storage::catalog::drills::{self, CrashWhen, Drill, Effect, NewDrill};
use storage::catalog::{CatalogError, DrillId};

use engine::step::Declared;
use workflows::push::Authorize;

use super::answer::{Created, Located, NoContent};
use super::body::Body;
use super::caller::Caller;
use super::page::{Listed, Orders, Page, Wanted};
use super::path::Path;
use super::problem::{Kind, Problem, WrongField};
use super::time::Time;
use crate::app::App;

/// A step that hangs longer than this is out of the hands of whoever practises.
const MAX_STALL_SECONDS: u64 = 3600;

/// A drill as REST shows it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Drill")]
pub(super) struct Shown {
    /// Its number.
    id: DrillId,
    /// The workflow whose step it disturbs.
    workflow: String,
    step: String,
    /// It disturbs what undoes the step, not the step.
    undo: bool,
    /// Only in tasks about this repository; null: about any.
    repository: Option<String>,
    /// Only in tasks about this tag; null: about any.
    tag: Option<String>,
    effect: Effect,
    /// Where a crash happens.
    when: CrashWhen,
    /// How often it still happens; null: until it is deleted.
    times_left: Option<u64>,
    /// How long a stalled step hangs, in seconds.
    stall_seconds: u64,
    /// The login of who began it.
    created_by: String,
    created_at: Time,
}

impl Located for Shown {
    const PATH: &'static str = "/drills/{id}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("id");
}

impl From<Drill> for Shown {
    fn from(drill: Drill) -> Self {
        Self {
            id: drill.id,
            workflow: drill.workflow,
            step: drill.step,
            undo: drill.undo,
            repository: drill.repository,
            tag: drill.tag,
            effect: drill.effect,
            when: drill.crash_when,
            times_left: drill.times_left,
            stall_seconds: drill.stall_seconds,
            created_by: drill.created_by,
            created_at: drill.created_at.into(),
        }
    }
}

/// Refused unless this server allows drills.
fn allowed(app: &App) -> Result<(), Problem> {
    if app.config.allow_drills {
        return Ok(());
    }
    let text = "this server allows no drills; start it with --allow-drills";
    Err(Problem::new(Kind::DrillsOff, text))
}

/// `GET /drills`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    _: Caller,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    allowed(&app)?;
    let mut tx = app.services.database.read().await?;
    let all = drills::list(&mut tx).await?;
    Ok(Page::cut(all, &wanted, |drill| drill.id)?.map(Shown::from))
}

/// The body of a POST.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewDrill", example = json!({"workflow": "push", "step": "copy", "effect": "fail", "tag": "drill", "times": 1}))]
pub(super) struct New {
    /// The workflow whose step it disturbs, as `push`.
    workflow: String,
    /// A step that runs: not `authorize` of a push, which is recorded when the task is submitted.
    step: String,
    /// True: it disturbs what undoes the step, not the step, so that a revert fails; false unless given.
    #[serde(default)]
    undo: bool,
    /// Only in tasks about this repository; about any unless given.
    repository: Option<String>,
    /// Only in tasks about this tag; about any unless given.
    tag: Option<String>,
    effect: Effect,
    /// Where a crash happens; `before` unless given.
    when: Option<CrashWhen>,
    /// How often it happens, at least once; until it is deleted unless given.
    times: Option<u64>,
    /// How long a stalled step hangs, in seconds, at most an hour; needed for the effect `stall`.
    stall_seconds: Option<u64>,
}

/// `POST /drills`.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(new): Body<New>,
) -> Result<Created<Shown>, Problem> {
    allowed(&app)?;
    let wrong = wrong_fields(&new, app.node.steps_of(&new.workflow).as_deref());
    if !wrong.is_empty() {
        return Err(Problem::invalid(&wrong));
    }
    let new = NewDrill {
        workflow: new.workflow,
        step: new.step,
        undo: new.undo,
        repository: new.repository.map(|name| name.to_ascii_lowercase()),
        tag: new.tag,
        effect: new.effect,
        crash_when: new.when.unwrap_or_default(),
        times: new.times,
        stall_seconds: new.stall_seconds.unwrap_or(0),
        created_by: caller.user.login.clone(),
    };
    let mut entry = caller.does(Action::Create, "");
    let what = if new.undo { "undoing" } else { "at" };
    entry.reason = Some(format!(
        "{} {what} step {} of {}",
        new.effect, new.step, new.workflow
    ));
    let at = app.services.clock.now();
    let drill = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let drill = drills::create(tx, &new, at).await?;
            entry.subject = format!("drill {}", drill.id);
            audit::record(tx, &entry, at).await?;
            Ok::<_, CatalogError>(drill)
        })
    });
    let drill = drill.await??;
    tracing::warn!(
        drill.id = %drill.id,
        "drill {} begins: {} at step {} of {}, by {}",
        drill.id, drill.effect, drill.step, drill.workflow, drill.created_by
    );
    Ok(Created(drill.into()))
}

/// What is wrong with it; `steps` are those of its workflow, if there is one of that name.
fn wrong_fields(new: &New, steps: Option<&[&str]>) -> Vec<WrongField> {
    let mut wrong = Vec::new();
    let mut say = |field: &str, message: String| {
        wrong.push(WrongField {
            field: field.to_owned(),
            message,
        });
    };
    match steps {
        None => say(
            "workflow",
            format!("there is no workflow {:?}", new.workflow),
        ),
        Some(_) if new.step == Authorize::NAME => {
            say(
                "step",
                "is recorded when the task is submitted; there is no run of it to disturb"
                    .to_owned(),
            );
        }
        Some(steps) if !steps.contains(&new.step.as_str()) => {
            say(
                "step",
                format!("must be one of {}, not {:?}", steps.join(", "), new.step),
            );
        }
        Some(_) => {}
    }
    if new.times == Some(0) {
        say(
            "times",
            "must be at least 1; leave it out to go on until the drill is deleted".to_owned(),
        );
    }
    if new.effect == Effect::Stall
        && !(1..=MAX_STALL_SECONDS).contains(&new.stall_seconds.unwrap_or(0))
    {
        say(
            "stall_seconds",
            format!("must be from 1 to {MAX_STALL_SECONDS} for the effect `stall`"),
        );
    }
    wrong
}

/// `DELETE /drills/{id}`.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<DrillId>,
) -> Result<NoContent, Problem> {
    allowed(&app)?;
    let unknown = || Problem::not_found(format!("drill {id}"));
    let entry = caller.does(Action::Delete, format!("drill {id}"));
    let at = app.services.clock.now();
    let deleted = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let deleted = drills::delete(tx, id).await?;
            if deleted {
                audit::record(tx, &entry, at).await?;
            }
            Ok::<_, CatalogError>(deleted)
        })
    });
    if deleted.await?? {
        Ok(NoContent)
    } else {
        Err(unknown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(body: serde_json::Value) -> Vec<String> {
        let new: New = serde_json::from_value(body).unwrap();
        let steps = ["authorize", "forward", "copy"];
        let steps = (new.workflow == "push").then_some(&steps[..]);
        wrong_fields(&new, steps)
            .into_iter()
            .map(|wrong| wrong.field)
            .collect()
    }

    #[test]
    fn a_drill_names_a_step_that_runs() {
        let drill = |workflow: &str, step: &str| json!({"workflow": workflow, "step": step, "effect": "fail"});

        assert!(wrong(drill("push", "copy")).is_empty());
        assert_eq!(wrong(drill("push", "authorize")), ["step"]);
        assert_eq!(wrong(drill("push", "dance")), ["step"]);
        assert_eq!(wrong(drill("dance", "copy")), ["workflow"]);
    }

    #[test]
    fn a_stall_says_how_long_and_no_drill_happens_zero_times() {
        let drill = |more: serde_json::Value| {
            let mut body = json!({"workflow": "push", "step": "copy", "effect": "stall"});
            body.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            body
        };

        assert!(wrong(drill(json!({"stall_seconds": 5}))).is_empty());
        assert_eq!(wrong(drill(json!({}))), ["stall_seconds"]);
        assert_eq!(
            wrong(drill(json!({"effect": "fail", "times": 0}))),
            ["times"]
        );
        assert!(
            wrong(drill(
                json!({"effect": "crash", "when": "after", "times": 1})
            ))
            .is_empty()
        );
    }
}
