//! `GET /audit`: who changed what, and who was refused; newest first.

use std::sync::Arc;

use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use storage::catalog::AuditId;
use storage::catalog::audit::{self, Action, Entry, Filter, Outcome};

use super::caller::Caller;
use super::page::{Page, Wanted};
use super::problem::{Kind, Problem};
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

/// What the list is narrowed to; all that is given must fit.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Narrowed {
    actor: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    result: Option<String>,
}

impl Narrowed {
    fn filter(self) -> Result<Filter, Problem> {
        Ok(Filter {
            actor: self.actor,
            action: word("action", self.action)?,
            subject: self.subject,
            result: word("result", self.result)?,
        })
    }
}

/// One of the words that a parameter knows.
fn word<T>(parameter: &str, text: Option<String>) -> Result<Option<T>, Problem>
where
    T: std::str::FromStr + strum::IntoEnumIterator + std::fmt::Display,
{
    let Some(text) = text else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let words: Vec<String> = T::iter().map(|word| word.to_string()).collect();
        let message = format!("must be one of {}, not {text:?}", words.join(", "));
        Problem::invalid_field(parameter, message)
    })
}

/// `GET /audit?actor=&action=&subject=&result=`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    _: Caller,
    wanted: Wanted,
    narrowed: Result<Query<Narrowed>, axum::extract::rejection::QueryRejection>,
) -> Result<Page<Shown>, Problem> {
    wanted.only_sorted_by("-id")?;
    if !wanted.search.trim().is_empty() {
        let text = "the audit is narrowed by actor, action, subject and result; leave `search` out";
        return Err(Problem::new(Kind::BadSearch, text));
    }
    let Query(narrowed) =
        narrowed.map_err(|error| Problem::new(Kind::Malformed, error.to_string()))?;
    let filter = narrowed.filter()?;
    let mut tx = app.services.database.read().await?;
    let total = audit::count(&mut tx, &filter).await?;
    let found = audit::list(&mut tx, &filter, wanted.after()?, wanted.one_more()).await?;
    Ok(Page::of_rows(found, total, &wanted, |entry| entry.id).map(Shown::from))
}
