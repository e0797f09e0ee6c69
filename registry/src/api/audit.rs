//! `GET /audit`: who changed what, and who was refused; newest first.

use std::sync::Arc;

use axum::extract::State;
use engine::clock::Timestamp;
use engine::search::Search;
use serde::Serialize;
use storage::catalog::AuditId;
use storage::catalog::audit::{self, Action, Entry, Outcome};

use super::caller::Caller;
use super::page::{Page, Wanted};
use super::problem::Problem;
use crate::app::App;

/// An entry as REST shows it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    id: AuditId,
    at: String,
    /// None: anonymous.
    actor: Option<String>,
    action: Action,
    subject: String,
    from: Option<String>,
    result: Outcome,
    task: Option<String>,
    reason: Option<String>,
}

impl From<Entry> for Shown {
    fn from(entry: Entry) -> Self {
        let Entry { id, at, what } = entry;
        Self {
            id,
            at: at.to_rfc3339(),
            actor: Some(what.actor).filter(|actor| !actor.is_empty()),
            action: what.action,
            subject: what.subject,
            from: what.from,
            result: what.result,
            task: what.task.map(|task| task.to_string()),
            reason: what.reason,
        }
    }
}

/// `GET /audit?search=`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    _: Caller,
    wanted: Wanted,
) -> Result<Page<Shown>, Problem> {
    wanted.only_sorted_by("-id")?;
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
