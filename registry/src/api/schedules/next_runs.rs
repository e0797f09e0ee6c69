//! `GET /schedules/{id}/next_runs?n=5`: when it runs next, for whoever wants to see what a line means.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Query, State};
use engine::schedule::ScheduleId;
use http::Uri;
use http::request::Parts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api::caller::Caller;
use crate::api::openapi::{Operation, Reads};
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::api::time::Time;
use crate::app::App;

const USUAL: usize = 5;
/// More than a screen shows.
const MOST: usize = 100;

/// How many runs the caller wants to see.
pub(in crate::api) struct HowMany(usize);

#[derive(Deserialize)]
struct Asked {
    n: Option<usize>,
}

impl<S: Send + Sync> FromRequestParts<S> for HowMany {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        how_many(&parts.uri).map(Self)
    }
}

fn how_many(uri: &Uri) -> Result<usize, Problem> {
    let asked = Query::<Asked>::try_from_uri(uri).map(|Query(asked)| asked.n.unwrap_or(USUAL));
    asked
        .ok()
        .filter(|n| (1..=MOST).contains(n))
        .ok_or_else(|| Problem::invalid_field("n", format!("must be a number from 1 to {MOST}")))
}

impl Reads for HowMany {
    fn read(operation: &mut Operation) {
        let schema = json!({"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL});
        operation.takes_query("n", "How many runs are shown at most.", &schema);
        operation.can_be(&[Kind::Invalid]);
    }
}

/// When a schedule runs next.
#[derive(Debug, JsonSchema, Serialize)]
pub(in crate::api) struct NextRuns {
    /// In order; fewer than asked for where the schedule ends. The first may be past: then it is due.
    next_runs: Vec<Time>,
}

pub(in crate::api) async fn next_runs(
    State(app): State<Arc<App>>,
    _: Caller,
    Path(id): Path<ScheduleId>,
    HowMany(n): HowMany,
) -> Result<Json<NextRuns>, Problem> {
    let schedule = super::found(&app, id).await?;
    let runs = schedule.next_runs(n).into_iter();
    Ok(Json(NextRuns {
        next_runs: runs.map(Into::into).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_is_a_number_up_to_a_limit() {
        let of = |query: &str| how_many(&format!("/next_runs{query}").parse().unwrap()).ok();

        assert_eq!(of(""), Some(5));
        assert_eq!(of("?n=100"), Some(100));
        assert_eq!([of("?n=0"), of("?n=101"), of("?n=many")], [None; 3]);
    }
}
