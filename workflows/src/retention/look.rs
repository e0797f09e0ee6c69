//! Which repositories have something to lose.

use super::judge::judge_all;
use super::{OfProduct, Retain};
use crate::destination::Destination;
use crate::error::Failed;
use engine::journal::Rescue;
use engine::step::{Context, Declared, Policy, Step, StepError};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use storage::Tx;
use storage::catalog::organizations;
use storage::catalog::products::{self, Product};

/// More repositories than this are left to the next run: all of them stand in one output.
const MOST_REPOSITORIES: usize = 1_000;

/// What there is to lose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// How many repositories have rules.
    pub repositories: u64,
    /// How many tags go.
    pub tags: u64,
    /// How many manifests go.
    pub manifests: u64,
    /// The bytes of these manifests and of blobs that nothing else in the newest version of their repository needs.
    pub bytes: u64,
    /// The repositories that lose something.
    pub losing: Vec<Losing>,
    /// How many more lose something and are left to the next run.
    pub left: u64,
    /// False: it was cancelled before it had seen all.
    pub complete: bool,
}

/// What a repository loses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losing {
    /// The repository.
    pub repository: Destination,
    /// How many tags.
    pub tags: u64,
    /// How many manifests.
    pub manifests: u64,
}

/// Judges every repository whose product has rules; changes nothing.
pub struct Look;

impl Declared for Look {
    const NAME: &'static str = "look";
    /// One that fails has failed: the next run comes by itself and finds the same.
    const POLICY: Policy = Policy::idempotent()
        .timeout(Duration::from_hours(12))
        .rescue(Rescue::Fail);
    type Workflow = Retain;
    type Needs = ();
    type Output = Looked;
}

impl Step for Look {
    async fn run(&self, cx: &Context<Retain>, input: &Retain, (): ()) -> Result<Looked, StepError> {
        Ok(look(cx, input).await?)
    }
}

async fn look(cx: &Context<Retain>, input: &Retain) -> Result<Looked, Failed> {
    let database = &cx.services.database;
    let now = cx.clock().now();
    let products = {
        let mut tx = database.read().await?;
        match &input.product {
            None => products::retaining(&mut tx).await?,
            Some(of) => vec![find(&mut tx, of).await?],
        }
    };
    let mut looked = Looked::default();
    for product in &products {
        let Some(rules) = &product.retention else {
            continue;
        };
        let goes_on = || !cx.cancelled().is_cancelled();
        let seen = judge_all(
            database,
            product,
            rules,
            now,
            goes_on,
            |of, going, bytes| {
                let losing = Losing {
                    repository: of.clone(),
                    tags: going.tags.len() as u64,
                    manifests: going.manifests.len() as u64,
                };
                if looked.losing.len() == MOST_REPOSITORIES {
                    looked.left += 1;
                    return;
                }
                looked.tags += losing.tags;
                looked.manifests += losing.manifests;
                looked.bytes += bytes;
                looked.losing.push(losing);
            },
        );
        looked.repositories += seen.await?;
    }
    if looked.left > 0 {
        cx.warn(format!(
            "{} more repositories have something to lose; run it again for them",
            looked.left
        ));
    }
    looked.complete = !cx.cancelled().is_cancelled();
    Ok(looked)
}

async fn find(tx: &mut Tx, of: &OfProduct) -> Result<Product, Failed> {
    let unknown = || {
        Failed::for_good(format!(
            "there is no product {} in organization {}; name one that is there, or none",
            of.label, of.organization
        ))
    };
    let organization = organizations::find(tx, &of.organization).await?;
    let organization = organization.ok_or_else(unknown)?;
    let product = products::find(tx, organization.id, &of.label).await?;
    product.ok_or_else(unknown)
}
