//! From the backend's version into the catalog's.

use super::elsewhere::{SOONEST, in_pulp, pulp};
use super::{Copied, CopyContent, EnsureRepository, EnsuredRepository, Push};
use crate::error::Failed;
use crate::services::Services;
use engine::step::{Begun, Context, Declared, Policy, Polled, PollingStep, StepError};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use storage::Digest;
use storage::catalog::images::{self, Image, ImageKind};
use storage::catalog::versions::{self, Cause, Changes};
use storage::catalog::{DestinationId, RepositoryId, manifests, pushed};
use storage::content::pulp::ServeTicket;
use storage::content::versions::{self as backend, Brought};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// A config larger than this is not read: its image is shown as an artifact with a warning.
const MAX_CONFIG_BYTES: u64 = 4 * 1024 * 1024;

/// The version of the repository that has everything the push brought.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reindexed {
    /// Its number.
    pub version: i64,
    /// How many manifests were read.
    pub manifests: usize,
}

/// A version on its way to be served by Pulp, and what is read into the catalog then.
#[derive(Debug, Serialize, Deserialize)]
pub struct Serving {
    serve: ServeTicket,
    repository: RepositoryId,
    copied: Copied,
}

/// So many bytes of manifests are read together, of all pushes: what is read takes some four times as much. One of the longest
/// that are taken by default; nearly every manifest has a few KiB, and waits for nobody.
const READ_TOGETHER_BYTES: u32 = 4 * 1024 * 1024;
static READ_TOGETHER: Semaphore = Semaphore::const_new(READ_TOGETHER_BYTES as usize);

/// Brings everything since the last indexed version into the catalog.
///
/// Total: whatever a manifest or its config contains, at worst it is an `artifact` with a warning.
pub struct Reindex;

impl Declared for Reindex {
    const NAME: &'static str = "reindex";
    const ELSEWHERE: Policy = in_pulp();
    type Workflow = Push;
    type Needs = (CopyContent, EnsureRepository);
    type Output = Reindexed;
}

/// Where Pulp is the backend, it serves the new version first: what the catalog knows can be pulled.
impl PollingStep for Reindex {
    type Ticket = Serving;

    async fn start(
        &self,
        cx: &Context<Push>,
        push: &Push,
        (copied, ensured): (Copied, EnsuredRepository),
    ) -> Result<Begun<Reindexed, Serving>, StepError> {
        let Some(in_pulp) = &copied.pulp else {
            let indexed = index(cx, push, copied, ensured.repository).await?;
            return Ok(Begun::Done(indexed));
        };
        let (content, repository) = (&cx.services.content, &in_pulp.repository);
        let begun = content.begin_to_serve(pulp(cx)?, push.to.id, repository, cx.idempotency_key());
        let serve = begun.await.map_err(Failed::from)?;
        let makes_one = serve.task.is_some() && serve.distribution.is_none();
        let serving = Serving {
            serve,
            repository: ensured.repository,
            copied,
        };
        Ok(if makes_one {
            Begun::Later(serving, SOONEST)
        } else {
            Begun::Ticket(serving)
        })
    }

    async fn poll(
        &self,
        cx: &Context<Push>,
        push: &Push,
        ticket: &Serving,
    ) -> Result<Polled<Reindexed>, StepError> {
        let (content, to) = (&cx.services.content, push.to.id);
        let served = content.is_served(pulp(cx)?, to, &ticket.serve, push.tagged(), &push.digests);
        if !served.await.map_err(Failed::from)? {
            return Ok(Polled::NotYet);
        }
        let indexed = index(cx, push, ticket.copied.clone(), ticket.repository).await?;
        let along = ticket.copied.taken_along.iter();
        let brought = push.all_digests().chain(along).copied();
        let released = content.release_objects(to, brought).await;
        released.map_err(Failed::from)?;
        Ok(Polled::Done(indexed))
    }
}

async fn index(
    cx: &Context<Push>,
    push: &Push,
    copied: Copied,
    repository: RepositoryId,
) -> Result<Reindexed, Failed> {
    let destination = push.to.id;
    let brought: Vec<Digest> = push
        .digests
        .iter()
        .chain(push.tagged().map(|(_, digest)| digest))
        .chain(&copied.taken_along)
        .copied()
        .collect();
    let copied = on_top(cx, push, repository, copied).await?;
    let found = find(&cx.services, destination, repository, &copied, &brought).await?;
    if let Some(version) = found.indexed
        && found.changes == Changes::default()
        && found.unread.is_empty()
    {
        return Ok(Reindexed {
            version,
            manifests: 0,
        });
    }
    let images = read(&cx.services, destination, &found).await?;
    let (plan, at, count) = (cx.plan(), cx.clock().now(), images.len());
    let Found {
        indexed,
        changes,
        unread,
        ..
    } = found;
    let version = cx
        .services
        .database
        .transact::<i64, Failed>(move |tx| {
            Box::pin(async move {
                for image in &images {
                    images::upsert(tx, destination, image).await?;
                }
                pushed::file(tx, destination, &unread, plan).await?;
                if let Some(version) = indexed
                    && changes == Changes::default()
                {
                    return Ok(version);
                }
                let cause = Cause::Push;
                let number = versions::record(
                    tx,
                    repository,
                    plan,
                    copied.backend_version,
                    cause,
                    &changes,
                    at,
                )
                .await?;
                pushed::file(tx, destination, &changes.manifests_added, plan).await?;
                // A delete that was asked for after it, and ran before it, has taken them away.
                pushed::bring_back(tx, destination, number).await?;
                Ok(number)
            })
        })
        .await
        .map_err(Failed::from)??;
    Ok(Reindexed {
        version,
        manifests: count,
    })
}

