//! `POST /tasks/bulk_resume` and `/tasks/bulk_cancel`: one action for all tasks that a search finds, as a task of its own.

pub(in crate::api) mod cancel;
pub(in crate::api) mod resume;

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use engine::journal::{Cause, PlanId};
use engine::node::{NodeError, Offer};
use engine::plan::Plan;
use engine::search::Search;
use engine::store::{Page, Store as _, Visible};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::catalog::audit;
use storage::catalog::roles::Permission;
use workflows::Services;
use workflows::bulk::{self, MOST_PLANS, Verb};

use super::{Shown, about_task, said, those_with};
use crate::api::answer::Accepted;
use crate::api::caller::Caller;
use crate::api::fields::Reason;
use crate::api::openapi::{Answers, Operation};
use crate::api::problem::Problem;
use crate::app::App;

/// So many journals are read at once.
pub(super) const READ_AT_ONCE: usize = 500;

/// The body.
#[derive(Debug, JsonSchema, Deserialize)]
#[schemars(rename = "Bulk", example = json!({"search": "state = paused and reason = error", "dry_run": true}))]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Asked {
    /// Which tasks, in the search language; never empty.
    search: String,
    /// Only say to which it would be done.
    #[serde(default)]
    dry_run: bool,
    /// In words, for the tasks' histories and the audit.
    #[serde(default)]
    reason: Option<Reason>,
}

/// A task to which nothing would be done.
#[derive(Debug, JsonSchema, Serialize)]
struct Left {
    /// The task.
    id: PlanId,
    /// Why.
    why: String,
}

/// What a bulk action would do.
#[derive(Debug, Default, JsonSchema, Serialize)]
#[schemars(rename = "BulkPreview")]
pub(in crate::api) struct Preview {
    /// These tasks would be resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    would_resume: Option<Vec<PlanId>>,
    /// These tasks would be cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    would_cancel: Option<Vec<PlanId>>,
    /// These would be left as they are.
    skipped: Vec<Left>,
}

/// 200 with what would be done, or 202 with the task that does it.
pub(in crate::api) enum Answer {
    Preview(Preview),
    Task(Box<Accepted<Shown>>),
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Preview(preview) => Json(preview).into_response(),
            Self::Task(task) => (*task).into_response(),
        }
    }
}

impl Answers for Answer {
    fn answer(operation: &mut Operation) {
        operation.answers_json::<Preview>(200, "For a `dry_run`: what would be done.");
        Accepted::<Shown>::answer(operation);
    }
}

/// Tasks that were chosen for an action.
pub(super) struct Chosen {
    /// By what, for people.
    pub(super) found_by: String,
    pub(super) plans: Vec<PlanId>,
    /// Among which they were looked for.
    pub(super) among: Visible,
}

impl Asked {
    /// Does it, or says what it would do.
    async fn run(self, app: Arc<App>, caller: &Caller, verb: Verb) -> Result<Answer, Problem> {
        let chosen = found(&app, caller, self.search).await?;
        run(&app, caller, verb, chosen, self.dry_run, self.reason).await
    }
}

/// Does it to the chosen ones, or says what it would do.
pub(super) async fn run(
    app: &App,
    caller: &Caller,
    verb: Verb,
    chosen: Chosen,
    dry_run: bool,
    reason: Option<Reason>,
) -> Result<Answer, Problem> {
    if dry_run {
        return preview(app, verb, chosen.plans).await.map(Answer::Preview);
    }
    let input = bulk::Bulk {
        found_by: chosen.found_by,
        plans: chosen.plans,
        by: caller.user.login.clone(),
        reason: said(reason),
        organization: only_one(chosen.among),
    };
    let (reason, by) = (input.reason.clone(), Some(input.by.clone()));
    let offer = match verb {
        Verb::Resume => app.node.offer(&bulk::BulkResume(input), by)?,
        Verb::Cancel => app.node.offer(&bulk::BulkCancel(input), by)?,
    };
    let plan = submit(app, caller, offer, verb.audited(), reason).await?;
    let task = app.node.task(plan).await?;
    let task = Accepted(Shown::of(app, task).await?);
    Ok(Answer::Task(Box::new(task)))
}

/// The task that does it, and what the audit says of that, in one transaction.
async fn submit(
    app: &App,
    caller: &Caller,
    offer: Offer<Services>,
    done: audit::Action,
    reason: Option<String>,
) -> Result<PlanId, Problem> {
    let offer = offer.caused_by(Cause::Client);
    let plan = offer.id();
    let mut entry = about_task(caller, done, plan, reason);
    entry.subject = format!("the tasks that task {plan} names");
    let at = app.services.clock.now();
    let submitted = app.node.transact::<(), Problem, _>(move |tx, desk| {
        Box::pin(async move {
            desk.submit(tx, offer).await.map_err(NodeError::from)?;
            Ok(audit::record(tx, &entry, at).await?)
        })
    });
    submitted.await??;
    Ok(plan)
}

/// The tasks that this search finds where the caller may operate them.
async fn found(app: &App, caller: &Caller, search: String) -> Result<Chosen, Problem> {
    if search.trim().is_empty() {
        let message = "must not be empty: that would be every task";
        return Err(Problem::invalid_field("search", message));
    }
    let among = operable_ones(app, caller).await?;
    let page = Page {
        limit: MOST_PLANS,
        visible: among.clone(),
        ..Page::default()
    };
    let parsed = Search::parse(&search, app.node.settled_at())?;
    let listing = app.node.store().list(parsed, page).await;
    let listing = listing.map_err(NodeError::from)?;
    if listing.total > u64::from(MOST_PLANS) {
        let message = format!(
            "finds {} tasks, and at most {MOST_PLANS} can be asked at once; narrow it, for example with `and state = paused`",
            listing.total
        );
        return Err(Problem::invalid_field("search", message));
    }
    Ok(Chosen {
        found_by: search,
        plans: listing.plans,
        among,
    })
}

/// Those of which the caller may be sure that they may operate them.
pub(super) async fn operable_ones(app: &App, caller: &Caller) -> Result<Visible, Problem> {
    let mut tx = app.services.database.read().await?;
    those_with(&mut tx, caller, Permission::OperateTasks).await
}

async fn preview(app: &App, verb: Verb, plans: Vec<PlanId>) -> Result<Preview, Problem> {
    let at = app.services.clock.now();
    let (mut would, mut skipped) = (Vec::new(), Vec::new());
    for some in plans.chunks(READ_AT_ONCE) {
        let journals = app.node.store().load_all(some.to_vec()).await;
        for (id, rows) in journals.map_err(NodeError::from)? {
            let plan = Plan::fold(id, &rows);
            match bulk::judge(&app.services.database, &plan, verb, at).await? {
                None => would.push(id),
                Some(why) => skipped.push(Left { id, why }),
            }
        }
    }
    let (would_resume, would_cancel) = match verb {
        Verb::Resume => (Some(would), None),
        Verb::Cancel => (None, Some(would)),
    };
    Ok(Preview {
        would_resume,
        would_cancel,
        skipped,
    })
}

/// The organization that all of them are in, if there can be no other.
fn only_one(among: Visible) -> Option<String> {
    match among {
        Visible::Some { organizations, .. } if organizations.len() == 1 => {
            organizations.into_iter().next()
        }
        Visible::All | Visible::Some { .. } => None,
    }
}
