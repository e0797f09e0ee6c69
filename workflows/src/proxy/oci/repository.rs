//! One name of a repository at the registry: what it lacks is pushed to it, blobs before manifests before tags.

use std::collections::HashSet;

use futures_util::{StreamExt as _, stream};
use reqwest::{Method, StatusCode};
use storage::catalog::manifests::{self, Manifest};
use storage::catalog::smart_proxies::contents::Place;
use storage::catalog::smart_proxies::tags;
use storage::catalog::versions::Changes;
use storage::catalog::{CatalogError, DestinationId};
use storage::{Digest, Tag};

use super::registry::{Ask, TAKES_A_MANIFEST_WITHIN, digest, of_type};
use super::{Failure, Work, destination};

/// So many tags are put, and manifests read, one lot after the other: a lot fits into memory, and a sync that is killed has lost no more.
pub(super) const TOGETHER: usize = 64;

/// All that a manifest may be: a registry that is not told what is taken may answer with another, or with none.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v1+prettyjws, application/vnd.docker.distribution.manifest.v1+json, */*";

/// One name of a repository at the registry.
pub(super) struct Repository<'w, 'a> {
    pub(super) work: &'w Work<'a>,
    pub(super) place: Place,
    /// As it is published here.
    pub(super) published: &'w str,
    /// As it is called there.
    pub(super) name: String,
    /// The right to push to it.
    pub(super) scope: String,
}

/// What was not done under a name; the rest of it was.
#[derive(Default)]
pub(super) struct Undone {
    /// Blobs and manifests that are not there: what needs them is not sent either.
    pub(super) digests: HashSet<Digest>,
    /// Why the first of them is not.
    pub(super) why: Option<String>,
}

impl Undone {
    /// Notes what could not be done, if that concerns only this repository.
    pub(super) fn note(&mut self, digest: Digest, failure: Failure) -> Result<(), Failure> {
        let Failure::One(why) = failure else {
            return Err(failure);
        };
        self.digests.insert(digest);
        self.why.get_or_insert(why);
        Ok(())
    }
}

impl<'w, 'a> Repository<'w, 'a> {
    pub(super) fn new(work: &'w Work<'a>, place: Place, published: &'w str) -> Self {
        let name = work.registry.name(published);
        Self {
            work,
            place,
            published,
            scope: format!("repository:{name}:pull,push"),
            name,
        }
    }

    pub(super) fn destination(&self) -> DestinationId {
        destination(self.place)
    }

    /// Pushes these changes, and removes the tags that the version does not have.
    pub(super) async fn bring(&self, version: i64, changes: &Changes) -> Result<(), Failure> {
        let mut undone = Undone::default();
        let (missing, there) = self.missing_tags(&changes.tags_set, &mut undone).await?;
        self.bring_manifests(&changes.manifests_added, &missing, there, &mut undone)
            .await?;
        self.put_tags(&missing, &mut undone).await?;
        self.remove(Some(version)).await?;
        undone.why.map_or(Ok(()), |why| Err(Failure::One(why)))
    }

    /// Those of these tags that do not point there to where they shall, and the manifests that the others point to.
    async fn missing_tags(
        &self,
        wanted: &[(Tag, Digest)],
        undone: &mut Undone,
    ) -> Result<(Vec<(Tag, Digest)>, HashSet<Digest>), Failure> {
        let mut missing = Vec::new();
        let mut there = HashSet::new();
        let mut asked = stream::iter(wanted.to_vec())
            .map(|(tag, digest)| async move {
                let found = self.points_to(tag.as_str()).await;
                (tag, digest, found)
            })
            .buffered(self.work.at_once);
        while let Some((tag, digest, found)) = asked.next().await {
            match found {
                Ok(found) if found == Some(digest) => {
                    there.insert(digest);
                }
                Ok(_) => missing.push((tag, digest)),
                Err(failure) => undone.note(digest, failure)?,
            }
        }
        Ok((missing, there))
    }

