//! Whether Pulp works: its database, a worker, its content app, and our login.

use reqwest::StatusCode;

use super::client::Ask;
use super::{Pulp, PulpError};

/// What Pulp lacks to work.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Lacking {
    /// It does not answer, or does not let us in.
    #[error(transparent)]
    Pulp(#[from] PulpError),
    /// Some part of it is missing.
    #[error("Pulp at {origin} has {parts}")]
    Parts {
        /// Where it is.
        origin: String,
        /// "no worker and no content app".
        parts: String,
    },
}

impl Pulp {
    /// Anybody may ask for the status.
    async fn may_look(&self) -> Result<(), Lacking> {
        let doing = "show its repositories";
        let query = [("limit", "1"), ("fields", "pulp_href")];
        let reply = self
            .client
            .ask(Ask::get(doing, "repositories/container/container/", &query))
            .await?;
        reply.expect(doing, &[StatusCode::OK])?;
        Ok(())
    }

    /// Asks whether pushes would work. An error says what is missing.
    pub async fn check(&self) -> Result<(), Lacking> {
        let doing = "tell its status";
        let reply = self.client.ask(Ask::get(doing, "status/", &[])).await?;
        let status = reply.expect(doing, &[StatusCode::OK])?;
        let some = |field: &str| {
            status[field]
                .as_array()
                .is_some_and(|online| !online.is_empty())
        };
        let mut parts = Vec::new();
        if status["database_connection"]["connected"] != true {
            parts.push("no database");
        }
        if !some("online_workers") {
            parts.push("no worker");
        }
        if !some("online_content_apps") {
            parts.push("no content app");
        }
        if parts.is_empty() {
            return self.may_look().await;
        }
        Err(Lacking::Parts {
            origin: self.client.origin.clone(),
            parts: parts.join(" and "),
        })
    }
}
