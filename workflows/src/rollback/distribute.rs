//! Publishing it: one switch.

use super::{Restore, Restored, Rollback};
use crate::destination::must_be_live;
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

/// Publishes: moves Library to the new version, unless it publishes a later one, and points another environment to the old one.
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
    must_be_live(tx, &rollback.of).await?;
    let repository = RepositoryId::from(rollback.of.id);
    let (plan, at) = (cx.plan(), cx.clock().now());
    if rollback.library {
        let environment = rollback.environment;
        let by = &rollback.login;
        let shown =
            publications::publish(tx, environment, repository, version, plan, by, at).await?;
        if shown != version {
            cx.warn(format!(
                "Library publishes version {shown} of {}, which was pushed since: roll back again if that is not wanted",
                rollback.of
            ));
        }
        let names = published_names::publish(tx, environment, repository).await?;
        return Ok(Distributed {
            environment: rollback.environment_label.clone(),
            version: shown,
            names,
        });
    }
    let to = Published {
        environment: rollback.environment,
        repository,
        version,
        plan,
        by: rollback.login.clone(),
        since: at,
    };
    publications::point(tx, &to).await?;
    let names = published_names::publish(tx, rollback.environment, repository).await?;
    Ok(Distributed {
        environment: rollback.environment_label.clone(),
        version,
        names,
    })
}
