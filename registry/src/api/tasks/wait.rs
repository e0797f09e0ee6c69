//! `GET /tasks/{id}/wait?timeout=30`: answers once the task is paused or stopped; past its time, as it is.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Query, State};
use http::Uri;
use serde::Deserialize;

use super::{Shown, id, visible};
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;
use crate::http::Draining;

const DEFAULT_SECONDS: f64 = 30.0;
/// Proxies give up on an answer after a minute.
const MAX_SECONDS: f64 = 50.0;

#[derive(Deserialize)]
struct Asked {
    timeout: Option<f64>,
}

pub(in crate::api) async fn wait(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<String>,
    Extension(draining): Extension<Draining>,
    uri: Uri,
) -> Result<Shown, Problem> {
    let at_most = timeout(&uri)?;
    let plan = visible(&app, &caller, id(&task)?).await?.id;
    let settled = tokio::select! {
        settled = app.node.wait(plan, at_most) => settled?,
        () = draining.0.cancelled() => app.node.plan(plan).await?,
    };
    Ok(app.node.explained(&settled).await?.into())
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
