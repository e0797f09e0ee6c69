//! One switch from what an environment showed of a repository to what it shows now.

use std::collections::{BTreeMap, BTreeSet};

use engine::clock::Timestamp;
use engine::journal::PlanId;
use uuid::Uuid;

use super::{Held, environments_of, held, remove};
use crate::catalog::environments::LIBRARY;
use crate::catalog::publications::{self, Published};
use crate::catalog::smart_proxies::contents::{Place, Wanted};
use crate::catalog::versions::{self, Cause, Changes, Difference};
use crate::catalog::{CatalogError, RepositoryId, repository_names, stored_json};
use crate::{Digest, Tag, Tx};

/// What applying has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is shown.
    Shown,
    /// What is held is no longer what the difference leads from: it must be asked for anew.
    Moved,
}

/// Shows what is wanted: all of it is here. `difference` leads to it from what is held, or from nothing.
pub async fn apply(
    tx: &mut Tx,
    wanted: &Wanted,
    difference: &Difference,
    at: Timestamp,
) -> Result<Applied, CatalogError> {
    let (place, repository) = (wanted.place, wanted.place.repository);
    let held = held(tx, place).await?;
    let from = held.as_ref().map_or(0, |held| held.version);
    if difference.since != 0 && difference.since != from {
        return Ok(Applied::Moved);
    }
    let plan = PlanId(Uuid::now_v7());
    let shown = publications::of(tx, place.environment, repository).await?;
    let shown = shown.map(|shown| shown.version);
    let latest = versions::latest(tx, repository).await?;
    let latest = latest.map_or(0, |latest| latest.number);
    let changes = changes(tx, repository, shown.unwrap_or(0), latest, difference).await?;
    let number = if changes == Changes::default() && latest > 0 {
        latest
    } else {
        let (version, cause) = (wanted.version, Cause::Push);
        versions::record(tx, repository, plan, version, cause, &changes, at).await?
    };
    let published = Published {
        environment: place.environment,
        repository,
        version: number,
        plan,
        by: super::MIRROR.to_owned(),
        since: at,
    };
    publications::point(tx, &published).await?;
    name(tx, wanted).await?;
    note(tx, wanted, at).await?;
    Ok(Applied::Shown)
}

/// What the next version changes against the newest one, which need not be the one that the environment shows.
async fn changes(
    tx: &mut Tx,
    repository: RepositoryId,
    shown: i64,
    latest: i64,
    difference: &Difference,
) -> Result<Changes, CatalogError> {
    if difference.since != 0 && shown == latest {
        return Ok(difference.changes.clone());
    }
    let newest = Set::of(tx, repository, latest).await?;
    let base = if difference.since == 0 {
        Set::default()
    } else {
        Set::of(tx, repository, shown).await?
    };
    Ok(newest.changes_to(&base.with(&difference.changes)))
}

/// What is in a version.
#[derive(Default)]
struct Set {
    tags: BTreeMap<Tag, Digest>,
    manifests: BTreeSet<Digest>,
}

impl Set {
    async fn of(tx: &mut Tx, repository: RepositoryId, version: i64) -> Result<Self, CatalogError> {
        if version == 0 {
            return Ok(Self::default());
        }
        let tags = versions::tags(tx, repository, version, None, u32::MAX).await?;
        let manifests = versions::manifests(tx, repository, version).await?;
        Ok(Self {
            tags: tags.into_iter().collect(),
            manifests: manifests.into_iter().collect(),
        })
    }

    fn with(mut self, changes: &Changes) -> Self {
        for tag in &changes.tags_removed {
            self.tags.remove(tag);
        }
        for digest in &changes.manifests_removed {
            self.manifests.remove(digest);
        }
        self.tags.extend(changes.tags_set.iter().cloned());
        self.manifests.extend(&changes.manifests_added);
        self
    }

    fn changes_to(&self, other: &Self) -> Changes {
        let set = other
            .tags
            .iter()
            .filter(|(tag, digest)| self.tags.get(*tag) != Some(digest));
        let removed = self
            .tags
            .keys()
            .filter(|tag| !other.tags.contains_key(*tag));
        Changes {
            tags_set: set.map(|(tag, digest)| (tag.clone(), *digest)).collect(),
            tags_removed: removed.cloned().collect(),
            manifests_added: other
                .manifests
                .difference(&self.manifests)
                .copied()
                .collect(),
            manifests_removed: self
                .manifests
                .difference(&other.manifests)
                .copied()
                .collect(),
        }
    }
}

