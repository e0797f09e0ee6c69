//! The lists of repositories: what is asked for, as far as the caller may pull.

use engine::search::Search;
use storage::Tx;
use storage::catalog::grants::Scope;
use storage::catalog::repositories::search::{self, Field, USUAL_ORDER};

use super::{Shown, push_repository};
use crate::api::caller::Caller;
use crate::api::page::{Page, Sorted, Wanted};
use crate::api::problem::Problem;
use crate::app::App;

/// A page of what these scopes hold and the search finds.
pub(super) async fn page(
    app: &App,
    tx: &mut Tx,
    caller: &Caller,
    wanted: &Wanted,
    visible: &[Scope],
) -> Result<Page<Shown>, Problem> {
    let Sorted { sort, after } = wanted.sorted(USUAL_ORDER)?;
    let search: Search<Field> = Search::parse(&wanted.search, app.services.clock.now())?;
    let page = search::Page {
        sort,
        after,
        limit: wanted.per_page,
        visible,
    };
    let found = search::search(tx, &search, &page).await?;
    let mut shown = Vec::with_capacity(found.rows.len());
    for row in found.rows {
        let push_repository = push_repository(tx, caller, &row).await?;
        shown.push(Shown::of(row, push_repository));
    }
    Ok(Page::new(shown, found.total, found.next))
}
