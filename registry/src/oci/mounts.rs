//! Mounts: a blob that another repository has already is linked here, without an upload.

use storage::Digest;
use storage::catalog::{DestinationId, destinations, organizations};
use storage::content::blobs;
use storage::database::Tx;
use workflows::destination::{Destination, PushName, label_form};

use super::access::Caller;
use super::blobs::is_shown;
use super::error::OciError;

/// A client that names no repository is not searched for in more than so many that have the blob.
const MAX_CANDIDATES: u32 = 50;

/// Links the blob to the destination; false: it is to be uploaded. Without `from` it is taken from any repository that
/// the caller may pull from with what was shown.
///
/// Whether the blob exists is not told to who may not pull it: whatever stands in the way, the answer is the same.
pub(super) async fn mount(
    caller: &Caller<'_>,
    from: Option<&str>,
    to: &Destination,
    digest: &Digest,
) -> Result<bool, OciError> {
    let services = &caller.app.services;
    let from = {
        let mut tx = services.database.look_up().await?;
        match from {
            Some(from) => named(caller, &mut tx, from, digest).await?,
            None => any(caller, &mut tx, to.id, digest).await?,
        }
    };
    let Some(from) = from else {
        return Ok(false);
    };
    let at = services.clock.now();
    Ok(services.content.mount(from, to.id, *digest, at).await?)
}

/// Where the name leads, if the caller may pull the blob from there.
async fn named(
    caller: &Caller<'_>,
    tx: &mut Tx,
    from: &str,
    digest: &Digest,
) -> Result<Option<DestinationId>, OciError> {
    let Ok(from) = from.parse::<PushName>() else {
        return Ok(None);
    };
    let Some(found) = caller.could_pull_from(tx, &from).await? else {
        return Ok(None);
    };
    let Some(destination) = found.destination.as_ref().map(|it| it.id) else {
        return Ok(None);
    };
    let shown = is_shown(tx, &found, destination, digest).await?;
    Ok(shown.then_some(destination))
}

async fn any(
    caller: &Caller<'_>,
    tx: &mut Tx,
    to: DestinationId,
    digest: &Digest,
) -> Result<Option<DestinationId>, OciError> {
    let candidates = blobs::linked_to(tx, digest, MAX_CANDIDATES).await?;
    if candidates.contains(&to) {
        return Ok(Some(to));
    }
    for candidate in candidates {
        let Some(row) = destinations::get(tx, candidate).await? else {
            continue;
        };
        let Some(organization) = organizations::get(tx, row.organization).await? else {
            continue;
        };
        let name = label_form(&organization.label, &row.product_label, &row.name);
        // A retired destination has lost its name, and the name may lead to another one now.
        if named(caller, tx, &name, digest).await? == Some(candidate) {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}
