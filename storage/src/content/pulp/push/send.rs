//! Into the push repository: blobs, what an index consists of, and the manifest of the tag last.

use std::collections::BTreeSet;

use futures_util::{TryStreamExt as _, stream};

use crate::catalog::{DestinationId, manifests};
use crate::content::pulp::{Pulp, repositories, rows};
use crate::content::{Content, ContentError, push_repository};
use crate::{Algorithm, Digest, Tag};

/// Blobs of one push that are carried side by side.
const CARRIED_AT_ONCE: usize = 4;

impl Content {
    /// Puts manifests into the push repository: what they consist of first, the tag last. What is there is not sent again. Beside it
    /// Pulp makes what a first push needs later.
    pub async fn forward_to_push_repository(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
        tag: Option<(&Tag, &Digest)>,
        digests: &[Digest],
    ) -> Result<(), ContentError> {
        tokio::try_join!(
            self.make_ready(pulp, destination),
            self.send_to_push_repository(pulp, destination, tag, digests)
        )?;
        Ok(())
    }

    /// Makes the repository with versions and a distribution, of the empty version: Pulp takes half a second for that one.
    async fn make_ready(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
    ) -> Result<(), ContentError> {
        let known = {
            let mut tx = self.0.database.look_up().await?;
            rows::known(&mut tx, destination).await?
        };
        if known.repository.is_some() {
            return Ok(());
        }
        pulp.ensure_ours(&self.0.database, destination).await?;
        let repository = pulp.create_repository(destination).await?;
        self.is_in(destination, &repository).await?;
        let empty = repositories::version(&repository, 0);
        // Nobody waits for it: what is not there is made when something is to be served, or then it is said why not.
        if let Err(error) = pulp.serve_new(destination, &empty, None).await {
            tracing::debug!(%error, destination.id = %destination, "a distribution is not made beforehand: {error}");
        }
        Ok(())
    }

    /// The same without what comes later.
    pub async fn send_to_push_repository(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
        tag: Option<(&Tag, &Digest)>,
        digests: &[Digest],
    ) -> Result<(), ContentError> {
        let name = pulp.names.push_repository(destination);
        let pushed: BTreeSet<Digest> = digests
            .iter()
            .chain(tag.map(|(_, digest)| digest))
            .copied()
            .collect();
        let levels = {
            let mut tx = self.0.database.look_up().await?;
            let mut levels = Vec::new();
            let mut seen = pushed.clone();
            let mut level: Vec<Digest> = pushed.into_iter().collect();
            while !level.is_empty() {
                let below = manifests::children(&mut tx, destination, &level).await?;
                levels.push(push_repository::without(&mut tx, destination, &level).await?);
                level = below.into_iter().filter(|it| seen.insert(*it)).collect();
            }
            levels
        };
        for manifest in levels.iter().rev().flatten() {
            if tag.is_some_and(|(_, tagged)| tagged == manifest) {
                continue;
            }
            let reference = manifest.to_string();
            self.send_manifest(pulp, destination, &name, &reference, manifest)
                .await?;
        }
        if let Some((tag, digest)) = tag {
            // Also where the manifest is there: the tag may point elsewhere.
            self.send_manifest(pulp, destination, &name, tag.as_str(), digest)
                .await?;
        }
        let sent: Vec<Digest> = levels.into_iter().flatten().collect();
        let tag = tag.map(|(tag, digest)| (tag.clone(), *digest));
        self.0
            .database
            .transact(move |tx| {
                Box::pin(async move {
                    let tag = tag.as_ref().map(|(tag, digest)| (tag, digest));
                    push_repository::forward(tx, destination, tag, &sent).await
                })
            })
            .await?
    }

    async fn send_manifest(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
        name: &str,
        reference: &str,
        digest: &Digest,
    ) -> Result<(), ContentError> {
        let manifest = {
            let mut tx = self.0.database.look_up().await?;
            manifests::content(&mut tx, destination, digest).await?
        };
        let manifest = manifest.ok_or_else(|| ContentError::Absent {
            place: "catalog".to_owned(),
            destination,
            what: format!("manifest {digest}"),
        })?;
        if digest.algorithm() != Algorithm::Sha256 {
            // Pulp would keep it under another digest.
            self.carry_blobs_of(pulp, destination, digest).await?;
            return self.is_odd(destination, digest).await;
        }
        for again in [true, false] {
            self.carry_blobs_of(pulp, destination, digest).await?;
            // A manifest without blobs may be the first that goes there.
            pulp.ensure_ours(&self.0.database, destination).await?;
            let (media_type, bytes) = (&manifest.media_type, &manifest.bytes);
            let put = pulp
                .registry
                .put_manifest(&pulp.client, name, reference, media_type, bytes);
            let error = match put.await {
                Ok(()) => return self.is_not_odd(destination, digest).await,
                Err(error) if error.is_about_what_was_sent() => error,
                Err(error) => return Err(error.into()),
            };
            if error.is_unknown_to_registry() {
                pulp.registry.make(&pulp.client, name).await?;
            }
            if again {
                self.carry_again(pulp, destination, name, digest).await?;
                continue;
            }
            if pulp.check().await.is_err() {
                return Err(error.into());
            }
            tracing::info!(
                %digest,
                "Pulp does not take manifest {digest}, so that it keeps its blobs alone: {error}"
            );
            return self.is_odd(destination, digest).await;
        }
        Ok(())
    }

    /// Forgets that Pulp once did not take this manifest.
    async fn is_not_odd(
        &self,
        destination: DestinationId,
        digest: &Digest,
    ) -> Result<(), ContentError> {
        let digest = *digest;
        let was_odd = {
            let mut tx = self.0.database.look_up().await?;
            !rows::odd(&mut tx, destination, &[digest]).await?.is_empty()
        };
        if !was_odd {
            return Ok(());
        }
        self.0
            .database
            .transact(move |tx| {
                Box::pin(async move { rows::is_not_odd(tx, destination, &digest).await })
            })
            .await?
    }

    /// Records that Pulp does not take this manifest: it has its blobs, and we have its bytes.
    async fn is_odd(
        &self,
        destination: DestinationId,
        digest: &Digest,
    ) -> Result<(), ContentError> {
        let digest = *digest;
        self.0
            .database
            .transact(move |tx| {
                Box::pin(async move { rows::is_odd(tx, destination, &digest).await })
            })
            .await?
    }

    async fn carry_blobs_of(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
        manifest: &Digest,
    ) -> Result<(), ContentError> {
        let blobs = {
            let mut tx = self.0.database.look_up().await?;
            rows::blobs_to_send(&mut tx, destination, &[*manifest], false).await?
        };
        stream::iter(blobs.into_iter().map(Ok))
            .try_for_each_concurrent(CARRIED_AT_ONCE, |(blob, _)| {
                self.0.carry(pulp, destination, blob)
            })
            .await
    }

    /// Carries those blobs of the manifest that the push repository says it does not have, whatever is written down: what is in no
    /// version may have been swept there, and all of it goes with a distribution that somebody deletes.
    async fn carry_again(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
        name: &str,
        manifest: &Digest,
    ) -> Result<(), ContentError> {
        let blobs = {
            let mut tx = self.0.database.look_up().await?;
            rows::blobs_of(&mut tx, destination, &[*manifest]).await?
        };
        for blob in blobs {
            let found = pulp.registry.blob_url(&pulp.client, name, &blob).await?;
            if found.is_none() {
                self.0.carry_whatever(pulp, destination, blob).await?;
            }
        }
        Ok(())
    }
}
