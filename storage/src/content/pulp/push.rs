//! The steps of a push that work in Pulp: what each of them asks there, and when it is done. All of it may be asked again.

mod copy;
mod find;
mod send;
mod serve;

use engine::journal::PlanId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Pulp, PulpError, rows};
use crate::Digest;
use crate::catalog::DestinationId;
use crate::content::ContentError;

/// So often is a copy begun that fails each time.
const TASKS_AT_MOST: u64 = 5;

/// What was pushed, as Pulp knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InPulp {
    /// The repository with versions; none before the first push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The tag at its digest, or the manifests that were pushed by digest.
    pub units: Vec<String>,
}

/// A copy on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyTicket {
    /// The task of Pulp; none: there was nothing to add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The repository it makes a version of.
    pub repository: String,
    /// The manifests that were pending and go along.
    pub taken_along: Vec<Digest>,
    /// What is added, as Pulp knows it.
    pub units: Vec<String>,
    /// The name by which its tasks are found.
    pub correlation: Uuid,
}

/// A version on its way to be served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServeTicket {
    /// The task of Pulp; none: it is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The version.
    pub number: i64,
    /// The repository that has it.
    pub repository: String,
    /// The distribution, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<String>,
    /// Nothing was served by that before.
    #[serde(default)]
    pub from_nothing: bool,
    /// The name by which its tasks are found.
    pub correlation: Uuid,
}

/// Who asks, so that a task of Pulp is found again whose answer was lost.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The same in each attempt of a step.
    pub key: Uuid,
    /// It may have been asked before.
    pub again: bool,
}

/// Ties the version that a plan has made here to the one in Pulp's repository; in the transaction that makes it.
pub async fn tie(
    tx: &mut crate::Tx,
    destination: DestinationId,
    plan: PlanId,
    repository: &str,
    number: i64,
) -> Result<(), ContentError> {
    rows::tie(tx, destination, plan, repository, number).await
}

impl Pulp {
    /// Takes the names of a destination, where nobody has them; an error names what is in the way.
    pub(in crate::content::pulp) async fn ensure_ours(
        &self,
        database: &crate::Database,
        destination: DestinationId,
    ) -> Result<(), ContentError> {
        let known = async || {
            let mut tx = database.look_up().await?;
            rows::are_ours(&mut tx, destination).await
        };
        if known().await? {
            return Ok(());
        }
        let _alone = self.taking.lock().await;
        if known().await? {
            return Ok(());
        }
        let (found, is_published) = tokio::try_join!(
            self.repositories(destination),
            self.has_distribution_at(destination)
        )?;
        let foreign = |kind| PulpError::Foreign {
            kind,
            name: self.names.push_repository(destination),
        };
        if found.push.is_some() {
            return Err(foreign("repository").into());
        }
        if is_published {
            return Err(foreign("distribution").into());
        }
        let at = self.clock.now();
        database
            .transact(move |tx| Box::pin(async move { rows::take(tx, destination, at).await }))
            .await?
    }
}
