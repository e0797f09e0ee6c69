//! Publishing it: one switch.

use super::{Restore, Restored, Rollback};
use crate::error::Failed;
use crate::published_names;
use engine::step::{Context, Declared, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::RepositoryId;
use storage::catalog::publications::{self, Published};

/// What the environment publishes now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Distributed {
    /// The environment's label.
    pub environment: String,
    /// The version it publishes.
    pub version: i64,
    /// The names by which it is pulled, besides the pushed path.
    pub names: Vec<String>,
}

/// Publishes: points the environment to the version.
pub struct Distribute;

impl Declared for Distribute {
    const NAME: &'static str = "distribute";
    type Workflow = Rollback;
    type Needs = Restore;
    type Output = Distributed;
}

impl TransactionalStep for Distribute {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<Rollback>,
        rollback: &Rollback,
        restored: Restored,
    ) -> Result<Distributed, StepError> {
        Ok(distribute(tx, cx, rollback, restored.version).await?)
    }
}

async fn distribute(
    tx: &mut Tx,
    cx: &Context<Rollback>,
    rollback: &Rollback,
    version: i64,
) -> Result<Distributed, Failed> {
    let repository = RepositoryId::from(rollback.of.id);
    let to = Published {
        environment: rollback.environment,
        repository,
        version,
        plan: cx.plan(),
        by: rollback.login.clone(),
        since: cx.clock().now(),
    };
    publications::point(tx, &to).await?;
    let names = published_names::publish(tx, rollback.environment, repository, version).await?;
    Ok(Distributed {
        environment: rollback.environment_label.clone(),
        version,
        names,
    })
}
