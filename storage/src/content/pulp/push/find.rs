//! What was pushed, as Pulp's REST knows it.

use super::InPulp;
use crate::catalog::DestinationId;
use crate::content::pulp::{Pulp, rows};
use crate::content::{Content, ContentError, push_repository};
use crate::{Digest, Tag};

impl Content {
    /// Finds what was pushed: the tag at its digest, or the manifests. In Pulp these are things of their own, whatever repositories
    /// have them, and of whichever type the push repository is.
    pub async fn find_in_push_repository(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
        tag: Option<(&Tag, &Digest)>,
        digests: &[Digest],
    ) -> Result<InPulp, ContentError> {
        let absent = |what: String| ContentError::Absent {
            place: "push repository in Pulp".to_owned(),
            destination,
            what,
        };
        let tagged = tag.map(|(_, digest)| *digest);
        let (odd, repository) = {
            let mut tx = self.0.database.look_up().await?;
            let all: Vec<Digest> = digests.iter().copied().chain(tagged).collect();
            let odd = rows::odd(&mut tx, destination, &all).await?;
            (odd, rows::known(&mut tx, destination).await?.repository)
        };
        let is_odd = |digest: &Digest| odd.contains(digest);
        let alone = tagged.filter(is_odd);
        let manifests: Vec<Digest> = digests.iter().copied().chain(alone).collect();
        let mut units = self.units(pulp, destination, &manifests).await?;
        if let Some((tag, digest)) = tag.filter(|(_, digest)| !is_odd(digest)) {
            let unit = pulp.tag_unit(tag, digest).await?;
            units.push(unit.ok_or_else(|| absent(format!("tag `{tag}` at {digest}")))?);
        }
        Ok(InPulp { repository, units })
    }

    /// All of these manifests, as Pulp knows them; of those that it does not take, their blobs.
    pub(super) async fn units(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
        manifests: &[Digest],
    ) -> Result<Vec<String>, ContentError> {
        let (odd, blobs) = {
            let mut tx = self.0.database.look_up().await?;
            let odd = rows::odd(&mut tx, destination, manifests).await?;
            let alone: Vec<Digest> = odd.iter().copied().collect();
            let blobs = if alone.is_empty() {
                Vec::new()
            } else {
                rows::blobs_of(&mut tx, destination, &alone).await?
            };
            (odd, blobs)
        };
        let whole: Vec<Digest> = manifests
            .iter()
            .filter(|it| !odd.contains(it))
            .copied()
            .collect();
        let mut found = pulp.manifest_units(&whole).await?;
        found.extend(pulp.blob_units(&blobs).await?);
        let wanted: Vec<Digest> = whole.iter().chain(&blobs).copied().collect();
        if let Some(gone) = wanted.iter().find(|it| !found.contains_key(it)) {
            let gone = ContentError::Absent {
                place: "push repository in Pulp".to_owned(),
                destination,
                what: format!("content {gone}"),
            };
            // What is in no version may have been swept there: the next push sends it again.
            self.0
                .database
                .transact::<(), ContentError>(move |tx| {
                    Box::pin(async move {
                        push_repository::forget(tx, destination, &whole).await?;
                        rows::forget_untaken(tx, destination).await
                    })
                })
                .await??;
            return Err(gone);
        }
        Ok(wanted.iter().filter_map(|it| found.remove(it)).collect())
    }
}
