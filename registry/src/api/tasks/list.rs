//! `GET /tasks`: the newest first.

use std::sync::Arc;

use axum::extract::State;
use engine::search::Search;
use engine::store;

use super::{Shown, sight};
use crate::api::caller::Caller;
use crate::api::page::{Page, Wanted};
use crate::api::problem::Problem;
use crate::app::App;

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
