//! Publishing it in the next environment: one switch.

use super::Promote;
use super::submit::check;
use crate::error::Failed;
use crate::published_names;
use engine::step::{Context, Declared, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::publications::{self, Published};
use storage::catalog::{RepositoryId, pushed};

/// What the environment publishes now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Distributed {
    /// The environment's label.
    pub environment: String,
    /// The version it publishes.
    pub version: i64,
    /// The version it published before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// The names by which it is pulled.
    pub names: Vec<String>,
}

/// Publishes: points the environment to the version, under its names there.
pub struct Distribute;

impl Declared for Distribute {
    const NAME: &'static str = "distribute";
    type Workflow = Promote;
    type Needs = ();
    type Output = Distributed;
}

impl TransactionalStep for Distribute {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<Promote>,
        promote: &Promote,
        (): (),
    ) -> Result<Distributed, StepError> {
        Ok(distribute(tx, cx, promote).await?)
    }
}

async fn distribute(
    tx: &mut Tx,
    cx: &Context<Promote>,
    promote: &Promote,
) -> Result<Distributed, Failed> {
    // What was so at the submit need not be so any more.
    check(tx, promote).await?;
    let (repository, version) = (RepositoryId::from(promote.of.id), promote.version);
    let before = publications::of(tx, promote.to_environment, repository).await?;
    let to = Published {
        environment: promote.to_environment,
        repository,
        version,
        plan: cx.plan(),
        by: promote.login.clone(),
        since: cx.clock().now(),
    };
    pushed::bring_back_blobs(tx, promote.of.id, version).await?;
    publications::point(tx, &to).await?;
    let names = published_names::publish(tx, promote.to_environment, repository).await?;
    Ok(Distributed {
        environment: promote.to_environment_label.clone(),
        version,
        before: before.map(|before| before.version),
        names,
    })
}
