//! `GET /tasks/export`: tasks with their whole histories, a line of JSON each, the oldest first.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Query, State};
use axum::response::{IntoResponse, Response};
use engine::journal::PlanId;
use engine::node::NodeError;
use engine::search::{Order, Search, Sort, TaskCursor};
use engine::store::{Page, Store as _, Visible};
use futures_util::stream;
use http::Uri;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde::Deserialize;
use serde_json::json;

use super::sight;
use crate::api::caller::Caller;
use crate::api::openapi::{Answers, Operation, Reads};
use crate::api::problem::{Kind, Problem};
use crate::app::App;

const MEDIA_TYPE: &str = "application/x-ndjson";

/// So many are looked up at once; each is read when it is its turn.
const PAGE: u32 = 500;

/// Which tasks the caller wants.
pub(in crate::api) struct Wished(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    search: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Wished {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        wished(&parts.uri).map(Self)
    }
}

/// A parameter with a slip of the pen must not mean every task.
fn wished(uri: &Uri) -> Result<String, Problem> {
    let asked = Query::<Asked>::try_from_uri(uri);
    asked.map(|Query(asked)| asked.search).map_err(|error| {
        let text = format!("an export has the parameter search and no other: {error}");
        Problem::new(Kind::Malformed, text)
    })
}

impl Reads for Wished {
    fn read(operation: &mut Operation) {
        let about = "Only tasks that this search finds; every task unless given.";
        operation.takes_query("search", about, &json!({"type": "string"}));
        operation.can_be(&[Kind::Malformed, Kind::BadSearch]);
    }
}

/// 200 with the lines, as they are read.
pub(in crate::api) struct Lines(Box<Exporter>);

impl IntoResponse for Lines {
    fn into_response(self) -> Response {
        let lines = stream::try_unfold(*self.0, Exporter::next);
        ([(CONTENT_TYPE, MEDIA_TYPE)], Body::from_stream(lines)).into_response()
    }
}

impl Answers for Lines {
    fn answer(operation: &mut Operation) {
        let about = "A task in each line, as REST shows it, with `history` as `/tasks/{id}/history` does. An answer that breaks off is not whole.";
        operation.answers_text(200, about, MEDIA_TYPE);
    }
}

pub(in crate::api) async fn export(
    State(app): State<Arc<App>>,
    caller: Caller,
    Wished(search): Wished,
) -> Result<Lines, Problem> {
    let search = Search::parse(&search, app.node.settled_at())?;
    let visible = sight(&mut app.services.database.read().await?, &caller).await?;
    let mut exporter = Exporter {
        app,
        search,
        visible,
        plans: VecDeque::new(),
        after: None,
        is_last: false,
    };
    // What is wrong with the database is told by the status, as long as there is one to tell.
    exporter.look().await?;
    Ok(Lines(Box::new(exporter)))
}

/// Where one export is.
pub(in crate::api) struct Exporter {
    app: Arc<App>,
    search: Search,
    visible: Visible,
    /// Looked up and still to be written.
    plans: VecDeque<PlanId>,
    after: Option<TaskCursor>,
    /// Behind these there are no others.
    is_last: bool,
}

impl Exporter {
    /// The next line; none at the end. An error breaks the answer off, so that nobody takes it for whole.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        loop {
            if let Some(plan) = self.plans.pop_front() {
                // One that was deleted meanwhile is left out.
                if let Some(line) = self.line(plan).await.map_err(broken)? {
                    return Ok(Some((line, self)));
                }
            } else if self.is_last {
                return Ok(None);
            } else {
                self.look().await.map_err(broken)?;
            }
        }
    }

    /// Looks the next ones up.
    async fn look(&mut self) -> Result<(), NodeError> {
        let page = Page {
            sort: Sort {
                by: Order::CreatedAt,
                descending: false,
            },
            after: self.after.take(),
            limit: PAGE,
            visible: self.visible.clone(),
        };
        let found = self
            .app
            .node
            .store()
            .list(self.search.clone(), page)
            .await?;
        self.plans.extend(found.plans);
        self.is_last = found.next.is_none();
        self.after = found.next;
        Ok(())
    }

    async fn line(&self, plan: PlanId) -> Result<Option<Bytes>, LineError> {
        let store = self.app.node.store();
        let rows = store.load(plan).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let children = store.children(plan).await?;
        let database = &self.app.services.database;
        let answered = self.app.answers.about(database, &[plan]).await?;
        let now = self.app.services.clock.now();
        let mut line = workflows::export::line(plan, rows, &children, answered.get(&plan), now)?;
        line.push('\n');
        Ok(Some(line.into()))
    }
}

/// Why a line is not written.
#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error(transparent)]
    Store(#[from] engine::store::StoreError),
    #[error(transparent)]
    Catalog(#[from] storage::catalog::CatalogError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    tracing::warn!(%error, "an export of tasks breaks off");
    io::Error::other(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_is_searched_and_nothing_else() {
        let of = |query: &str| wished(&format!("/export{query}").parse().unwrap()).ok();

        assert_eq!(of(""), Some(String::new()));
        assert_eq!(of("?search=tag%20=%20x").as_deref(), Some("tag = x"));
        assert_eq!([of("?serach=tag"), of("?per_page=5")], [None, None]);
    }
}
