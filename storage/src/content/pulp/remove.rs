//! What a deleted repository has in Pulp is removed there: what serves it first, then what it consists of.
//!
//! Nothing is remembered of how far it came: what is there is looked for by name each time, and what answers 404 is gone. So it may
//! break off anywhere, and be begun again.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::client::Ask;
use super::repositories::Repositories;
use super::tasks::{TaskState, href};
use super::{Pulp, PulpError, rows};
use crate::catalog::DestinationId;
use crate::content::{Content, ContentError};

/// A task that deletes takes some tenths of a second, and waits for whoever holds the same thing. One whose worker was killed holds
/// it for a quarter of an hour: the next run looks again.
const DONE_WITHIN: Duration = Duration::from_mins(2);
/// A task is looked at so soon, and then later and later.
const SOONEST: Duration = Duration::from_millis(50);
const LATEST: Duration = Duration::from_secs(1);

/// What Pulp has of a destination.
struct There {
    repositories: Repositories,
    /// Of the push repository, then ours.
    distributions: Vec<Value>,
}

impl There {
    fn is_nothing(&self) -> bool {
        let Repositories { push, own } = &self.repositories;
        push.is_none() && own.is_none() && self.distributions.is_empty()
    }
}

impl Content {
    /// Removes in Pulp what a destination has there that is ours; afterwards nothing of it is there.
    pub async fn remove_in_pulp(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
    ) -> Result<(), ContentError> {
        if self.has_names_in(destination).await? {
            pulp.remove(destination).await?;
        }
        Ok(())
    }

    /// Looks whether that could be: an error says why not.
    pub async fn could_remove_in_pulp(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
    ) -> Result<(), ContentError> {
        if self.has_names_in(destination).await? {
            pulp.there(destination).await?;
        }
        Ok(())
    }

    /// What lies under names that were never taken is not ours, whatever it is.
    async fn has_names_in(&self, destination: DestinationId) -> Result<bool, ContentError> {
        let mut tx = self.0.database.look_up().await?;
        rows::are_ours(&mut tx, destination).await
    }

    /// Waits until nobody brings blobs on to Pulp; nobody begins to while what is answered is held.
    pub async fn hold_spool<'a>(&self, pulp: &'a Pulp) -> tokio::sync::MutexGuard<'a, ()> {
        pulp.spool.hold().await
    }
}

impl Pulp {
    async fn remove(&self, destination: DestinationId) -> Result<(), PulpError> {
        let there = self.there(destination).await?;
        for distribution in &there.distributions {
            self.remove_distribution(distribution, &there.repositories)
                .await?;
        }
        // Pulp has deleted a push repository with its distribution.
        let Repositories { push, own } = self.repositories(destination).await?;
        for repository in [push, own].into_iter().flatten() {
            let doing = format!("delete repository {repository}");
            self.delete(&doing, &repository).await?;
        }
        if self.there(destination).await?.is_nothing() {
            return Ok(());
        }
        Err(PulpError::StillThere {
            name: self.names.repository(destination),
        })
    }

    /// All of it; one of our names that is not ours is an error.
    async fn there(&self, destination: DestinationId) -> Result<There, PulpError> {
        let (repositories, distributions) = tokio::try_join!(
            self.repositories(destination),
            self.both_distributions(destination)
        )?;
        Ok(There {
            repositories,
            distributions,
        })
    }

    /// Pulp deletes a repository with the distribution that is of it: one that is not ours is kept.
    async fn remove_distribution(
        &self,
        distribution: &Value,
        ours: &Repositories,
    ) -> Result<(), PulpError> {
        let at = href(distribution, "pulp_href", "delete a distribution")?;
        let doing = format!("delete distribution {at}");
        let of = distribution["repository"].as_str();
        let is_ours = |of| ours.push.as_deref() == Some(of) || ours.own.as_deref() == Some(of);
        if of.is_some_and(|of| !is_ours(of)) {
            let body = json!({"repository": null});
            let ask = Ask::send(&doing, Method::PATCH, &at, &body);
            self.ask_and_wait(&doing, &at, ask).await?;
        }
        self.delete(&doing, &at).await
    }

    async fn delete(&self, doing: &str, at: &str) -> Result<(), PulpError> {
        let ask = Ask {
            method: Method::DELETE,
            ..Ask::get(doing, at, &[])
        };
        self.ask_and_wait(doing, at, ask).await
    }

    /// Waits for the task that Pulp makes of it. What is gone needs nothing, whoever has deleted it.
    async fn ask_and_wait(&self, doing: &str, at: &str, ask: Ask<'_>) -> Result<(), PulpError> {
        let reply = self.client.ask(ask).await?;
        let done = [
            StatusCode::NOT_FOUND,
            StatusCode::OK,
            StatusCode::NO_CONTENT,
        ];
        if done.contains(&reply.status) {
            return Ok(());
        }
        let accepted = reply.expect(doing, &[StatusCode::ACCEPTED])?;
        let task = href(&accepted, "task", doing)?;
        match self.end_of_task(&task, doing).await {
            // An earlier task may have been faster: then this one finds nothing.
            Err(failed @ PulpError::Task { .. }) => {
                let left = self.client.ask(Ask::get(doing, at, &[])).await?;
                if left.status == StatusCode::NOT_FOUND {
                    Ok(())
                } else {
                    Err(failed)
                }
            }
            ended => ended,
        }
    }

    async fn end_of_task(&self, task: &str, doing: &str) -> Result<(), PulpError> {
        let until = Instant::now() + DONE_WITHIN;
        let mut pause = SOONEST;
        while self.task(task, doing).await? == TaskState::Open {
            if Instant::now() >= until {
                return Err(PulpError::NotDone {
                    doing: doing.to_owned(),
                });
            }
            sleep(pause).await;
            pause = (pause * 2).min(LATEST);
        }
        Ok(())
    }
}
