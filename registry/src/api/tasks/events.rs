//! `GET /tasks/{id}/events`: each row of the task's journal, as server-sent events whose `id` is the row's number.
//!
//! A client that comes back with `Last-Event-ID`, as browsers do by themselves, misses nothing and sees nothing twice.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::{FromRequestParts, Query, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use engine::journal::PlanId;
use engine::node::NodeError;
use engine::plan::Plan;
use engine::state::PlanState;
use futures_util::stream;
use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderMap, Uri};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::history::Shown;
use super::{sees, visible};
use crate::api::answer::NoContent;
use crate::api::caller::Caller;
use crate::api::openapi::{Answers, Operation, Reads};
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::app::App;
use crate::http::Draining;

const LAST_EVENT_ID: &str = "last-event-id";

/// A comment is sent as often as this: proxies close what is silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Then the stream ends, and whoever comes back for the rest is asked again who they are.
const LONGEST: Duration = Duration::from_mins(10);

/// nginx would hold events back until its buffer is full.
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

/// The number of the last row that the client has seen; 0 if none.
pub(in crate::api) struct Seen(i64);

impl<S: Send + Sync> FromRequestParts<S> for Seen {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        seen(&parts.headers, &parts.uri).map(Self)
    }
}

impl Reads for Seen {
    fn read(operation: &mut Operation) {
        let schema = json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX });
        let about =
            "The id of the last event that was seen, as browsers send it when they come back.";
        operation.takes_header("Last-Event-ID", about, &schema);
        let about = "The same, for a client that cannot send that header.";
        operation.takes_query("last_event_id", about, &schema);
        operation.can_be(&[Kind::Invalid]);
    }
}

/// The rows that are new, as they come; 204 if there will be none.
pub(in crate::api) enum Events {
    Over,
    Following(Box<Follower>),
}

impl IntoResponse for Events {
    fn into_response(self) -> Response {
        let Self::Following(follower) = self else {
            return NoContent.into_response();
        };
        let events = stream::unfold(*follower, |follower| async {
            let (event, follower) = follower.next().await?;
            Some((Ok::<_, Infallible>(event), follower))
        });
        ([UNBUFFERED], Sse::new(events)).into_response()
    }
}

impl Answers for Events {
    fn answer(operation: &mut Operation) {
        let about =
            "Each row of the task's journal as an event; ends with the row that stopped the task.";
        operation.answers_events::<Row>(200, about);
        operation.answers_nothing(204, "The task has stopped, and its last row was seen.");
    }
}

#[derive(Deserialize)]
struct Asked {
    last_event_id: Option<String>,
}

/// What one event says: the entries that one row of the journal holds.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "TaskEvent")]
struct Row {
    /// The number of the row; also the id of the event.
    seq: i64,
    entries: Vec<Shown>,
}

/// Ends with the row that stopped the task. 204, which tells browsers not to come back, if that row was seen already.
pub(in crate::api) async fn events(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<PlanId>,
    Extension(draining): Extension<Draining>,
    Seen(seen): Seen,
) -> Result<Events, Problem> {
    let plan = visible(&app, &caller, task).await?.id;
    if is_over(&*app.node.plan(plan).await?, seen) {
        return Ok(Events::Over);
    }
    let follower = Follower {
        app,
        caller,
        plan,
        seen,
        rows: VecDeque::new(),
        last: None,
        until: Instant::now() + LONGEST,
        draining: draining.0,
    };
    Ok(Events::Following(Box::new(follower)))
}

/// The number of the last row the client has seen; 0 if none. The header is from this connection, the query from the first.
fn seen(headers: &HeaderMap, uri: &Uri) -> Result<i64, Problem> {
    let header = headers
        .get(LAST_EVENT_ID)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let asked = header.or_else(|| {
        let query = Query::<Asked>::try_from_uri(uri).ok();
        query.and_then(|Query(asked)| asked.last_event_id)
    });
    let Some(text) = asked else {
        return Ok(0);
    };
    text.parse().ok().filter(|&seq| seq >= 0).ok_or_else(|| {
        let message = format!("must be the id of an event of this task, a number, not {text:?}");
        Problem::invalid_field("last_event_id", message)
    })
}

