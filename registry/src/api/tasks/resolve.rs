//! `POST /tasks/{id}/steps/{step}/resolve`: a person knows whether a step happened of which nobody else does.

use std::sync::Arc;

use axum::extract::State;
use engine::journal::{Action, PlanId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{GoOn, Shown, go_on, operable_step, output};
use crate::api::answer::Accepted;
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::fields::Reason;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

/// The body.
#[derive(Debug, JsonSchema, Deserialize)]
#[schemars(example = json!({"happened": false, "reason": "nothing has arrived there"}))]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Resolve {
    /// It happened, and is not done again; or it did not, and is.
    happened: bool,
    /// What came of it, if it happened; null where that is nothing.
    #[serde(default, deserialize_with = "output::given")]
    #[schemars(with = "Value")]
    output: Option<Value>,
    /// In words, for the task's history and the audit.
    #[serde(default)]
    reason: Option<Reason>,
    /// Also when whoever started the task has lost the right to it; needs a reason.
    #[serde(default, rename = "override")]
    overrule: bool,
}

impl Resolve {
    /// What came of the step; none if it did not happen.
    fn outcome(&self) -> Result<Option<&Value>, Problem> {
        let wrong = |message| Err(Problem::invalid_field("output", message));
        match (self.happened, &self.output) {
            (true, None) => {
                wrong("is missing: what happened left something; null if that is nothing")
            }
            (false, Some(_)) => wrong("must be left out: what did not happen left nothing"),
            (_, output) => Ok(output.as_ref()),
        }
    }
}

pub(in crate::api) async fn resolve(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((task, step)): Path<(PlanId, String)>,
    Body(body): Body<Resolve>,
) -> Result<Accepted<Shown>, Problem> {
    let plan = operable_step(&app, &caller, task, &step).await?.id;
    let output = body.outcome()?.map(output::recorded).transpose()?;
    let why = GoOn {
        reason: body.reason,
        overrule: body.overrule,
    };
    let task = go_on(&app, caller, plan, Action::Resolve { step, output }, why).await?;
    Ok(Accepted(task))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_has_an_output_and_what_did_not_has_none() {
        let outcome = |body: Value| {
            let body: Resolve = serde_json::from_value(body).unwrap();
            body.outcome().map(Option::<&Value>::cloned).ok()
        };

        let null = outcome(json!({"happened": true, "output": null}));
        assert_eq!(null, Some(Some(Value::Null)));
        let some = outcome(json!({"happened": true, "output": {"id": 7}}));
        assert_eq!(some, Some(Some(json!({"id": 7}))));
        assert_eq!(outcome(json!({"happened": false})), Some(None));
        assert_eq!(outcome(json!({"happened": true})), None);
        assert_eq!(outcome(json!({"happened": false, "output": null})), None);
    }
}
