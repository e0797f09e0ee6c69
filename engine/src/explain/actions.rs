//! What an operator may do with a task, and what that will do with this very task.

use crate::decide;
use crate::journal::Action;
use crate::plan::Plan;
use serde::Serialize;

/// An action of an operator.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "PossibleAction"))]
pub struct Possible {
    /// Its name.
    pub name: &'static str,
    /// It fits the task as it is.
    pub allowed: bool,
    /// What it will do with this task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub will: Option<String>,
    /// Why it does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// What a resume would do.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Preview {
    /// The steps that would run, in graph order.
    pub would_run: Vec<String>,
    /// The locks that it would have to ask for again.
    pub asks_for_locks: Vec<String>,
}

pub(super) fn actions(plan: &Plan) -> Vec<Possible> {
    let would_run: Vec<&str> = decide::would_run(plan)
        .into_iter()
        .map(|step| plan.graph()[step].name.as_str())
        .collect();
    let resume = format!("runs {}; what is done stays done", would_run.join(", "));
    let cancel = "ends the task; what is done stays done, what has not run will not run".to_owned();
    let mut actions = vec![
        possible(plan, "resume", &Action::Resume, resume),
        possible(plan, "cancel", &Action::Cancel, cancel),
    ];
    for (_, step) in decide::possible(plan)
        .into_iter()
        .filter(|(name, _)| *name == "retry_now")
    {
        if let Some(known) = step.and_then(|step| plan.graph().get(step)) {
            let will = format!(
                "begins the next attempt of step {} without waiting",
                known.name
            );
            actions.push(Possible {
                name: "retry_now",
                allowed: true,
                will: Some(will),
                because: None,
            });
        }
    }
    actions
}

fn possible(plan: &Plan, name: &'static str, action: &Action, will: String) -> Possible {
    match decide::fits(plan, action) {
        Ok(()) => Possible {
            name,
            allowed: true,
            will: Some(will),
            because: None,
        },
        Err(refused) => Possible {
            name,
            allowed: false,
            will: None,
            because: Some(refused.to_string()),
        },
    }
}
