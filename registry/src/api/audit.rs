//! `GET /audit`: who changed what, and who was refused; newest first.

use std::sync::Arc;

use axum::extract::State;
use engine::clock::Timestamp;
use engine::journal::PlanId;
use engine::search::Search;
use schemars::JsonSchema;
use serde::Serialize;
use storage::catalog::AuditId;
use storage::catalog::audit::{self, Action, Entry, Outcome};
use strum::VariantNames as _;

use super::answer::Located;
use super::caller::Caller;
use super::page::{Listed, Orders, Page, Wanted};
use super::problem::Problem;
use super::time::Time;
use crate::app::App;

/// An entry as REST shows it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "AuditEntry")]
pub(super) struct Shown {
    /// Its number: entries are numbered in the order in which they were written.
    id: AuditId,
    at: Time,
    /// The login of who did it; null: nobody had logged in.
    actor: Option<String>,
    action: Action,
    /// What it was done to, in words: `user ana`.
    subject: String,
    /// The address it was asked from.
    from: Option<String>,
    result: Outcome,
    /// The task it was done to or by.
    task: Option<PlanId>,
    /// Why, or what of it.
    reason: Option<String>,
}

impl Located for Shown {
    const PATH: &'static str = "";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("-id");
    const SEARCH: Option<&'static [&'static str]> = Some(audit::Field::VARIANTS);
}

impl From<Entry> for Shown {
    fn from(entry: Entry) -> Self {
        let Entry { id, at, what } = entry;
        Self {
            id,
            at: at.into(),
            actor: Some(what.actor).filter(|actor| !actor.is_empty()),
            action: what.action,
            subject: what.subject,
            from: what.from,
            result: what.result,
            task: what.task,
            reason: what.reason,
        }
    }
}

/// `GET /audit?search=`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    _: Caller,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    // All pages of a list mean the same by "2 days ago".
    let (before, as_of): (Option<AuditId>, Timestamp) = match wanted.after()? {
        Some((before, as_of)) => (Some(before), as_of),
        None => (None, app.services.clock.now()),
    };
    let search = Search::parse(&wanted.search, as_of)?;
    let mut tx = app.services.database.read().await?;
    let total = audit::count(&mut tx, &search).await?;
    let found = audit::list(&mut tx, &search, before, wanted.one_more()).await?;
    Ok(Page::of_rows(found, total, &wanted, |entry| (entry.id, as_of)).map(Shown::from))
}
