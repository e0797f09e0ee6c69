//! The repositories of a crowd, each with an image of its own, and one of them with very many.

use bytes::Bytes;
use engine::clock::Timestamp;
use serde_json::json;
use storage::catalog::images::{self, Image};
use storage::catalog::manifests::{self, Manifest};
use storage::catalog::versions::{self, Cause, Changes};
use storage::catalog::{
    CatalogError, EnvironmentId, OrganizationId, RepositoryId, UserId, destinations, environments,
    organizations, products, publications, pushed, repositories, repository_names, users,
};
use storage::filling::{self, FiledImage};
use storage::{Database, Digest, Label, Tag, Tx};

use super::plans::id;
use super::{
    AT_ONCE, BenchError, LATER_PUSHES, PRODUCTS, REPOSITORIES, TAGS, TAGS_OF_A_VERSION, name, tag,
    write,
};
use crate::first_start::{ADMIN, DEFAULT_ORGANIZATION};

const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Writes all repositories, and answers with the full one.
pub(super) async fn fill(database: &Database, at: Timestamp) -> Result<RepositoryId, BenchError> {
    let place = write(database, move |tx| Box::pin(Place::find(tx, at))).await?;
    let mut full = None;
    for first in (0..REPOSITORIES).step_by(usize::try_from(AT_ONCE).unwrap_or(1)) {
        let made = write(database, move |tx| Box::pin(place.repositories(tx, first)));
        full = full.or(made.await?);
    }
    let full = full.ok_or_else(|| BenchError::Plan("no repository".into()))?;
    for first in (0..TAGS).step_by(usize::try_from(AT_ONCE).unwrap_or(1)) {
        write(database, move |tx| Box::pin(place.tags(tx, full, first))).await?;
    }
    for n in 0..LATER_PUSHES {
        let number = n + REPOSITORIES + TAGS;
        write(database, move |tx| {
            Box::pin(place.push(tx, full, number, "latest"))
        })
        .await?;
    }
    Ok(full)
}

/// Where all of it lies.
#[derive(Clone, Copy)]
pub(in crate::bench) struct Place {
    organization: OrganizationId,
    library: EnvironmentId,
    user: UserId,
    at: Timestamp,
}

