//! Webhooks: whom we tell of what happens, what is still to be told, and what became of it.

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use engine::journal::{PlanId, PlanResult};
use engine::state::PlanState;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::{CatalogError, OrganizationId, WebhookId, json, parsed, plan, stored_json, time};
use crate::Tx;

/// What a webhook can be told of.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "WebhookEvent"))]
pub enum EventKind {
    /// A push is published.
    Push,
    /// A tag, a manifest, a repository, a product or an organization is deleted.
    Delete,
    /// An environment publishes a version that was promoted to it.
    Promote,
    /// An environment publishes an earlier version again.
    Rollback,
    /// A task is paused: it needs a person.
    TaskPaused,
}

/// A webhook.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its number.
    pub id: WebhookId,
    /// What it is called, and its gate by it.
    pub name: String,
    /// Where it is told.
    pub url: String,
    /// What it knows us by.
    pub secret: SecretString,
    /// What it is told of, sorted.
    pub events: Vec<EventKind>,
    /// The organization that it hears of, and its label; none: of all.
    pub organization: Option<(OrganizationId, String)>,
    /// False: it is told nothing.
    pub enabled: bool,
    /// Why it was disabled, where nobody did that by hand.
    pub disabled_because: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl FromRow<'_, SqliteRow> for Webhook {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let organization: Option<OrganizationId> = row.try_get("organization_id")?;
        let label: Option<String> = row.try_get("label")?;
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            url: row.try_get("url")?,
            secret: row.try_get::<String, _>("secret")?.into(),
            events: json(row, "events")?,
            organization: organization.zip(label),
            enabled: row.try_get::<i64, _>("enabled")? == 1,
            disabled_because: row.try_get("disabled_because")?,
            created_at: time(row, "created_at")?,
        })
    }
}

/// A webhook to be made.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// What it is called.
    pub name: String,
    /// Where it is told.
    pub url: String,
    /// What it knows us by.
    pub secret: SecretString,
    /// What it is told of.
    pub events: Vec<EventKind>,
    /// The organization that it hears of; none: of all.
    pub organization: Option<OrganizationId>,
    /// False: it is told nothing.
    pub enabled: bool,
}

/// What of a webhook is to be changed.
#[derive(Clone, Debug, Default)]
pub struct WebhookChanges {
    /// Where it is told.
    pub url: Option<String>,
    /// What it knows us by.
    pub secret: Option<SecretString>,
    /// What it is told of.
    pub events: Option<Vec<EventKind>>,
    /// False: it is told nothing.
    pub enabled: Option<bool>,
}

/// Makes a webhook. [`CatalogError::Duplicate`] if there is one of that name, in whatever case.
pub async fn create(tx: &mut Tx, new: &NewWebhook, at: Timestamp) -> Result<Webhook, CatalogError> {
    const SQL: &str = "
        INSERT INTO webhooks (name, name_key, url, secret, events, organization_id, enabled, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (name_key) DO NOTHING RETURNING id";
    let created: Option<WebhookId> = sqlx::query_scalar(SQL)
        .bind(&new.name)
        .bind(new.name.to_lowercase())
        .bind(&new.url)
        .bind(new.secret.expose_secret())
        .bind(stored_events(&new.events)?)
        .bind(new.organization)
        .bind(i64::from(new.enabled))
        .bind(at.0)
        .fetch_optional(&mut *tx)
        .await?;
    let duplicate = || CatalogError::Duplicate {
        what: "a webhook",
        label: new.name.clone(),
    };
    let id = created.ok_or_else(duplicate)?;
    let webhook = get(tx, id).await?;
    webhook.ok_or_else(|| CatalogError::missing("webhook", id))
}

/// The events as they are kept: each once, sorted.
fn stored_events(events: &[EventKind]) -> Result<String, sqlx::Error> {
    let mut events = events.to_vec();
    events.sort_unstable();
    events.dedup();
    stored_json(&events)
}

/// The webhook with this number.
pub async fn get(tx: &mut Tx, id: WebhookId) -> Result<Option<Webhook>, CatalogError> {
    const SQL: &str = "
        SELECT w.*, o.label FROM webhooks w LEFT JOIN organizations o ON o.id = w.organization_id
        WHERE w.id = $1";
    let found = sqlx::query_as(SQL).bind(id);
    Ok(found.fetch_optional(&mut *tx).await?)
}

/// All webhooks by number; there are few.
pub async fn all(tx: &mut Tx) -> Result<Vec<Webhook>, CatalogError> {
    const SQL: &str = "
        SELECT w.*, o.label FROM webhooks w LEFT JOIN organizations o ON o.id = w.organization_id
        ORDER BY w.id";
    Ok(sqlx::query_as(SQL).fetch_all(&mut *tx).await?)
}

/// Those that are told of such an event in this organization; none: of what belongs to no organization.
pub async fn listening(
    tx: &mut Tx,
    kind: EventKind,
    organization: Option<&str>,
) -> Result<Vec<Webhook>, CatalogError> {
    const SQL: &str = "
        SELECT w.*, o.label FROM webhooks w LEFT JOIN organizations o ON o.id = w.organization_id
        WHERE w.enabled = 1 AND (w.organization_id IS NULL OR o.label = $1)
        ORDER BY w.id";
    let found = sqlx::query_as(SQL).bind(organization);
    let mut found: Vec<Webhook> = found.fetch_all(&mut *tx).await?;
    found.retain(|webhook| webhook.events.contains(&kind));
    Ok(found)
}

/// Changes what is given. Whoever enables one that was disabled by itself forgets why it was.
pub async fn update(
    tx: &mut Tx,
    id: WebhookId,
    changes: &WebhookChanges,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        UPDATE webhooks SET url = coalesce($2, url), secret = coalesce($3, secret), events = coalesce($4, events),
            enabled = coalesce($5, enabled),
            disabled_because = CASE WHEN $5 IS NULL THEN disabled_because END
        WHERE id = $1";
    let events = changes.events.as_deref().map(stored_events).transpose()?;
    let secret = changes.secret.as_ref().map(SecretString::expose_secret);
    sqlx::query(SQL)
        .bind(id)
        .bind(&changes.url)
        .bind(secret)
        .bind(events)
        .bind(changes.enabled.map(i64::from))
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Tells it nothing any more. False: it is disabled already, or not there.
pub async fn disable(tx: &mut Tx, id: WebhookId, because: &str) -> Result<bool, CatalogError> {
    const SQL: &str =
        "UPDATE webhooks SET enabled = 0, disabled_because = $2 WHERE id = $1 AND enabled = 1";
    let disabled = sqlx::query(SQL).bind(id).bind(because).execute(&mut *tx);
    Ok(disabled.await?.rows_affected() == 1)
}

/// Deletes it; tasks that were to tell it end.
pub async fn delete(tx: &mut Tx, id: WebhookId) -> Result<(), CatalogError> {
    const SQL: &str = "DELETE FROM webhooks WHERE id = $1";
    sqlx::query(SQL).bind(id).execute(&mut *tx).await?;
    Ok(())
}

/// Something that happened and is still to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untold {
    /// Its place: what happened first is told first.
    pub n: i64,
    /// The plan that paused or ended.
    pub plan: PlanId,
    /// As far as the plan's journal went then.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
}

impl FromRow<'_, SqliteRow> for Untold {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            n: row.try_get("n")?,
            plan: plan(row, "plan_id")?,
            seq: row.try_get("seq")?,
            at: time(row, "at")?,
        })
    }
}

