//! `GET /tasks/groups?state=paused`: the largest group first.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Query, State};
use engine::journal::PlanId;
use http::request::Parts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use strum::IntoEnumIterator;

use super::{Group, Grouped, Groups};
use crate::api::caller::Caller;
use crate::api::openapi::{Operation, Reads};
use crate::api::problem::{Kind, Problem};
use crate::api::tasks::sight;
use crate::api::time::Time;
use crate::app::App;

/// So many of a group are named; more would make neither a search nor a list that anybody reads.
const MOST_NAMED: usize = 100;

/// Which tasks the caller wants to have grouped.
pub(in crate::api) struct Wanted(Grouped);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    state: Grouped,
}

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let asked = Query::<Asked>::try_from_uri(&parts.uri);
        let wrong = |_| Problem::invalid_field("state", "must be `paused` or `stopped`, and alone");
        asked.map(|Query(asked)| Self(asked.state)).map_err(wrong)
    }
}

impl Reads for Wanted {
    fn read(operation: &mut Operation) {
        let states: Vec<&'static str> = Grouped::iter().map(Into::into).collect();
        let schema = json!({ "type": "string", "enum": states, "default": "paused" });
        let about = "Which tasks are grouped: `paused`, or `stopped` with an error.";
        operation.takes_query("state", about, &schema);
        operation.can_be(&[Kind::Invalid]);
    }
}

/// Tasks that were stopped by the same thing.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "TaskGroup")]
struct Shown {
    /// What it is called in paths, as long as it has tasks.
    key: String,
    /// Where its tasks are.
    state: Grouped,
    /// Their workflow.
    label: String,
    /// The step that stopped them; null: none did.
    step: Option<String>,
    /// The class of its error; without one, why they are paused.
    class: String,
    /// What its error says, with placeholders for what differs from task to task.
    message: String,
    /// How many there are.
    count: usize,
    /// Since when the first of them is there.
    since: Time,
    /// Since when the last of them is.
    latest: Time,
    /// The one that was submitted last.
    newest: Newest,
    /// Those that were submitted last, a hundred at most.
    tasks: Vec<PlanId>,
    /// Finds all of them; null where they are too many to be named.
    search: Option<String>,
}

/// An example.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "TaskOfGroup")]
struct Newest {
    /// The task.
    id: PlanId,
    /// What its error says.
    message: String,
}

/// All groups.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "TaskGroups")]
pub(in crate::api) struct All {
    /// The largest first.
    results: Vec<Shown>,
    /// How many groups there are.
    total: usize,
    /// How many tasks were looked at: of more than ten thousand, those that were submitted last.
    looked_at: u64,
    /// How many tasks there are in this state. When it is more than were looked at, groups are larger than they say.
    tasks: u64,
}

pub(in crate::api) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Wanted(state): Wanted,
) -> Result<Json<All>, Problem> {
    let visible = sight(&mut app.services.database.read().await?, &caller).await?;
    let read = Groups::read(&app, state, visible).await?;
    let whole = read.read == read.of;
    let results: Vec<Shown> = read
        .all
        .into_iter()
        .filter_map(|group| Shown::of(group, whole))
        .collect();
    Ok(Json(All {
        total: results.len(),
        results,
        looked_at: read.read,
        tasks: read.of,
    }))
}

impl Shown {
    fn of(group: Group, whole: bool) -> Option<Self> {
        let named: Vec<PlanId> = group.plans.iter().copied().take(MOST_NAMED).collect();
        let all_named = whole && named.len() == group.plans.len();
        Some(Self {
            key: group.cause.key(group.state.into()),
            state: group.state,
            count: group.plans.len(),
            since: group.first.into(),
            latest: group.last.into(),
            newest: Newest {
                id: *named.first()?,
                message: group.message,
            },
            search: all_named.then(|| search_for(&named)),
            tasks: named,
            label: group.cause.label,
            step: group.cause.step,
            class: group.cause.class,
            message: group.cause.message,
        })
    }
}

/// A search that finds these.
fn search_for(plans: &[PlanId]) -> String {
    let ids: Vec<String> = plans.iter().map(ToString::to_string).collect();
    format!("id ^ ({})", ids.join(", "))
}

#[cfg(test)]
mod tests {
    use engine::clock::Timestamp;
    use engine::search::{Field, Search};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_search_for_the_most_that_are_named_can_be_read() {
        let plans: Vec<PlanId> = (0..MOST_NAMED as u128)
            .map(|n| PlanId(Uuid::from_u128(n)))
            .collect();

        let search = Search::<Field>::parse(&search_for(&plans), Timestamp(0));

        assert!(search.is_ok(), "{search:?}");
    }
}
