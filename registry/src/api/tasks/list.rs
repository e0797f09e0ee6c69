//! `GET /tasks`: searched, sorted, in pages; the newest first unless asked otherwise.

use std::sync::Arc;

use axum::extract::State;
use engine::search::{Search, Sort};
use engine::store;

use super::{Shown, sight};
use crate::api::caller::Caller;
use crate::api::page::{Page, Sorted, Wanted};
use crate::api::problem::Problem;
use crate::app::App;

pub(in crate::api) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let Sorted { sort, after } = wanted.sorted(Sort::default())?;
    // All pages of a list mean the same by "2 days ago".
    let as_of = after
        .as_ref()
        .map_or_else(|| app.node.settled_at(), |cursor| cursor.as_of);
    let search = Search::parse(&wanted.search, as_of)?;
    let visible = sight(&mut app.services.database.read().await?, &caller).await?;
    let page = store::Page {
        sort,
        after,
        limit: wanted.per_page,
        visible,
    };
    let found = app.node.tasks(search, page).await?;
    let shown = Shown::all(&app, found.results).await?;
    Ok(Page::new(shown, found.total, found.next))
}
