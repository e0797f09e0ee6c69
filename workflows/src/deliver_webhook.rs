//! A webhook is told of an event.
//!
//! ```text
//! deliver
//! ```
//!
//! What is to be told is written down in the very transaction in which it happens; [`keep_telling`] makes one plan of it for each
//! webhook. Each webhook has a gate of its own: while its receiver is down, nobody else waits.

mod answer;
mod deliver;
mod event;
mod signature;
mod tell;

pub use deliver::{Deliver, Delivered};
pub use event::{CloudEvent, TEST};
pub use signature::{SecretRefused, WebhookSecret};
pub use tell::{TellError, keep_telling, submit_test, tell};

use crate::services::Services;
use engine::clock::Timestamp;
use engine::priority::Priority;
use engine::workflow::{Steps, Workflow};
use serde::{Deserialize, Serialize};
use storage::catalog::WebhookId;

/// So many receivers may keep us waiting at once without anybody else noticing.
const AT_ONCE: usize = 32;

/// The input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeliverWebhook {
    /// The webhook.
    pub webhook: WebhookId,
    /// Its name.
    pub name: String,
    /// The label of the organization that it hears of; none: of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// Since when this is tried.
    pub since: Timestamp,
    /// What it is told: the same bytes at each attempt.
    pub event: CloudEvent,
}

impl Workflow for DeliverWebhook {
    const NAME: &'static str = "deliver_webhook";
    const VERSION: u32 = 1;
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(Deliver)
    }

    fn action(&self) -> String {
        let of = self.event.subject.as_ref();
        let of = of.map_or_else(String::new, |subject| format!(" of {subject}"));
        format!("Event {}{of} to webhook {}", self.event.kind, self.name)
    }

    fn organization(&self) -> Option<String> {
        self.organization.clone()
    }

    fn gate(&self, _step: &str) -> Option<String> {
        Some(format!("webhook.{}", self.name))
    }

    /// Nobody waits for it.
    fn priority(&self) -> Priority {
        Priority::Background
    }

    fn at_once() -> Option<usize> {
        Some(AT_ONCE)
    }
}