/// It is pulled by these names and no others; who had one of them before has it no more.
async fn name(tx: &mut Tx, wanted: &Wanted) -> Result<(), CatalogError> {
    const OTHERS: &str = "
        DELETE FROM repository_names
        WHERE name IN (SELECT value FROM json_each($1))
          AND (repository_id <> $2 OR environment_id IS NOT NULL AND environment_id <> $3)";
    let Place {
        environment,
        repository,
    } = wanted.place;
    let others = sqlx::query(OTHERS)
        .bind(stored_json(&wanted.names)?)
        .bind(repository)
        .bind(environment);
    others.execute(&mut *tx).await?;
    let mut names = wanted.names.clone();
    if wanted.library && !names.is_empty() {
        let pushed_path = names.remove(0);
        repository_names::ensure(tx, &pushed_path, repository).await?;
    }
    repository_names::publish(tx, environment, repository, &names).await
}

async fn note(tx: &mut Tx, wanted: &Wanted, at: Timestamp) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO mirrored (environment_id, repository_id, version, made_by, names, synced_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (environment_id, repository_id) DO UPDATE SET
            version = excluded.version, made_by = excluded.made_by, names = excluded.names,
            synced_at = excluded.synced_at";
    sqlx::query(SQL)
        .bind(wanted.place.environment)
        .bind(wanted.place.repository)
        .bind(wanted.version)
        .bind(wanted.made_by)
        .bind(stored_json(&wanted.names)?)
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Makes the rows that everything else hangs on, by their numbers at the main server. What has a name there that another one had before
/// has it here, too: that other one is gone there. And what has a number that something else had before, as happens once a backup was
/// restored there, takes nothing over: what was held under that number is given up. False: it is not collected yet.
pub async fn prepare(tx: &mut Tx, wanted: &Wanted, at: Timestamp) -> Result<bool, CatalogError> {
    give_up_others(tx, wanted, at).await?;
    if super::is_being_removed(tx, wanted.place.repository).await? {
        return Ok(false);
    }
    prepare_environments(tx, wanted, at).await?;
    prepare_product(tx, wanted, at).await?;
    prepare_repository(tx, wanted, at).await?;
    Ok(true)
}

fn key(label: &str) -> String {
    label.to_ascii_lowercase()
}

/// Gives up what is held of an organization, a product, an environment or a repository that has the number of another one by now.
async fn give_up_others(tx: &mut Tx, wanted: &Wanted, at: Timestamp) -> Result<(), CatalogError> {
    const OTHERS: &str = "
        SELECT m.environment_id, m.repository_id, m.version, m.made_by, m.names, m.synced_at
        FROM mirrored m
        JOIN environments e ON e.id = m.environment_id
        JOIN repositories r ON r.id = m.repository_id
        JOIN products p ON p.id = r.product_id
        JOIN organizations o ON o.id = p.organization_id
        WHERE o.id = $1 AND o.label_key <> $2
           OR p.id = $3 AND (p.label_key <> $4 OR p.organization_id <> $1)
           OR e.id = $5 AND (e.label_key <> $6 OR e.organization_id <> $1)
           OR r.id = $7 AND (r.product_id <> $3 OR r.name <> $8)";
    let others: Vec<Held> = sqlx::query_as(OTHERS)
        .bind(wanted.organization.id)
        .bind(key(&wanted.organization.label))
        .bind(wanted.product.id)
        .bind(key(&wanted.product.label))
        .bind(wanted.place.environment)
        .bind(key(&wanted.environment_label))
        .bind(wanted.place.repository)
        .bind(&wanted.name)
        .fetch_all(&mut *tx)
        .await?;
    for other in others {
        remove(tx, other.place, at).await?;
    }
    Ok(())
}

async fn prepare_environments(
    tx: &mut Tx,
    wanted: &Wanted,
    at: Timestamp,
) -> Result<(), CatalogError> {
    const FORMER_ORGANIZATION: &str = "
        UPDATE organizations SET label_key = label_key || '@' || id
        WHERE label_key = $2 AND id <> $1";
    const ORGANIZATION: &str = "
        INSERT INTO organizations (id, label, label_key, name, created_at) VALUES ($1, $3, $2, $4, $5)
        ON CONFLICT (id) DO UPDATE SET
            label = excluded.label, label_key = excluded.label_key, name = excluded.name";
    const FORMER_ENVIRONMENT: &str = "
        UPDATE environments SET label_key = label_key || '@' || id
        WHERE organization_id = $2 AND label_key = $3 AND id <> $1";
    // Which environment it follows does not matter here, only that Library follows none.
    const ENVIRONMENT: &str = "
        INSERT INTO environments (id, organization_id, label, label_key, name, prior_id, created_at)
        VALUES ($1, $2, $4, $3, $4, $5, $6)
        ON CONFLICT (id) DO UPDATE SET organization_id = excluded.organization_id,
            label = excluded.label, label_key = excluded.label_key, name = excluded.name,
            prior_id = excluded.prior_id";
    let organization = &wanted.organization;
    let former = sqlx::query(FORMER_ORGANIZATION)
        .bind(organization.id)
        .bind(key(&organization.label));
    former.execute(&mut *tx).await?;
    sqlx::query(ORGANIZATION)
        .bind(organization.id)
        .bind(key(&organization.label))
        .bind(&organization.label)
        .bind(&organization.name)
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    let library = (wanted.library_id, LIBRARY, None);
    let shown = (
        wanted.place.environment,
        wanted.environment_label.as_str(),
        Some(wanted.library_id),
    );
    for (id, label, prior) in [Some(library), (!wanted.library).then_some(shown)]
        .into_iter()
        .flatten()
    {
        let former = sqlx::query(FORMER_ENVIRONMENT)
            .bind(id)
            .bind(organization.id)
            .bind(key(label));
        former.execute(&mut *tx).await?;
        sqlx::query(ENVIRONMENT)
            .bind(id)
            .bind(organization.id)
            .bind(key(label))
            .bind(label)
            .bind(prior)
            .bind(at.0)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

async fn prepare_product(tx: &mut Tx, wanted: &Wanted, at: Timestamp) -> Result<(), CatalogError> {
    const FORMER: &str = "
        UPDATE products SET label_key = label_key || '@' || id
        WHERE organization_id = $1 AND label_key = $2 AND id <> $3";
    const PRODUCT: &str = "
        INSERT INTO products (id, organization_id, label, label_key, name, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (id) DO UPDATE SET organization_id = excluded.organization_id,
            label = excluded.label, label_key = excluded.label_key, name = excluded.name";
    let (organization, product) = (wanted.organization.id, &wanted.product);
    let former = sqlx::query(FORMER)
        .bind(organization)
        .bind(key(&product.label))
        .bind(product.id);
    former.execute(&mut *tx).await?;
    sqlx::query(PRODUCT)
        .bind(product.id)
        .bind(organization)
        .bind(&product.label)
        .bind(key(&product.label))
        .bind(&product.name)
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

async fn prepare_repository(
    tx: &mut Tx,
    wanted: &Wanted,
    at: Timestamp,
) -> Result<(), CatalogError> {
    const TAKEN: &str = "
        SELECT id FROM destinations
        WHERE organization_id = $1 AND product_key = $2 AND name = $3 AND retired_at IS NULL AND id <> $4";
    const DESTINATION: &str = "
        INSERT INTO destinations (id, organization_id, product_label, product_key, name, created_at)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING";
    const REPOSITORY: &str = "
        INSERT INTO repositories (id, product_id, name, label, created_at) VALUES ($1, $2, $3, $3, $4)
        ON CONFLICT (id) DO NOTHING";
    let (organization, product) = (wanted.organization.id, &wanted.product);
    let id = wanted.place.repository;
    let taken: Vec<RepositoryId> = sqlx::query_scalar(TAKEN)
        .bind(organization)
        .bind(key(&product.label))
        .bind(&wanted.name)
        .bind(id)
        .fetch_all(&mut *tx)
        .await?;
    for repository in taken {
        for environment in environments_of(tx, repository).await? {
            let place = Place {
                environment,
                repository,
            };
            remove(tx, place, at).await?;
        }
        super::removed::retire(tx, repository, at).await?;
    }
    sqlx::query(DESTINATION)
        .bind(id)
        .bind(organization)
        .bind(&product.label)
        .bind(key(&product.label))
        .bind(&wanted.name)
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    let made = sqlx::query(REPOSITORY)
        .bind(id)
        .bind(product.id)
        .bind(&wanted.name)
        .bind(at.0);
    made.execute(&mut *tx).await?;
    Ok(())
}
