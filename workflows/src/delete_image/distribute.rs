//! Publishing what is left: one switch.

use super::{DeleteImage, Remove, Removed};
use crate::error::Failed;
use engine::step::{Context, Declared, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::{RepositoryId, environments, publications};

/// What Library publishes now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Distributed {
    /// The version; none: nothing had to be published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// Publishes: moves Library to the version without what was deleted, unless it publishes a later one.
pub struct Distribute;

impl Declared for Distribute {
    const NAME: &'static str = "distribute";
    type Workflow = DeleteImage;
    type Needs = Remove;
    type Output = Distributed;
}

impl TransactionalStep for Distribute {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<DeleteImage>,
        delete: &DeleteImage,
        removed: Removed,
    ) -> Result<Distributed, StepError> {
        let Some(version) = removed.version else {
            return Ok(Distributed { version: None });
        };
        Ok(publish(tx, cx, delete, version).await?)
    }
}

async fn publish(
    tx: &mut Tx,
    cx: &Context<DeleteImage>,
    delete: &DeleteImage,
    version: i64,
) -> Result<Distributed, Failed> {
    let library = environments::library(tx, delete.from.organization).await?;
    let (repository, at) = (RepositoryId::from(delete.from.id), cx.clock().now());
    let (plan, login) = (cx.plan(), &delete.login);
    let shown = publications::publish(tx, library.id, repository, version, plan, login, at).await?;
    Ok(Distributed {
        version: Some(shown),
    })
}
