//! `GET /tasks`: the newest first.

use std::sync::Arc;

use axum::extract::State;
use engine::search::{Search, SearchError};
use engine::store;
use serde_json::json;

use super::{Shown, sight};
use crate::api::caller::Caller;
use crate::api::page::{Page, Wanted};
use crate::api::problem::{Kind, Problem};
use crate::app::App;

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        Self::new(Kind::BadSearch, error.to_string())
            .with("position", json!(error.position))
            .with("expected", json!(error.expected))
    }
}

pub(in crate::api) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    wanted: Wanted,
) -> Result<Page<Shown>, Problem> {
    wanted.only_sorted_by("-created_at")?;
    let search = Search::parse(&wanted.search)?;
    let visible = sight(&mut app.services.database.read().await?, &caller).await?;
    let page = store::Page {
        before: wanted.after()?,
        limit: wanted.per_page,
        visible,
    };
    let found = app.node.tasks(search, page).await?;
    Ok(Page::new(found.results, found.total, found.next).map(Shown::from))
}
