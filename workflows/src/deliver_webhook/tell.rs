//! What happened becomes plans that tell of it: one for each webhook, in the transaction that forgets that it is still to be told.

use super::{CloudEvent, DeliverWebhook};
use crate::services::Node;
use engine::clock::Timestamp;
use engine::journal::{Cause, PlanId};
use engine::node::NodeError;
use engine::plan::Plan;
use engine::store::{Store, StoreError};
use std::time::Duration;
use storage::Tx;
use storage::catalog::CatalogError;
use storage::catalog::audit::{self, NewEntry};
use storage::catalog::webhooks::{self, Untold, Webhook};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often is looked.
const ROUND: Duration = Duration::from_secs(1);
/// So many are looked for at once.
const BATCH: u32 = 100;

/// Why something was not told.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// The catalog did not do its part.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The engine did not take the plan.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl From<StoreError> for TellError {
    fn from(error: StoreError) -> Self {
        Self::Node(error.into())
    }
}

/// Tells webhooks of what happens until `stop` fires; `source` is the URL of this registry.
pub async fn keep_telling<St: Store<Tx = Tx>>(
    node: Node<St>,
    source: String,
    stop: CancellationToken,
) {
    while stop
        .run_until_cancelled(tokio::time::sleep(ROUND))
        .await
        .is_some()
    {
        if let Err(error) = tell(&node, &source).await {
            tracing::warn!(%error, "webhooks are not told yet; the next round tries again");
        }
    }
}

/// Submits a plan for each webhook that listens to what is still to be told; answers with these plans.
pub async fn tell<St: Store<Tx = Tx>>(
    node: &Node<St>,
    source: &str,
) -> Result<Vec<PlanId>, TellError> {
    let (mut plans, mut after, mut failed) = (Vec::new(), 0, None);
    loop {
        let batch = {
            let database = &node.services().database;
            let mut tx = database.read().await.map_err(CatalogError::from)?;
            webhooks::untold(&mut tx, after, BATCH).await?
        };
        let Some(last) = batch.last() else {
            return failed.map_or(Ok(plans), Err);
        };
        after = last.n;
        for untold in batch {
            // One that cannot be told holds up no other.
            match tell_of(node, source, untold).await {
                Ok(submitted) => plans.extend(submitted),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
    }
}

async fn tell_of<St: Store<Tx = Tx>>(
    node: &Node<St>,
    source: &str,
    untold: Untold,
) -> Result<Vec<PlanId>, TellError> {
    let rows = node.store().load(untold.plan).await?;
    // As it was when it happened, whatever became of it since.
    let then = rows.iter().filter(|row| row.seq <= untold.seq);
    let plan = Plan::fold(untold.plan, then);
    if let Some(why) = &plan.unreadable {
        tracing::warn!(task.id = %plan.id, "task {} cannot be read, so no webhook is told of it: {why}", plan.id);
    }
    let mut offers = Vec::new();
    if let Some((kind, event)) = CloudEvent::of(&plan, untold.seq, untold.at, source) {
        let organization = plan.submitted.as_ref();
        let organization = organization.and_then(|it| it.organization.as_deref());
        let listening = {
            let database = &node.services().database;
            let mut tx = database.read().await.map_err(CatalogError::from)?;
            webhooks::listening(&mut tx, kind, organization).await?
        };
        for webhook in listening {
            let delivery = delivery(&webhook, event.clone(), node.clock().now());
            let offer = node.offer(&delivery, None)?.caused_by(Cause::Duty);
            offers.push((offer, delivery));
        }
    }
    let told = node.transact::<Vec<PlanId>, TellError, _>(move |tx, desk| {
        Box::pin(async move {
            let mut plans = Vec::new();
            if !webhooks::is_told(tx, untold.n).await? {
                return Ok(plans);
            }
            for (offer, delivery) in offers {
                let plan = desk.submit(tx, offer).await?.plan();
                begin(tx, plan, &delivery).await?;
                plans.push(plan);
            }
            Ok(plans)
        })
    });
    told.await?
}

fn delivery(webhook: &Webhook, event: CloudEvent, since: Timestamp) -> DeliverWebhook {
    DeliverWebhook {
        webhook: webhook.id,
        name: webhook.name.clone(),
        organization: webhook
            .organization
            .as_ref()
            .map(|(_, label)| label.clone()),
        since,
        event,
    }
}

async fn begin(tx: &mut Tx, plan: PlanId, delivery: &DeliverWebhook) -> Result<(), CatalogError> {
    let event = &delivery.event;
    webhooks::begin_delivery(tx, plan, delivery.webhook, &event.kind, &event.id).await
}

/// Submits a plan that sends the webhook an event of no meaning, whether it is enabled or not.
pub async fn submit_test<St: Store<Tx = Tx>>(
    node: &Node<St>,
    webhook: &Webhook,
    source: &str,
    login: &str,
    audited: NewEntry,
) -> Result<PlanId, TellError> {
    let at = node.clock().now();
    let id = Uuid::now_v7();
    let delivery = delivery(webhook, CloudEvent::test(id, login, at, source), at);
    let offer = node.offer(&delivery, Some(login.to_owned()))?;
    let submitted = node.transact::<PlanId, TellError, _>(move |tx, desk| {
        Box::pin(async move {
            let plan = desk.submit(tx, offer).await?.plan();
            begin(tx, plan, &delivery).await?;
            let task = Some(plan);
            audit::record(tx, &NewEntry { task, ..audited }, at).await?;
            Ok(plan)
        })
    });
    submitted.await?
}
