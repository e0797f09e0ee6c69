//! What the catalog says holds together: versions, tags, manifests, publications.

use std::collections::{BTreeMap, BTreeSet};

use storage::catalog::manifests::{self, PartKind};
use storage::catalog::repositories::{self, Filter, RepositoryRow};
use storage::catalog::versions::{self, Version};
use storage::catalog::{DestinationId, RepositoryId, pushed};
use storage::content::blobs;
use storage::{Database, Digest, Tag, Tx};
use workflows::destination::label_form;

use super::{DoctorError, Examination};

/// Repositories and versions read at once.
const AT_ONCE: u32 = 200;

const PUSH_AGAIN: &str = "push the image again";
const RESTORE: &str =
    "restore the database from a backup, and report this: no version of wharfinger writes it";

pub(super) async fn examine(
    database: &Database,
    whole: &mut Examination,
) -> Result<(), DoctorError> {
    let mut after: Option<RepositoryId> = None;
    let (mut seen, mut seen_versions) = (0, 0);
    loop {
        // A snapshot for each page: what a running server writes meanwhile is not seen by halves.
        let mut tx = database.read().await?;
        let page = repositories::list(&mut tx, Filter::default(), after, AT_ONCE).await?;
        if page.is_empty() {
            break;
        }
        after = page.last().map(|row| row.id);
        for row in &page {
            seen += 1;
            seen_versions += examine_repository(&mut tx, row, whole).await?;
        }
    }
    whole
        .looked_at
        .extend([(seen, "repositories"), (seen_versions, "versions")]);
    Ok(())
}

async fn examine_repository(
    tx: &mut Tx,
    row: &RepositoryRow,
    whole: &mut Examination,
) -> Result<u64, DoctorError> {
    let name = label_form(&row.organization, &row.product, &row.name);
    let versions = oldest_first(tx, row.id).await?;
    let published = row.published_version;
    if published
        .is_some_and(|published| !versions.iter().any(|version| version.number == published))
    {
        whole.find(
            format!("{name}: Library publishes version {published:?}, which does not exist"),
            RESTORE,
        );
    }
    let mut held: BTreeSet<Digest> = replay(&name, &versions, whole);
    held.extend(pushed::pending(tx, DestinationId::from(row.id)).await?);
    for digest in held {
        examine_manifest(tx, row.id.into(), &name, &digest, whole).await?;
    }
    Ok(versions.len() as u64)
}

async fn oldest_first(tx: &mut Tx, repository: RepositoryId) -> Result<Vec<Version>, DoctorError> {
    let mut all: Vec<Version> = Vec::new();
    loop {
        let page =
            versions::list(tx, repository, all.last().map(|last| last.number), AT_ONCE).await?;
        if page.is_empty() {
            all.reverse();
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Builds each version out of the one before and looks whether its tags point into it; returns every manifest seen.
pub(super) fn replay(
    name: &str,
    versions: &[Version],
    whole: &mut Examination,
) -> BTreeSet<Digest> {
    let mut seen = BTreeSet::new();
    let mut manifests: BTreeSet<Digest> = BTreeSet::new();
    let mut tags: BTreeMap<Tag, Digest> = BTreeMap::new();
    for version in versions {
        for digest in &version.removed.manifests {
            manifests.remove(digest);
        }
        for (tag, digest) in &version.removed.tags {
            if tags.get(tag) == Some(digest) {
                tags.remove(tag);
            }
        }
        manifests.extend(version.added.manifests.iter().copied());
        tags.extend(version.added.tags.iter().cloned());
        seen.extend(manifests.iter().copied());
        for (tag, digest) in tags
            .iter()
            .filter(|(_, digest)| !manifests.contains(digest))
        {
            let what = format!(
                "{name}: version {} has tag {tag} at {digest}, which is not in it",
                version.number
            );
            whole.find(what, PUSH_AGAIN);
        }
    }
    seen
}

/// The bytes are those the digest names, and what they name is here too. Whether blobs are whole is the content's matter.
pub(super) async fn examine_manifest(
    tx: &mut Tx,
    destination: DestinationId,
    name: &str,
    digest: &Digest,
    whole: &mut Examination,
) -> Result<(), DoctorError> {
    let Some(manifest) = manifests::get(tx, destination, digest).await? else {
        whole.find(format!("{name}: manifest {digest} is missing"), PUSH_AGAIN);
        return Ok(());
    };
    if Digest::with(digest.algorithm(), &manifest.bytes) != *digest {
        whole.find(
            format!("{name}: the bytes of manifest {digest} have another digest"),
            PUSH_AGAIN,
        );
    }
    for part in manifest.required() {
        let here = match part.kind {
            PartKind::Manifest => manifests::exists(tx, &part.digest).await?,
            PartKind::Config | PartKind::Layer => {
                blobs::is_kept(tx, destination, &part.digest).await?
            }
        };
        if !here {
            let what = format!(
                "{name}: manifest {digest} names {} {}, which is not here",
                part.kind, part.digest
            );
            whole.find(what, PUSH_AGAIN);
        }
    }
    Ok(())
}
