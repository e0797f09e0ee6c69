//! `/webhooks`: who is told of pushes, deletes and paused tasks.

pub(super) mod deliveries;
pub(super) mod send_test;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::Tx;
use storage::catalog::audit::{self, Action};
use storage::catalog::grants::Place;
use storage::catalog::webhooks::{self, EventKind, NewWebhook, Webhook, WebhookChanges};
use storage::catalog::{CatalogError, WebhookId, organizations};
use strum::IntoEnumIterator as _;
use workflows::deliver_webhook::WebhookSecret;
use workflows::outbound::OutboundUrl;

use super::answer::{Created, Located, NoContent};
use super::body::Body;
use super::caller::{Caller, in_organization};
use super::fields::{self, Password, RobotName, Told};
use super::page::{Listed, Orders, Page, Wanted};
use super::path::Path;
use super::problem::Problem;
use super::time::Time;
use crate::app::App;

/// A webhook as REST shows it; its secret is in the answer that gave it one, and never again.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Webhook")]
pub(super) struct Shown {
    /// Its number.
    id: WebhookId,
    /// What it is called; its gate is `webhook.<name>`.
    name: String,
    /// Where it is told.
    url: String,
    /// What it is told of.
    events: Vec<EventKind>,
    /// The label of the organization that it hears of; null: of all.
    organization: Option<String>,
    /// False: it is told nothing.
    enabled: bool,
    /// Why it was disabled; null: it is not, or somebody did that.
    disabled_because: Option<String>,
    created_at: Time,
    /// What it knows this registry by: only in the answer that gave it one.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl Located for Shown {
    const PATH: &'static str = "/webhooks/{id}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("id");
}

impl From<Webhook> for Shown {
    fn from(webhook: Webhook) -> Self {
        Self {
            id: webhook.id,
            name: webhook.name,
            url: webhook.url,
            events: webhook.events,
            organization: webhook.organization.map(|(_, label)| label),
            enabled: webhook.enabled,
            disabled_because: webhook.disabled_because,
            created_at: webhook.created_at.into(),
            secret: None,
        }
    }
}

/// Where somebody must have the right of a route for this webhook; none: everywhere.
fn place(webhook: &Webhook) -> Option<Place> {
    let organization = webhook.organization.as_ref();
    organization.map(|(organization, _)| in_organization(*organization))
}

/// `GET /webhooks`: those that the caller may manage.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let mut all = webhooks::all(&mut tx).await?;
    all.retain(|webhook| caller.may_here(place(webhook).as_ref()));
    Ok(Page::cut(all, &wanted, |webhook| webhook.id)?.map(Shown::from))
}

/// The body of a POST.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewWebhook", example = json!({
    "name": "deploy", "url": "https://ci.example.org/hooks/images", "events": ["push", "promote"], "organization": "acme",
}))]
pub(super) struct New {
    /// What it is called; no other has this name.
    name: RobotName,
    /// Where it is told: `http` or `https`, without a query.
    url: String,
    /// What it knows this registry by: 16 to 256 characters, or `whsec_` and base64; made and shown once unless given.
    secret: Option<Password>,
    /// What it is told of; all unless given.
    events: Option<Vec<EventKind>>,
    /// The label of the organization that it hears of; of all unless given, which takes the right everywhere.
    organization: Option<String>,
    /// Whether it is told; true unless given.
    enabled: Option<bool>,
}

/// `POST /webhooks`.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(new): Body<New>,
) -> Result<Created<Shown>, Problem> {
    let organization = match &new.organization {
        None => None,
        Some(label) => {
            let mut tx = app.services.database.read().await?;
            let found = organizations::find(&mut tx, label).await?;
            let found = found.filter(|found| caller.sees_organization(found.id));
            let text = "there is no such organization, or none that you may see";
            Some(found.ok_or_else(|| Problem::invalid_field("organization", text))?)
        }
    };
    match &organization {
        None => caller.must_here(
            None,
            "everywhere; or name an organization where you have it",
        )?,
        Some(organization) => {
            let named = format!("in organization {}", organization.label);
            caller.must_here(Some(&in_organization(organization.id)), named)?;
        }
    }
    let given = new.secret.map(SecretString::from);
    let made = given.is_none();
    let secret = secret_of(given)?;
    let webhook = NewWebhook {
        name: new.name.into(),
        url: callable(&app, &new.url)?,
        secret: secret.expose().clone(),
        events: chosen(new.events.unwrap_or_else(|| EventKind::iter().collect()))?,
        organization: organization.map(|organization| organization.id),
        enabled: new.enabled.unwrap_or(true),
    };
    let mut entry = caller.does(Action::Create, format!("webhook {}", webhook.name));
    entry.reason = Some(format!("{} to {}", words(&webhook.events), webhook.url));
    let at = app.services.clock.now();
    let created = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let created = webhooks::create(tx, &webhook, at).await?;
            audit::record(tx, &entry, at).await?;
            Ok::<_, CatalogError>(created)
        })
    });
    Ok(Created(Shown {
        secret: made.then(|| secret.expose().expose_secret().to_owned()),
        ..created.await??.into()
    }))
}

