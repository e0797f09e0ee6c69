//! Manifests, each after all that it consists of.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use engine::journal::PlanId;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::header::CONTENT_TYPE;
use storage::Digest;
use storage::catalog::manifests::{self, Manifest, PartKind};
use storage::catalog::{CatalogError, DestinationId, pushed};
use storage::mirror;
use uuid::Uuid;

use super::{Failed, Work};

/// So many manifests are read, and their blobs fetched, before they are written: a process that is killed has lost no more.
const TOGETHER: usize = 64;
/// So many manifests are asked for at once.
const AT_ONCE: usize = 8;

impl Work<'_> {
    /// Brings these manifests with all they consist of, but for those that are here.
    pub(super) async fn manifests(
        &self,
        to: DestinationId,
        digests: &[Digest],
    ) -> Result<(), Failed> {
        let missing = {
            let mut tx = self.mirror.database().read().await?;
            mirror::missing_manifests(&mut tx, to, digests).await?
        };
        let mut indexes = Vec::new();
        for some in missing.chunks(TOGETHER) {
            let (above, read) = self.read(to, some).await?;
            indexes.extend(above);
            self.blobs(to, read.iter().chain(&indexes)).await?;
            self.write(to, read).await?;
        }
        self.write(to, children_first(indexes)).await
    }

    /// Those of them that name other manifests, and the others.
    async fn read(
        &self,
        to: DestinationId,
        digests: &[Digest],
    ) -> Result<(Vec<Manifest>, Vec<Manifest>), Failed> {
        let asked: Vec<_> = digests
            .iter()
            .map(|digest| self.manifest(to, digest))
            .collect();
        let all: Vec<Manifest> = stream::iter(asked)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(all.into_iter().partition(|manifest| {
            manifest
                .required()
                .any(|part| part.kind == PartKind::Manifest)
        }))
    }

    async fn manifest(&self, to: DestinationId, digest: &Digest) -> Result<Manifest, Failed> {
        let upstream = self.mirror.upstream();
        let answer = upstream.manifest(to.into(), digest).await?;
        let media_type = answer.headers().get(CONTENT_TYPE);
        let media_type = media_type.and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or_default().to_owned();
        let bytes = answer.bytes().await;
        let bytes = bytes.map_err(|error| upstream.silent(error))?;
        let broken =
            |why: String| Failed::of(format!("manifest {digest} came broken: {why}"), false);
        let found = Digest::with(digest.algorithm(), &bytes);
        if found != *digest {
            return Err(broken(format!("its bytes are those of {found}")));
        }
        Manifest::read(*digest, &media_type, bytes).map_err(|error| broken(error.to_string()))
    }

    /// Fetches the blobs of these manifests that are not here: each once, so many at a time.
    async fn blobs(
        &self,
        to: DestinationId,
        of: impl Iterator<Item = &Manifest>,
    ) -> Result<(), Failed> {
        let mut sizes = BTreeMap::new();
        for part in of.flat_map(Manifest::required) {
            if part.kind != PartKind::Manifest {
                sizes.insert(part.digest, part.size_bytes);
            }
        }
        let (digests, at): (BTreeSet<Digest>, _) =
            (sizes.keys().copied().collect(), self.mirror.clock().now());
        let linked = self.mirror.database().transact(move |tx| {
            Box::pin(async move { mirror::link_what_is_here(tx, to, &digests, at).await })
        });
        let missing = linked.await??;
        let bytes: u64 = missing.iter().filter_map(|digest| sizes.get(digest)).sum();
        self.known
            .change(|state| state.progress.bytes_total += bytes);
        let fetched: Vec<_> = missing
            .into_iter()
            .map(|digest| self.blob(to, digest))
            .collect();
        stream::iter(fetched)
            .buffer_unordered(self.blobs_at_once)
            .try_collect()
            .await
    }

    /// Writes them down in this order; from then on they can be pulled by their digest, and are not fetched again.
    async fn write(&self, to: DestinationId, all: Vec<Manifest>) -> Result<(), Failed> {
        if all.is_empty() {
            return Ok(());
        }
        let (plan, at) = (PlanId(Uuid::now_v7()), self.mirror.clock().now());
        let written = self.mirror.database().transact(move |tx| {
            Box::pin(async move {
                let by = mirror::user(tx).await?;
                let digests: Vec<Digest> = all.iter().map(|manifest| manifest.digest).collect();
                for manifest in &all {
                    manifests::put(tx, manifest, at).await?;
                    pushed::add(tx, to, manifest, by, at).await?;
                }
                pushed::file(tx, to, &digests, plan).await
            })
        });
        Ok(written.await.map_err(CatalogError::from)??)
    }
}

/// The same, each after those that it names.
fn children_first(mut left: Vec<Manifest>) -> Vec<Manifest> {
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let names: HashSet<Digest> = left.iter().map(|manifest| manifest.digest).collect();
        let (above, below): (Vec<_>, Vec<_>) = left.into_iter().partition(|manifest| {
            let mut parts = manifest.required();
            parts.any(|part| part.kind == PartKind::Manifest && names.contains(&part.digest))
        });
        if below.is_empty() {
            ordered.extend(above); // a digest cannot name itself: there is no such circle
            break;
        }
        ordered.extend(below);
        left = above;
    }
    ordered
}
