//! Filing what was pushed by its digest alone: children without an index, signatures, referrers.

use super::authorize;
use super::{Authorize, Client, Push, keys_of_destination};
use crate::destination::Destination;
use crate::services::Node;
use engine::clock::Timestamp;
use engine::journal::{Cause, PlanId};
use engine::node::{NodeError, Placed};
use engine::priority::Priority;
use engine::step::StepError;
use engine::store::{Store, StoreError};
use std::time::Duration;
use storage::Tx;
use storage::catalog::pushed::{self, Waiting};
use storage::catalog::{CatalogError, organizations, users};
use storage::content::has_open_upload;
use tokio_util::sync::CancellationToken;

/// A client that pushes several manifests by digest sends them one after the other: so long after the newest none is expected.
const QUIET: Duration = Duration::from_secs(5);
/// However many follow and whatever is still being uploaded: the oldest waits no longer than this.
const AT_MOST: Duration = Duration::from_mins(1);
/// How often is looked.
const ROUND: Duration = Duration::from_secs(1);

/// Why a round of filing did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum FilingError {
    /// The catalog could not be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The content could not be read.
    #[error(transparent)]
    Content(#[from] storage::content::ContentError),
    /// The engine did not take the plan.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl From<StoreError> for FilingError {
    fn from(error: StoreError) -> Self {
        Self::Node(error.into())
    }
}

/// Files what is pending until `stop` fires.
pub async fn keep_filing<St: Store<Tx = Tx>>(node: Node<St>, stop: CancellationToken) {
    while stop
        .run_until_cancelled(tokio::time::sleep(ROUND))
        .await
        .is_some()
    {
        if let Err(error) = file_pending(&node, node.clock().now()).await {
            tracing::warn!(%error, "what was pushed by digest is not filed yet; the next round tries again");
        }
    }
}

/// Submits one push for each destination whose pending digests are due at `now`, in the name of the newest pusher; answers with
/// the plans that are new. An open push of the destination takes them along by itself.
pub async fn file_pending<St: Store<Tx = Tx>>(
    node: &Node<St>,
    now: Timestamp,
) -> Result<Vec<PlanId>, FilingError> {
    let mut due = Vec::new();
    {
        let database = &node.services().database;
        let mut tx = database.read().await.map_err(CatalogError::from)?;
        for waiting in pushed::waiting(&mut tx).await? {
            let overdue = now.since(waiting.oldest_at) >= AT_MOST;
            let quiet = now.since(waiting.newest_at) >= QUIET;
            if overdue || (quiet && !has_open_upload(&mut tx, waiting.destination).await?) {
                due.push(waiting);
            }
        }
    }
    let mut new = Vec::new();
    for waiting in due {
        new.extend(file(node, waiting).await?);
    }
    Ok(new)
}

/// Submits the push of one destination, unless one is open or the newest pusher has lost his right.
async fn file<St: Store<Tx = Tx>>(
    node: &Node<St>,
    waiting: Waiting,
) -> Result<Option<PlanId>, FilingError> {
    let (push, judged) = {
        let database = &node.services().database;
        let mut tx = database.read().await.map_err(CatalogError::from)?;
        let Some(push) = push_of::<St>(&mut tx, waiting).await? else {
            return Ok(None);
        };
        match authorize::judge(&mut tx, &push)
            .await
            .map_err(StepError::from)
        {
            Ok(judged) => (push, judged),
            Err(refused) => {
                tracing::debug!(repository = %push.to, "what was pushed by digest stays pending: {refused}");
                return Ok(None);
            }
        }
    };
    let keys = keys_of_destination(&push.to);
    let offer = node.offer(&push, Some(push.login.clone()))?;
    // Nobody waits for it.
    let offer = offer
        .caused_by(Cause::Duty)
        .with_priority(Priority::Background);
    let offer = offer
        .with_recorded::<Authorize>(&judged)
        .map_err(NodeError::from)?;
    let placed = node.transact::<Option<Placed>, StoreError, _>(move |tx, desk| {
        Box::pin(async move {
            if desk
                .open(tx, keys)
                .await?
                .iter()
                .any(|open| open.state.is_driven())
            {
                return Ok(None);
            }
            desk.submit(tx, offer).await.map(Some)
        })
    });
    Ok(match placed.await?? {
        Some(Placed::New(plan)) => Some(plan),
        Some(Placed::Open(_)) | None => None,
    })
}

/// The push that files what is pending, but for what an open push with a tag files itself: a paused one goes on one day, or
/// ends and leaves its digest to the next round.
async fn push_of<St: Store<Tx = Tx>>(
    tx: &mut Tx,
    waiting: Waiting,
) -> Result<Option<Push>, FilingError> {
    let mut digests = pushed::pending(tx, waiting.destination).await?;
    digests.sort();
    let Some(destination) = storage::catalog::destinations::get(tx, waiting.destination).await?
    else {
        return Ok(None);
    };
    let organization = organizations::get(tx, destination.organization).await?;
    let (Some(organization), Some(user)) = (organization, users::get(tx, waiting.newest_by).await?)
    else {
        return Ok(None);
    };
    let to = Destination::of(destination, &organization);
    let open = St::open_in(tx, keys_of_destination(&to)).await?;
    digests.retain(|digest| {
        let digest = digest.to_string();
        !open.iter().any(|open| open.key.ends_with(&digest))
    });
    Ok((!digests.is_empty()).then(|| Push {
        user: user.id,
        login: user.login,
        to,
        tag: None,
        manifest: None,
        digests,
        client: Client::default(),
    }))
}
