//! `GET /tasks/{id}/wait?timeout=30`: answers once the task is paused or stopped; past its time, as it is.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Query, State};
use axum::{Extension, Json};
use engine::journal::PlanId;
use http::Uri;
use http::request::Parts;
use serde::Deserialize;
use serde_json::json;

use super::{Shown, visible};
use crate::api::caller::Caller;
use crate::api::openapi::{Operation, Reads};
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::app::App;
use crate::http::Draining;

const DEFAULT_SECONDS: f64 = 30.0;
/// Proxies give up on an answer after a minute.
const MAX_SECONDS: f64 = 50.0;

/// How long the caller is ready to wait.
pub(in crate::api) struct Patience(Duration);

#[derive(Deserialize)]
struct Asked {
    timeout: Option<f64>,
}

impl<S: Send + Sync> FromRequestParts<S> for Patience {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        timeout(&parts.uri).map(Self)
    }
}

impl Reads for Patience {
    fn read(operation: &mut Operation) {
        let schema = json!({
            "type": "number",
            "minimum": 0,
            "maximum": MAX_SECONDS,
            "default": DEFAULT_SECONDS,
        });
        let about = "How many seconds to wait at most; then the task is answered as it is.";
        operation.takes_query("timeout", about, &schema);
        operation.can_be(&[Kind::Invalid]);
    }
}

pub(in crate::api) async fn wait(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<PlanId>,
    Extension(draining): Extension<Draining>,
    Patience(at_most): Patience,
) -> Result<Json<Shown>, Problem> {
    let plan = visible(&app, &caller, task).await?.id;
    let settled = tokio::select! {
        settled = app.node.wait(plan, at_most) => settled?,
        () = draining.0.cancelled() => app.node.plan(plan).await?,
    };
    let task = app.node.explained(&settled).await?;
    Ok(Json(Shown::of(&app, task).await?))
}

fn timeout(uri: &Uri) -> Result<Duration, Problem> {
    let asked = Query::<Asked>::try_from_uri(uri)
        .map(|Query(asked)| asked.timeout.unwrap_or(DEFAULT_SECONDS));
    match asked {
        Ok(seconds) if (0.0..=MAX_SECONDS).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(Problem::invalid_field(
            "timeout",
            format!("must be a number of seconds from 0 to {MAX_SECONDS}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_seconds_up_to_a_limit() {
        let of = |query: &str| timeout(&format!("/wait{query}").parse().unwrap()).ok();

        assert_eq!(of(""), Some(Duration::from_secs(30)));
        assert_eq!(of("?timeout=0.25"), Some(Duration::from_millis(250)));
        for bad in [
            "?timeout=-1",
            "?timeout=51",
            "?timeout=soon",
            "?timeout=NaN",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