impl Place {
    /// In the default organization, of a server that was started once.
    pub(in crate::bench) async fn find(tx: &mut Tx, at: Timestamp) -> Result<Self, CatalogError> {
        let missing = |what: &'static str, id: &str| CatalogError::Missing {
            what,
            id: id.to_owned(),
        };
        let there = organizations::find(tx, DEFAULT_ORGANIZATION).await?;
        let there = there.ok_or_else(|| missing("organization", DEFAULT_ORGANIZATION))?;
        let library = environments::library(tx, there.id).await?;
        let user = users::find(tx, ADMIN).await?;
        let user = user.ok_or_else(|| missing("user", ADMIN))?;
        Ok(Self {
            organization: there.id,
            library: library.id,
            user: user.id,
            at,
        })
    }

    /// Repositories from the n-th on, each with two tags; answers with that one.
    async fn repositories(self, tx: &mut Tx, n: u64) -> Result<Option<RepositoryId>, CatalogError> {
        let (mut first, mut images) = (None, Vec::new());
        for n in n..n + AT_ONCE {
            let made = self.repository(tx, n).await?;
            first.get_or_insert(made);
            let tags = ["latest".to_owned(), format!("only-{n}")];
            images.extend(self.version(tx, made, n, tags).await?);
        }
        filling::images(tx, &images, self.user, self.at).await?;
        Ok(first)
    }

    /// Tags of the full repository from the n-th on, some in each version.
    async fn tags(self, tx: &mut Tx, full: RepositoryId, n: u64) -> Result<(), CatalogError> {
        let mut images = Vec::new();
        for first in (n..n + AT_ONCE).step_by(usize::try_from(TAGS_OF_A_VERSION).unwrap_or(1)) {
            let tags = (first..first + TAGS_OF_A_VERSION).map(tag);
            let version = self.version(tx, full, first + REPOSITORIES, tags);
            images.extend(version.await?);
        }
        filling::images(tx, &images, self.user, self.at).await
    }

    pub(in crate::bench) async fn repository(
        self,
        tx: &mut Tx,
        n: u64,
    ) -> Result<RepositoryId, CatalogError> {
        let label = format!("p{}", n % PRODUCTS + 1);
        let label = Label::parse(&label).expect("a letter and a number are a label");
        let plan = id(self.at, n);
        let box_ = format!("box-{n}");
        let there = destinations::make(tx, self.organization, &label, &box_, self.at).await?;
        let product =
            products::ensure(tx, self.organization, &label, label.as_str(), plan, self.at).await?;
        let product = product.found.id;
        let made = repositories::ensure(tx, &there, product, plan, self.at).await?;
        let made = made.found.id;
        repository_names::ensure(tx, &name(n), made).await?;
        Ok(made)
    }

    /// A version with an image for each of these new tags. `n` numbers the images, and no other version may have it.
    pub(in crate::bench) async fn push_all(
        self,
        tx: &mut Tx,
        to: RepositoryId,
        n: u64,
        tags: impl IntoIterator<Item = String>,
    ) -> Result<(), CatalogError> {
        let images = self.version(tx, to, n, tags).await?;
        filling::images(tx, &images, self.user, self.at).await
    }

    /// A published version that is to have an image for each of these new tags, and the images.
    async fn version(
        self,
        tx: &mut Tx,
        to: RepositoryId,
        n: u64,
        tags: impl IntoIterator<Item = String>,
    ) -> Result<Vec<FiledImage>, CatalogError> {
        let version = self.record(tx, to, n, &Changes::default()).await?;
        let images = (n..).zip(tags).map(|(place, tag)| {
            let (manifest, image) = image(place, &tag);
            FiledImage {
                repository: to,
                version,
                plan: id(self.at, n),
                tag: parsed(&tag),
                manifest,
                image,
            }
        });
        Ok(images.collect())
    }

    /// A version in which a tag has moved to another image, published.
    pub(in crate::bench) async fn push(
        self,
        tx: &mut Tx,
        to: RepositoryId,
        n: u64,
        tag: &'static str,
    ) -> Result<(), CatalogError> {
        let (manifest, image) = image(n, tag);
        manifests::put(tx, &manifest, self.at).await?;
        pushed::add(tx, to.into(), &manifest, self.user, self.at).await?;
        images::upsert(tx, to.into(), &image).await?;
        let changes = Changes {
            tags_set: vec![(parsed(tag), manifest.digest)],
            manifests_added: vec![manifest.digest],
            ..Changes::default()
        };
        self.record(tx, to, n, &changes).await?;
        pushed::file(tx, to.into(), &[manifest.digest], id(self.at, n)).await
    }

    async fn record(
        self,
        tx: &mut Tx,
        to: RepositoryId,
        n: u64,
        changes: &Changes,
    ) -> Result<i64, CatalogError> {
        let plan = id(self.at, n);
        let backend_version = i64::try_from(n).unwrap_or(0);
        let number =
            versions::record(tx, to, plan, backend_version, Cause::Push, changes, self.at).await?;
        publications::publish(tx, self.library, to, number, plan, ADMIN, self.at).await?;
        Ok(number)
    }
}

fn parsed(tag: &str) -> Tag {
    tag.parse().expect("letters and numbers are a tag")
}

/// An image of a config and three layers, two of them its own, and what is read of it.
fn image(n: u64, tag: &str) -> (Manifest, Image) {
    let blob = |what: &str, size: u64| {
        let digest = Digest::of(format!("{what} of {n} {tag}").as_bytes());
        json!({ "digest": digest, "size": size, "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip" })
    };
    let base = Digest::of(b"the base of all images");
    let mut config = blob("config", 2_000);
    config["mediaType"] = json!("application/vnd.oci.image.config.v1+json");
    let document = json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": config,
        "layers": [
            { "digest": base, "size": 30_000_000, "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip" },
            blob("libraries", 5_000_000),
            blob("program", 1_000_000),
        ],
    });
    let bytes = Bytes::from(document.to_string());
    let manifest = Manifest::read(Digest::of(&bytes), OCI_IMAGE, bytes)
        .expect("an image made a moment ago can be read");
    let image = Image {
        platforms: vec!["linux/amd64".to_owned()],
        warning: None,
        ..Image::read(&manifest, None)
    };
    (manifest, image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_another_one() {
        let digest = |n, tag| image(n, tag).0.digest;

        assert_ne!(digest(1, "a"), digest(2, "a"));
        assert_ne!(digest(1, "a"), digest(1, "b"));
    }
}