    /// The manifest that the registry has under this tag or digest; none: nothing that it names by its digest.
    pub(super) async fn points_to(&self, reference: &str) -> Result<Option<Digest>, Failure> {
        let url = self.url(&format!("manifests/{reference}"));
        let ask = Ask {
            headers: &[("accept", ACCEPT)],
            ..Ask::new(Method::HEAD, url, &self.scope)
        };
        let answer = self.work.registry.send(&ask).await?;
        match answer.status() {
            StatusCode::OK => Ok(digest(&answer).and_then(|digest| digest.parse().ok())),
            StatusCode::NOT_FOUND => Ok(None),
            _ => {
                let what = format!("HEAD of `{}:{reference}`", self.name);
                Err(self.refused(&what, answer).await)
            }
        }
    }

    /// Puts these tags; each is written down before.
    async fn put_tags(&self, wanted: &[(Tag, Digest)], undone: &mut Undone) -> Result<(), Failure> {
        for lot in wanted.chunks(TOGETHER) {
            let lot: Vec<(Tag, Digest)> = lot
                .iter()
                .filter(|(_, digest)| !undone.digests.contains(digest))
                .cloned()
                .collect();
            self.write_down(lot.clone()).await?;
            let mut put = stream::iter(lot)
                .map(|(tag, digest)| async move { (digest, self.put(&digest, tag.as_str()).await) })
                .buffer_unordered(self.work.at_once);
            while let Some((digest, put)) = put.next().await {
                if let Err(failure) = put {
                    undone.note(digest, failure)?;
                }
            }
        }
        Ok(())
    }

    async fn write_down(&self, lot: Vec<(Tag, Digest)>) -> Result<(), Failure> {
        let (proxy, place, name) = (self.work.proxy.id, self.place, self.published.to_owned());
        let written = self.work.services.database.transact(move |tx| {
            Box::pin(async move { tags::put(tx, proxy, place, &name, &lot).await })
        });
        Ok(written.await.map_err(CatalogError::from)??)
    }

    /// The manifest with all that is known of it.
    pub(super) async fn read(&self, digest: &Digest) -> Result<Manifest, Failure> {
        let mut tx = self.work.services.database.look_up().await?;
        let found = manifests::get(&mut tx, self.destination(), digest).await?;
        found.ok_or_else(|| Failure::One(format!("manifest {digest} is not here any more")))
    }

    /// Puts a manifest under a tag, or under its own digest.
    async fn put(&self, digest: &Digest, reference: &str) -> Result<(), Failure> {
        let content = {
            let mut tx = self.work.services.database.look_up().await?;
            manifests::content(&mut tx, self.destination(), digest).await?
        };
        let content = content
            .ok_or_else(|| Failure::One(format!("manifest {digest} is not here any more")))?;
        let ask = Ask {
            headers: &[of_type(&content.media_type)],
            body: content.bytes,
            within: TAKES_A_MANIFEST_WITHIN,
            ..Ask::new(
                Method::PUT,
                self.url(&format!("manifests/{reference}")),
                &self.scope,
            )
        };
        let answer = self.work.registry.send(&ask).await?;
        if answer.status().is_success() {
            return Ok(());
        }
        let what = format!("PUT of manifest {digest} to `{}:{reference}`", self.name);
        Err(self.refused(&what, answer).await)
    }

    /// Puts a manifest under its own digest.
    pub(super) async fn put_by_digest(&self, digest: &Digest) -> Result<(), Failure> {
        self.put(digest, &digest.to_string()).await
    }

    pub(super) fn url(&self, rest: &str) -> reqwest::Url {
        self.work.registry.below(&self.name, rest)
    }

    pub(super) async fn refused(&self, what: &str, answer: reqwest::Response) -> Failure {
        self.work.registry.refused(what, &self.scope, answer).await
    }
}
