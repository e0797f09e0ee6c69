//! Telling it.

use super::DeliverWebhook;
use super::answer::{Answer, Meaning};
use super::signature::WebhookSecret;
use crate::error::Failed;
use crate::outbound::{OutboundUrl, innermost};
use engine::journal::{ENGINE, Rescue};
use engine::step::{Begun, Context, Declared, Policy, Polled, PollingStep, StepError};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use storage::catalog::audit::{self, Action, NewEntry, Outcome};
use storage::catalog::webhooks::{self, Webhook};

/// Structured mode: the body is the event.
const CLOUD_EVENT: &str = "application/cloudevents+json";

/// A receiver takes an event and does its work afterwards.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// For so long an event is tried: a receiver that is down over night still gets it.
const TRIED_FOR: Duration = Duration::from_hours(24);

/// The kind of its errors.
const CLASS: &str = "webhook";

/// The webhook has the event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delivered {
    /// What it answered; none: it was told nothing, as a warning says.
    pub answer: Option<String>,
}

/// The receiver said when it wants to be asked again.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SaidWhen {}

/// Sends the event. Who gets it twice, because we were killed before the answer was recorded, knows it by its id.
pub struct Deliver;

/// What sending came to, where it did not fail.
enum Sent {
    Done(Delivered),
    Wait(Duration),
}

impl Declared for Deliver {
    const NAME: &'static str = "deliver";
    /// The waits double from five seconds to two hours, each less a random part: with so many attempts, [`TRIED_FOR`] ends it.
    const POLICY: Policy = Policy {
        backoff: Duration::from_secs(5),
        backoff_max: Duration::from_hours(2),
        tolerated: 40,
        ..Policy::idempotent()
    }
    .attempts(40)
    .timeout(Duration::from_secs(30))
    .suspended_at_most(TRIED_FOR)
    .polled(Duration::from_secs(5), Duration::from_hours(1))
    .rescue(Rescue::Fail);
    type Workflow = DeliverWebhook;
    type Needs = ();
    type Output = Delivered;
}

impl PollingStep for Deliver {
    type Ticket = SaidWhen;

    async fn start(
        &self,
        cx: &Context<DeliverWebhook>,
        delivery: &DeliverWebhook,
        (): (),
    ) -> Result<Begun<Delivered, SaidWhen>, StepError> {
        Ok(match send(cx, delivery).await? {
            Sent::Done(done) => Begun::Done(done),
            Sent::Wait(wait) => Begun::Later(SaidWhen {}, wait),
        })
    }

    async fn poll(
        &self,
        cx: &Context<DeliverWebhook>,
        delivery: &DeliverWebhook,
        _: &SaidWhen,
    ) -> Result<Polled<Delivered>, StepError> {
        Ok(match send(cx, delivery).await? {
            Sent::Done(done) => Polled::Done(done),
            Sent::Wait(wait) => Polled::Wait(wait),
        })
    }
}

/// Sends it once, and writes down what came of it.
async fn send(cx: &Context<DeliverWebhook>, delivery: &DeliverWebhook) -> Result<Sent, StepError> {
    let webhook = {
        let database = &cx.services.database;
        let mut tx = database.read().await.map_err(Failed::from)?;
        webhooks::get(&mut tx, delivery.webhook).await
    };
    let webhook = webhook.map_err(Failed::from)?;
    let is_wanted = |webhook: &Webhook| webhook.enabled || delivery.event.kind == super::TEST;
    let Some(webhook) = webhook.filter(is_wanted) else {
        cx.warn(format!(
            "webhook {} was deleted or disabled before it was told",
            delivery.name
        ));
        return Ok(Sent::Done(Delivered { answer: None }));
    };
    let asked = ask(cx, &webhook, delivery).await;
    let (told, is_gone) = match &asked {
        Ok(answer) => (answer.text.clone(), answer.meaning == Meaning::Gone),
        Err(error) => (error.0.message.clone(), false),
    };
    note(cx, &webhook, told, is_gone).await?;
    let answer = asked.map_err(|error| in_time(cx, delivery, error))?;
    let said = format!(
        "webhook {} at {} answered {}",
        webhook.name, webhook.url, answer.text
    );
    match answer.meaning {
        Meaning::Taken => Ok(Sent::Done(Delivered {
            answer: Some(answer.text),
        })),
        Meaning::Later(Some(wait)) if !is_late(cx, delivery) => Ok(Sent::Wait(wait)),
        Meaning::Later(_) => Err(in_time(cx, delivery, StepError::transient(said))),
        Meaning::Gone => Err(StepError::permanent(format!(
            "{said}: it is disabled; enable it again if that was a mistake"
        ))
        .class(CLASS)),
        Meaning::Refused => Err(StepError::permanent(said).class(CLASS)),
    }
}