/// A push that was paused after its copy comes after those that went by meanwhile: what it had copied is not in their versions.
async fn on_top(
    cx: &Context<Push>,
    push: &Push,
    repository: RepositoryId,
    copied: Copied,
) -> Result<Copied, Failed> {
    let mut tx = cx.services.database.read().await?;
    let base = versions::base(&mut tx, repository).await?;
    let recorded = versions::of_plan(&mut tx, repository, cx.plan()).await?;
    drop(tx);
    if base.recorded <= copied.backend_version || recorded.is_some() {
        return Ok(copied);
    }
    let (push, plan) = (push.clone(), cx.plan());
    let work = cx.services.database.transact::<Copied, Failed>(move |tx| {
        Box::pin(async move {
            let all = push.digests.iter().chain(&copied.taken_along);
            let manifests: Vec<Digest> = all.copied().collect();
            let brought = Brought {
                plan,
                tag: push.tagged(),
                manifests: &manifests,
            };
            let backend_version = backend::bring_on_top(tx, push.to.id, brought, base).await?;
            Ok(Copied {
                backend_version,
                ..copied
            })
        })
    });
    work.await?
}

/// What there is to bring into the catalog.
struct Found {
    /// The newest version of the catalog.
    indexed: Option<i64>,
    /// Nothing, if there is a version already that has all of it: what changes nothing makes no version.
    changes: Changes,
    /// What the push has brought that was in a version before, and is another thing now that it was pushed under another
    /// media type.
    unread: Vec<Digest>,
    /// How long each manifest is that is to be read.
    sizes: HashMap<Digest, u64>,
}

impl Found {
    fn to_read(&self) -> impl Iterator<Item = &Digest> {
        self.changes.manifests_added.iter().chain(&self.unread)
    }
}

async fn find(
    services: &Services,
    destination: DestinationId,
    repository: RepositoryId,
    copied: &Copied,
    brought: &[Digest],
) -> Result<Found, Failed> {
    let mut tx = services.database.look_up().await?;
    let latest = versions::latest(&mut tx, repository).await?;
    let since = latest.as_ref().map_or(0, |it| it.backend_version);
    let to = copied.backend_version;
    let changes = if since < to {
        backend::changes(&mut tx, destination, since, to).await?
    } else {
        Changes::default()
    };
    let mut unread = images::unread(&mut tx, destination, brought).await?;
    unread.retain(|digest| !changes.manifests_added.contains(digest));
    let to_read = changes.manifests_added.iter().chain(&unread);
    let sizes = manifests::sizes(&mut tx, to_read).await?;
    Ok(Found {
        indexed: latest.map(|version| version.number),
        changes,
        unread,
        sizes,
    })
}

/// Waits until a manifest of that size may be read.
async fn turn_of(size_bytes: u64) -> Result<SemaphorePermit<'static>, AcquireError> {
    let wanted = u32::try_from(size_bytes).unwrap_or(u32::MAX);
    // Never closed, so that there is no error.
    READ_TOGETHER
        .acquire_many(wanted.min(READ_TOGETHER_BYTES))
        .await
}

/// Reads the manifests; an index comes last, because it weighs what its images weigh.
async fn read(
    services: &Services,
    destination: DestinationId,
    found: &Found,
) -> Result<Vec<Image>, Failed> {
    let missing = |digest: &Digest| {
        Failed::for_good(format!(
            "the bytes of manifest {digest} are missing; run `wharfinger doctor`"
        ))
    };
    let mut images = Vec::new();
    for digest in found.to_read() {
        let size = found.sizes.get(digest).ok_or_else(|| missing(digest))?;
        let _turn = turn_of(*size).await;
        let manifest = {
            let mut tx = services.database.look_up().await?;
            manifests::get(&mut tx, destination, digest).await?
        };
        let manifest = manifest.ok_or_else(|| missing(digest))?;
        let config = match manifest.config() {
            Some(config) => {
                services
                    .content
                    .read_small_blob(destination, &config.digest, MAX_CONFIG_BYTES)
                    .await?
            }
            None => None,
        };
        images.push(Image::read(&manifest, config.as_deref()));
    }
    images.sort_by_key(|image| image.kind == ImageKind::Index);
    Ok(images)
}
