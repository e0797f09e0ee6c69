//! `POST /tasks/{id}/events/{name}`: something outside has happened that a step waits for, or will wait for.

use std::sync::Arc;

use axum::extract::State;
use engine::journal::{Action, Json, PlanId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shown, Why, act, operable};
use crate::api::answer::Accepted;
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::fields::Reason;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

/// A name is a word or two, not a letter: it stands in the task's history and in what it waits for.
const MAX_NAME_CHARACTERS: usize = 100;

/// The body.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[schemars(example = json!({"payload": {"approved": true}, "reason": "the change board agrees"}))]
#[serde(default, deny_unknown_fields)]
pub(in crate::api) struct SendEvent {
    /// What is known of it: what the step that waits for it reads.
    #[schemars(with = "Value")]
    payload: Value,
    /// In words, for the task's history and the audit.
    reason: Option<Reason>,
}

fn checked(name: &str) -> Result<(), Problem> {
    let wrong = |message: String| Err(Problem::invalid_field("name", message));
    if name.is_empty() || name.chars().any(char::is_control) {
        return wrong("must be a text without control characters".into());
    }
    if name.chars().count() > MAX_NAME_CHARACTERS {
        return wrong(format!(
            "must have at most {MAX_NAME_CHARACTERS} characters"
        ));
    }
    Ok(())
}

pub(in crate::api) async fn send_event(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((task, name)): Path<(PlanId, String)>,
    Body(body): Body<SendEvent>,
) -> Result<Accepted<Shown>, Problem> {
    let plan = operable(&app, &caller, task).await?.id;
    checked(&name)?;
    let payload = Json::of(&body.payload).map_err(|error| Problem::internal(&error))?;
    let why = Why {
        reason: body.reason,
    };
    act(&app, &caller, plan, Action::Event { name, payload }, why).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_short_text() {
        assert!(checked("approved").is_ok());
        assert!(checked("approved by the board, 2nd").is_ok());
        assert!(checked("").is_err());
        assert!(checked("a\nb").is_err());
        assert!(checked(&"x".repeat(MAX_NAME_CHARACTERS)).is_ok());
        assert!(checked(&"x".repeat(MAX_NAME_CHARACTERS + 1)).is_err());
    }
}