/// One request. What fails without an answer is an error.
async fn ask(
    cx: &Context<DeliverWebhook>,
    webhook: &Webhook,
    delivery: &DeliverWebhook,
) -> Result<Answer, StepError> {
    let url = OutboundUrl::parse(&webhook.url).map_err(StepError::permanent)?;
    let request = cx.services.outbound.request(Method::POST, &url, "");
    let request = request.map_err(|refused| StepError::permanent(refused).class(CLASS))?;
    let body = serde_json::to_vec(&delivery.event).map_err(StepError::permanent)?;
    let id = &delivery.event.id;
    let timestamp = (cx.clock().now().0 / 1000).to_string();
    let secret = WebhookSecret::parse(webhook.secret.expose_secret());
    let signed = secret.and_then(|secret| secret.sign(id, &timestamp, &body));
    let signature = signed.map_err(|refused| {
        StepError::permanent(format!("the secret of webhook {} {refused}", webhook.name))
    })?;
    let sent = request
        .timeout(ANSWER_TIMEOUT)
        .header(CONTENT_TYPE, CLOUD_EVENT)
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signature)
        .body(body)
        .send()
        .await;
    match sent {
        Ok(response) => Ok(Answer::read(response, &webhook.secret).await),
        Err(error) => {
            let (is_redirect, is_slow) = (error.is_redirect(), error.is_timeout());
            let why = if is_slow {
                format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())
            } else {
                innermost(error)
            };
            let text = format!("webhook {} at {}: {why}", webhook.name, webhook.url);
            Err(if is_redirect {
                StepError::permanent(text).class(CLASS)
            } else {
                StepError::transient(text).class(CLASS)
            })
        }
    }
}

/// Writes down what came of an attempt; a webhook that is gone is disabled in the same transaction.
async fn note(
    cx: &Context<DeliverWebhook>,
    webhook: &Webhook,
    told: String,
    is_gone: bool,
) -> Result<(), Failed> {
    let (plan, at, id) = (cx.plan(), cx.clock().now(), webhook.id);
    let entry = NewEntry {
        actor: ENGINE.to_owned(),
        action: Action::Change,
        subject: format!("webhook {}", webhook.name),
        from: None,
        result: Outcome::Done,
        task: Some(plan),
        reason: Some("enabled false: it answered 410 Gone".to_owned()),
    };
    let noted = cx.services.database.transact(move |tx| {
        Box::pin(async move {
            webhooks::note_answer(tx, plan, &told).await?;
            if is_gone && webhooks::disable(tx, id, "it answered 410 Gone").await? {
                audit::record(tx, &entry, at).await?;
            }
            Ok::<_, Failed>(())
        })
    });
    noted.await?
}

fn is_late(cx: &Context<DeliverWebhook>, delivery: &DeliverWebhook) -> bool {
    cx.clock().now().since(delivery.since) >= TRIED_FOR
}

/// An error that may pass is for good once the event was tried for long enough.
fn in_time(cx: &Context<DeliverWebhook>, delivery: &DeliverWebhook, error: StepError) -> StepError {
    if error.0.transient && is_late(cx, delivery) {
        let hours = TRIED_FOR.as_secs() / 3600;
        StepError::permanent(format!("given up after {hours} hours: {error}")).class(CLASS)
    } else {
        error.class(CLASS)
    }
}