/// True if the task has stopped and the client has seen its last row.
fn is_over(plan: &Plan, seen: i64) -> bool {
    plan.state == PlanState::Stopped && plan.seq <= seen
}

/// Where one client is in the journal of one task.
pub(in crate::api) struct Follower {
    app: Arc<App>,
    /// Who follows, as they were last judged.
    caller: Caller,
    plan: PlanId,
    /// The number of the last row that was sent, or need not be.
    seen: i64,
    /// Read, and still to be sent.
    rows: VecDeque<Row>,
    /// The task as it was last seen.
    last: Option<Arc<Plan>>,
    until: Instant,
    draining: CancellationToken,
}

impl Follower {
    /// The next event; none at the end of the stream.
    async fn next(mut self) -> Option<(Event, Self)> {
        loop {
            if let Some(row) = self.rows.pop_front() {
                self.seen = row.seq;
                let event = Event::default().id(row.seq.to_string()).json_data(&row);
                return Some((event.ok()?, self));
            }
            if self
                .last
                .as_ref()
                .is_some_and(|plan| is_over(plan, self.seen))
            {
                return None;
            }
            let left = self.until.saturating_duration_since(Instant::now());
            let plan = tokio::select! {
                plan = self.app.node.beyond(self.plan, self.seen, HEARTBEAT.min(left)) => plan,
                () = self.draining.cancelled() => return None,
            };
            match self.still_sees_it().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(why) => {
                    tracing::warn!(task.id = %self.plan, "events of task {} end early: {why}", self.plan);
                    return None;
                }
            }
            if let Err(error) = self.take(plan).await {
                // The client comes back and is told what is wrong then.
                tracing::warn!(task.id = %self.plan, %error, "events of task {} end early", self.plan);
                return None;
            }
            if self.rows.is_empty() {
                if left.is_zero() {
                    return None;
                }
                return Some((Event::default().comment("nothing new"), self));
            }
        }
    }

    /// Judges anew whether the caller may follow the task, before anything more is sent: roles are taken back, tokens
    /// revoked and passwords changed while a stream is open.
    async fn still_sees_it(&mut self) -> Result<bool, Problem> {
        let now = self.app.services.clock.now();
        let again = {
            let mut tx = self.app.services.database.read().await?;
            self.caller.again(&mut tx, now).await?
        };
        let Some(caller) = again else {
            return Ok(false);
        };
        let sees = sees(&self.app, &caller, self.plan).await?;
        self.caller = caller;
        Ok(sees)
    }

    /// Reads the rows that are new.
    async fn take(&mut self, plan: Result<Arc<Plan>, NodeError>) -> Result<(), NodeError> {
        let plan = plan?;
        if plan.seq > self.seen {
            let history = self.app.node.history(self.plan).await?;
            for entry in Shown::all(history) {
                if entry.seq <= self.seen {
                    continue;
                }
                match self.rows.back_mut() {
                    Some(row) if row.seq == entry.seq => row.entries.push(entry),
                    _ => self.rows.push_back(Row {
                        seq: entry.seq,
                        entries: vec![entry],
                    }),
                }
            }
        }
        self.last = Some(plan);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_header_says_what_was_seen_and_the_query_only_without_it() {
        let of = |header: Option<&'static str>, query: &str| {
            let headers = header
                .map(|text| {
                    (
                        HeaderName::from_static(LAST_EVENT_ID),
                        HeaderValue::from_static(text),
                    )
                })
                .into_iter()
                .collect();
            seen(&headers, &format!("/events{query}").parse().unwrap()).ok()
        };

        assert_eq!(of(None, ""), Some(0));
        assert_eq!(of(None, "?last_event_id=3"), Some(3));
        assert_eq!(of(Some("7"), "?last_event_id=3"), Some(7));
        for bad in ["-1", "x", "", "1.5"] {
            assert_eq!(of(Some(bad), ""), None, "{bad}");
        }
    }
}
