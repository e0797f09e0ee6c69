//! What the proxy holds no more goes at once: nobody was promised that it stays.

use std::time::Duration;

use engine::workflow::Workflow as _;
use storage::mirror;

use super::Mirror;
use crate::Node;
use crate::cleanup::Cleanup;

/// A collection that takes longer goes on beside the next sync, which waits for what it takes away.
const AT_MOST: Duration = Duration::from_mins(10);

/// Collects what is not held any more.
pub(super) async fn collect(node: &Node) {
    let collected = async {
        let plan = node.submit(&Cleanup { dry_run: false }, None).await?;
        node.wait(plan, AT_MOST).await
    };
    if let Err(error) = collected.await {
        tracing::warn!(%error, "{} did not begin; what is not held any more goes after the next sync", Cleanup::NAME);
    }
}

/// What a process left that was killed: blobs that were on their way come on with the next sync, what was being removed goes.
pub(super) async fn after_a_restart(mirror: &Mirror, node: &Node) {
    let left = async {
        let mut tx = mirror.database().read().await?;
        mirror::has_leftovers(&mut tx).await
    };
    match left.await {
        Ok(true) => collect(node).await,
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "it is not known what the last process left"),
    }
}

/// No sync is at work: what has come of blobs that nobody wants any more is given up.
pub(super) async fn give_up_fetches(mirror: &Mirror) -> Result<(), storage::catalog::CatalogError> {
    let left = mirror::fetches(&mut mirror.database().read().await?).await?;
    for (digest, upload) in left {
        if let Err(error) = mirror.content().cancel(upload).await {
            tracing::warn!(%digest, %error, "what has come of blob {digest} takes room until it expires");
        }
        let forgotten = mirror.database().transact(move |tx| {
            Box::pin(async move { mirror::set_fetch(tx, &digest, None).await })
        });
        forgotten.await??;
    }
    Ok(())
}
