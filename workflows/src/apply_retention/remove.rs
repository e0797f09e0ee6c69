//! The version without what goes, and its publication.

use super::ApplyRetention;
use crate::error::Failed;
use crate::retention::going;
use engine::journal::Rescue;
use engine::step::{Context, Declared, Policy, StepError, TransactionalStep};
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::audit::{self, Action, NewEntry, Outcome};
use storage::catalog::versions::{self, Cause};
use storage::catalog::{
    RepositoryId, destinations, environments, products, publications, pushed, shelves,
};
use storage::content::versions as backend;
use storage::retention::Going;

/// What is gone, and since which version; what exactly it was that version tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The version that does not have it; none: nothing had to go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// The version before, to which a rollback goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// How many tags.
    pub tags: u64,
    /// How many manifests.
    pub manifests: u64,
    /// The bytes of these manifests and of blobs that nothing else in the version needs.
    pub bytes: u64,
}

/// Judges again, now that nobody else changes the repository, and takes away what goes: version, publication and audit are one commit.
pub struct Remove;

impl Declared for Remove {
    const NAME: &'static str = "remove";
    /// One that fails has changed nothing, and the next run finds the same.
    const POLICY: Policy = Policy::idempotent().rescue(Rescue::Fail);
    type Workflow = ApplyRetention;
    type Needs = ();
    type Output = Removed;
}

impl TransactionalStep for Remove {
    async fn run(
        &self,
        tx: &mut Tx,
        cx: &Context<ApplyRetention>,
        input: &ApplyRetention,
        (): (),
    ) -> Result<Removed, StepError> {
        Ok(remove(tx, cx, input).await?)
    }
}

async fn remove(
    tx: &mut Tx,
    cx: &Context<ApplyRetention>,
    input: &ApplyRetention,
) -> Result<Removed, Failed> {
    let (of, now) = (&input.repository, cx.clock().now());
    // Deleted, or without rules since it was looked at: then nothing goes.
    if !destinations::is_live(tx, of.id).await? {
        return Ok(Removed::default());
    }
    let product = products::find(tx, of.organization, &of.product_label).await?;
    let Some((product, rules)) = product.and_then(|it| Some((it.immutable_tags, it.retention?)))
    else {
        return Ok(Removed::default());
    };
    let going = going(tx, of, &rules, &product, now).await?;
    if going.is_nothing() {
        return Ok(Removed::default());
    }
    take_away(tx, cx, input, going).await
}

async fn take_away(
    tx: &mut Tx,
    cx: &Context<ApplyRetention>,
    input: &ApplyRetention,
    going: Going,
) -> Result<Removed, Failed> {
    let (of, plan, now) = (&input.repository, cx.plan(), cx.clock().now());
    let repository = RepositoryId::from(of.id);
    let tags: Vec<_> = going.tags.into_iter().map(|(tag, _, _)| tag).collect();
    let manifests: Vec<_> = going.manifests.into_iter().map(|it| it.0).collect();
    let bytes = shelves::bytes(tx, of.id, &manifests).await?;
    let before = versions::latest(tx, repository).await?.map(|it| it.number);

    let base = versions::base(tx, repository).await?;
    let gone = (tags.as_slice(), manifests.as_slice());
    let version = backend::remove(tx, of.id, plan, gone, base, now).await?;
    let changes = backend::changes(tx, of.id, base.recorded, version).await?;
    let cause = Cause::Retention;
    let number = versions::record(tx, repository, plan, version, cause, &changes, now).await?;
    let library = environments::library(tx, of.organization).await?;
    let by = &input.by;
    publications::publish(tx, library.id, repository, number, plan, by, now).await?;
    pushed::delete_unfiled(tx, of.id, &manifests, now).await?;

    let removed = Removed {
        version: Some(number),
        before,
        tags: tags.len() as u64,
        manifests: manifests.len() as u64,
        bytes,
    };
    let entry = NewEntry {
        actor: by.clone(),
        action: Action::Delete,
        subject: format!(
            "{} tags and {} manifests of {of}",
            removed.tags, removed.manifests
        ),
        from: None,
        result: Outcome::Done,
        task: Some(plan),
        reason: Some(format!("retention rules of product {}", of.product_label)),
    };
    audit::record(tx, &entry, now).await?;
    Ok(removed)
}