/// Up to `limit` of what is still to be told, from the one that follows `after`.
pub async fn untold(tx: &mut Tx, after: i64, limit: u32) -> Result<Vec<Untold>, CatalogError> {
    const SQL: &str = "SELECT n, plan_id, seq, at FROM untold WHERE n > $1 ORDER BY n LIMIT $2";
    let found = sqlx::query_as(SQL).bind(after).bind(i64::from(limit));
    Ok(found.fetch_all(&mut *tx).await?)
}

/// It is told by plans of this transaction. False: another has done that.
pub async fn is_told(tx: &mut Tx, n: i64) -> Result<bool, CatalogError> {
    const SQL: &str = "DELETE FROM untold WHERE n = $1";
    let told = sqlx::query(SQL).bind(n).execute(&mut *tx).await?;
    Ok(told.rows_affected() == 1)
}

/// A plan that tells a webhook of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The plan.
    pub plan: PlanId,
    /// The type of the event: `wharfinger.push`.
    pub event: String,
    /// The event's id, the same for all that are told of it.
    pub event_id: String,
    /// When the plan was made.
    pub at: Timestamp,
    /// Where the plan is.
    pub state: PlanState,
    /// How it ended.
    pub result: PlanResult,
    /// What came of the last attempt.
    pub answer: Option<String>,
}

impl FromRow<'_, SqliteRow> for Delivery {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            plan: plan(row, "plan_id")?,
            event: row.try_get("event")?,
            event_id: row.try_get("event_id")?,
            at: time(row, "created_at")?,
            state: parsed(row, "state")?,
            result: parsed(row, "result")?,
            answer: row.try_get("answer")?,
        })
    }
}

/// Writes down which plan tells the webhook of the event; nothing where the webhook is gone.
pub async fn begin_delivery(
    tx: &mut Tx,
    plan: PlanId,
    webhook: WebhookId,
    event: &str,
    event_id: &str,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO webhook_deliveries (plan_id, webhook_id, event, event_id)
        SELECT $1, id, $3, $4 FROM webhooks WHERE id = $2";
    sqlx::query(SQL)
        .bind(plan.0)
        .bind(webhook)
        .bind(event)
        .bind(event_id)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Writes down what came of an attempt.
pub async fn note_answer(tx: &mut Tx, plan: PlanId, answer: &str) -> Result<(), CatalogError> {
    const SQL: &str = "UPDATE webhook_deliveries SET answer = $2 WHERE plan_id = $1";
    let noted = sqlx::query(SQL).bind(plan.0).bind(answer);
    noted.execute(&mut *tx).await?;
    Ok(())
}

/// Up to `limit` of the webhook's deliveries, newest first, from the one before `before`.
pub async fn deliveries(
    tx: &mut Tx,
    webhook: WebhookId,
    before: Option<PlanId>,
    limit: u32,
) -> Result<Vec<Delivery>, CatalogError> {
    const SQL: &str = "
        SELECT d.plan_id, d.event, d.event_id, d.answer, p.created_at, p.state, p.result
        FROM webhook_deliveries d JOIN plan p ON p.id = d.plan_id
        WHERE d.webhook_id = $1 AND d.plan_id < $2
        ORDER BY d.plan_id DESC LIMIT $3";
    let found = sqlx::query_as(SQL)
        .bind(webhook)
        .bind(before.map_or(Uuid::max(), |plan| plan.0))
        .bind(i64::from(limit));
    Ok(found.fetch_all(&mut *tx).await?)
}

/// How many deliveries of the webhook are known.
pub async fn count_deliveries(tx: &mut Tx, webhook: WebhookId) -> Result<u64, CatalogError> {
    const SQL: &str = "SELECT count(*) AS n FROM webhook_deliveries WHERE webhook_id = $1";
    let row = sqlx::query(SQL).bind(webhook).fetch_one(&mut *tx).await?;
    Ok(super::size(&row, "n")?)
}
