//! `GET /webhooks/{id}/deliveries`: what it was told lately, and what came of it.

use std::sync::Arc;

use axum::extract::State;
use engine::journal::{PlanId, PlanResult};
use engine::state::PlanState;
use schemars::JsonSchema;
use serde::Serialize;
use storage::catalog::WebhookId;
use storage::catalog::webhooks::{self, Delivery};

use crate::api::answer::Located;
use crate::api::caller::Caller;
use crate::api::page::{Listed, Orders, Page, Wanted};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::time::Time;
use crate::app::App;

/// An event that a webhook is told of.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "WebhookDelivery")]
pub(in crate::api) struct Shown {
    /// The task that tells it.
    task_id: PlanId,
    /// The type of the event: `wharfinger.push`.
    event: String,
    /// The event's id, as in the header `webhook-id`.
    event_id: String,
    /// When the task was made.
    at: Time,
    state: PlanState,
    result: PlanResult,
    /// What came of the last attempt: the receiver's status, or why there is none; null: there was no attempt yet.
    answer: Option<String>,
}

impl Located for Shown {
    const PATH: &'static str = "";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("at, the newest first");
}

impl From<Delivery> for Shown {
    fn from(delivery: Delivery) -> Self {
        Self {
            task_id: delivery.plan,
            event: delivery.event,
            event_id: delivery.event_id,
            at: delivery.at.into(),
            state: delivery.state,
            result: delivery.result,
            answer: delivery.answer,
        }
    }
}

pub(in crate::api) async fn deliveries(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<WebhookId>,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    super::visible(&mut tx, &caller, id).await?;
    let total = webhooks::count_deliveries(&mut tx, id).await?;
    let (before, limit) = (wanted.after()?, wanted.one_more());
    let found = webhooks::deliveries(&mut tx, id, before, limit).await?;
    let page = Page::of_rows(found, total, &wanted, |delivery| delivery.plan);
    Ok(page.map(Shown::from))
}
