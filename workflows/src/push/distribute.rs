//! Publishing: one switch.

use super::{Authorize, Authorized, Push, Reindex, Reindexed};
use crate::destination::must_be_live;
use crate::error::Failed;
use crate::published_names;
use engine::step::{Context, Declared, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::{
    RepositoryId, destinations, environments, publications, tombstones, versions,
};

/// What Library publishes now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Distributed {
    /// The environment's label.
    pub environment: String,
    /// The version it publishes.
    pub version: i64,
    /// The names under which the tag can be pulled.
    pub names: Vec<String>,
}

/// Publishes: moves Library to the greater of this plan's version and the published one, in one switch.
pub struct Distribute;

impl Declared for Distribute {
    const NAME: &'static str = "distribute";
    type Workflow = Push;
    type Needs = (Authorize, Reindex);
    type Output = Distributed;
}

impl TransactionalStep for Distribute {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<Push>,
        push: &Push,
        (allowed, indexed): (Authorized, Reindexed),
    ) -> Result<Distributed, StepError> {
        let deleted = tombstones::of(tx, push.to.id).await.map_err(Failed::from)?;
        if !deleted.is_empty() {
            must_be_live(tx, &push.to).await?;
        }
        let repository = RepositoryId::from(push.to.id);
        let library = environments::library(tx, allowed.organization)
            .await
            .map_err(Failed::from)?;
        let at = cx.clock().now();
        let version = publications::publish(
            tx,
            library.id,
            repository,
            indexed.version,
            cx.plan(),
            &push.login,
            at,
        )
        .await
        .map_err(Failed::from)?;
        let mut names = vec![push.to.label_form()];
        let is_live = async |tx: &mut Tx| destinations::is_live(tx, push.to.id).await;
        if library.registry_name_pattern.is_some() && is_live(tx).await.map_err(Failed::from)? {
            let published = published_names::publish(tx, library.id, repository).await;
            names.extend(published.map_err(Failed::from)?);
        }
        if let Some((tag, digest)) = push.tagged() {
            let points_to = versions::tag(tx, repository, version, tag)
                .await
                .map_err(Failed::from)?;
            if points_to != Some(*digest) {
                let published = publications::library(tx, repository)
                    .await
                    .map_err(Failed::from)?;
                let by = published.map_or_else(String::new, |it| format!(" by task {}", it.plan));
                cx.warn(format!(
                    "version {version}, published{by}, does not have {}:{tag} at {digest}; what was pushed can be pulled by that digest",
                    push.to
                ));
            }
        }
        Ok(Distributed {
            environment: library.label,
            version,
            names,
        })
    }
}
