//! The lists of repositories: what is asked for, as far as the caller may pull.

use engine::search::Search;
use storage::Tx;
use storage::catalog::grants::Scope;
use storage::catalog::repositories::search::{self, Field, Order, USUAL_ORDER};
use strum::VariantNames as _;

use super::Shown;
use crate::api::caller::Caller;
use crate::api::page::{Page, Sorted, Wanted};
use crate::api::problem::Problem;
use crate::app::App;

/// What they can be searched by.
pub(super) const FIELDS: &[&str] = Field::VARIANTS;
/// What they can be sorted by.
pub(super) const ORDERS: &[&str] = Order::VARIANTS;

/// A page of what these scopes hold and the search finds.
pub(super) async fn page(
    app: &App,
    tx: &mut Tx,
    caller: &Caller,
    wanted: &Wanted<Shown>,
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
        shown.push(Shown::of(app, tx, caller, row).await?);
    }
    Ok(Page::new(shown, found.total, found.next))
}