/// The secret that was given, or a new one.
fn secret_of(given: Option<SecretString>) -> Result<WebhookSecret, Problem> {
    match given {
        None => WebhookSecret::generate().map_err(|error| Problem::internal(&error)),
        Some(given) => WebhookSecret::parse(given.expose_secret())
            .map_err(|refused| Problem::invalid_field("secret", refused.to_string())),
    }
}

/// The URL, if this server may call it.
fn callable(app: &App, text: &str) -> Result<String, Problem> {
    let invalid = |why: String| Problem::invalid_field("url", why);
    let url = OutboundUrl::parse(text).map_err(|refused| invalid(refused.to_string()))?;
    let judged = app.services.outbound.judge(&url);
    judged.map_err(|refused| invalid(refused.to_string()))?;
    Ok(url.into())
}

fn chosen(events: Vec<EventKind>) -> Result<Vec<EventKind>, Problem> {
    if events.is_empty() {
        let text = "must name at least one event; disable a webhook that shall hear of none";
        return Err(Problem::invalid_field("events", text));
    }
    Ok(events)
}

fn words(events: &[EventKind]) -> String {
    let words: Vec<String> = events.iter().map(ToString::to_string).collect();
    words.join(" ")
}

/// `GET /webhooks/{id}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<WebhookId>,
) -> Result<Json<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    Ok(Json(visible(&mut tx, &caller, id).await?.into()))
}

/// The body of a PATCH.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "WebhookChanges", example = json!({"enabled": true}))]
pub(super) struct Changes {
    /// Where it is told: `http` or `https`, without a query.
    url: Option<String>,
    /// What it knows this registry by: 16 to 256 characters, or `whsec_` and base64.
    secret: Option<Password>,
    /// The answer holds a new secret; the one before does not count any more.
    renew_secret: bool,
    /// What it is told of.
    events: Option<Vec<EventKind>>,
    /// Whether it is told. What happens while it is not, it never hears of.
    enabled: Option<bool>,
}

/// `PATCH /webhooks/{id}`. What is still on its way goes where it says then, signed with the secret of then.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<WebhookId>,
    Body(changes): Body<Changes>,
) -> Result<Json<Shown>, Problem> {
    let webhook = {
        let mut tx = app.services.database.read().await?;
        visible(&mut tx, &caller, id).await?
    };
    let url = changes.url.map(|url| callable(&app, &url)).transpose()?;
    let events = changes.events.map(chosen).transpose()?;
    let given = changes.secret.map(SecretString::from);
    let secret = (given.is_some() || changes.renew_secret)
        .then(|| secret_of(given.filter(|_| !changes.renew_secret)))
        .transpose()?;
    let mut entry = caller.does(Action::Change, format!("webhook {}", webhook.name));
    entry.reason = fields::given(&[
        ("url", Told::what(url.as_ref())),
        ("secret", Told::that(secret.as_ref())),
        ("events", Told::what(events.as_deref().map(words))),
        ("enabled", Told::what(changes.enabled)),
    ]);
    let wanted = WebhookChanges {
        url,
        secret: secret.as_ref().map(|secret| secret.expose().clone()),
        events,
        enabled: changes.enabled,
    };
    let at = app.services.clock.now();
    let after = app.services.database.transact(move |tx| {
        Box::pin(async move {
            webhooks::update(tx, id, &wanted).await?;
            audit::record(tx, &entry, at).await?;
            webhooks::get(tx, id).await
        })
    });
    let after = after.await??.ok_or_else(|| unknown(id))?;
    let renewed = secret.filter(|_| changes.renew_secret);
    Ok(Json(Shown {
        secret: renewed.map(|secret| secret.expose().expose_secret().to_owned()),
        ..after.into()
    }))
}

/// `DELETE /webhooks/{id}`: it is told nothing any more, and what is known of its deliveries goes with it.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<WebhookId>,
) -> Result<NoContent, Problem> {
    let webhook = {
        let mut tx = app.services.database.read().await?;
        visible(&mut tx, &caller, id).await?
    };
    let entry = caller.does(Action::Delete, format!("webhook {}", webhook.name));
    let at = app.services.clock.now();
    let deleted = app.services.database.transact(move |tx| {
        Box::pin(async move {
            webhooks::delete(tx, id).await?;
            audit::record(tx, &entry, at).await?;
            Ok::<_, CatalogError>(())
        })
    });
    deleted.await??;
    Ok(NoContent)
}

/// The webhook with this number, if the caller has the right of the route for it.
async fn visible(tx: &mut Tx, caller: &Caller, id: WebhookId) -> Result<Webhook, Problem> {
    let found = webhooks::get(tx, id).await?;
    let is_seen = |webhook: &Webhook| match &webhook.organization {
        Some((organization, _)) => caller.sees_organization(*organization),
        None => caller.may_here(None),
    };
    let webhook = found.filter(is_seen).ok_or_else(|| unknown(id))?;
    let named = format!("where webhook {} listens", webhook.name);
    caller.must_here(place(&webhook).as_ref(), named)?;
    Ok(webhook)
}

fn unknown(id: WebhookId) -> Problem {
    Problem::not_found(format!("webhook {id}"))
}
