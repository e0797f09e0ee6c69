//! Tags that shall not be there any more: only those that a sync has put there, and that nobody has moved since.
//!
//! By tag where the registry can; else the manifest goes by its digest, if no other tag and no index needs it, and comes again without a
//! tag if it is still pulled by its digest here. A registry that deletes nothing, as many are set up, is no reason to fail: a person is
//! told what stays.

use std::collections::HashSet;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use storage::catalog::smart_proxies::tags;
use storage::catalog::{CatalogError, versions};
use storage::{Digest, Tag};

use super::Failure;
use super::registry::{Ask, read};
use super::repository::{Repository, TOGETHER};

/// So many tags are named of those that stay.
const NAMED: usize = 5;
/// So many tags are asked for at once.
const PAGE: usize = 1000;
/// No page of so many tags is longer.
const LONGEST_PAGE: usize = 4 * 1024 * 1024;

/// What came of removing a tag.
enum Removed {
    /// It is not there any more, or not what was put there.
    Gone,
    /// It stays there, for this reason.
    Stays(String),
    /// So does every other one of this name.
    AllStay(String),
}

#[derive(Deserialize)]
struct Listed {
    tags: Option<Vec<Tag>>,
}

impl Repository<'_, '_> {
    /// Removes the tags that were put there and that the version does not have; none: all of them.
    pub(super) async fn remove(&self, version: Option<i64>) -> Result<(), Failure> {
        let unwanted = {
            let mut tx = self.work.services.database.read().await?;
            let (proxy, again) = (self.work.proxy.id, self.work.again);
            tags::unwanted(&mut tx, proxy, self.place, self.published, version, again).await?
        };
        if unwanted.is_empty() {
            return Ok(());
        }
        let removal = Removal {
            repository: self,
            version,
            scope: format!("repository:{}:pull,push,delete", self.name),
            unwanted: unwanted.iter().map(|(tag, _)| tag.clone()).collect(),
        };
        let mut stay = Vec::new();
        let mut why = None;
        let mut all_stay = false;
        for lot in unwanted.chunks(TOGETHER) {
            let (mut gone, mut staying) = (Vec::new(), Vec::new());
            for (tag, digest) in lot {
                if all_stay {
                    staying.push(tag.clone());
                    continue;
                }
                match removal.of(tag, digest).await? {
                    Removed::Gone => gone.push(tag.clone()),
                    Removed::Stays(reason) => {
                        why.get_or_insert(reason);
                        staying.push(tag.clone());
                    }
                    Removed::AllStay(reason) => {
                        why = Some(reason);
                        all_stay = true;
                        staying.push(tag.clone());
                    }
                }
            }
            stay.extend(staying.iter().cloned());
            self.write_down_removal(gone, staying).await?;
        }
        if let Some(why) = why {
            let (name, tags) = (&self.name, named(&stay));
            self.work.warn(format!(
                "of `{name}` it keeps {tags}, which should be gone: {why}"
            ));
        }
        Ok(())
    }

    async fn write_down_removal(&self, gone: Vec<Tag>, stay: Vec<Tag>) -> Result<(), Failure> {
        let (proxy, name) = (self.work.proxy.id, self.published.to_owned());
        let written = self.work.services.database.transact(move |tx| {
            Box::pin(async move {
                tags::forget(tx, proxy, &name, &gone).await?;
                tags::stay(tx, proxy, &name, &stay).await
            })
        });
        Ok(written.await.map_err(CatalogError::from)??)
    }
}

/// The removal of tags of one name.
struct Removal<'r, 'w, 'a> {
    repository: &'r Repository<'w, 'a>,
    /// The version that is wanted under this name.
    version: Option<i64>,
    /// The right to delete.
    scope: String,
    /// All that go.
    unwanted: HashSet<Tag>,
}

impl Removal<'_, '_, '_> {
    async fn of(&self, tag: &Tag, digest: &Digest) -> Result<Removed, Failure> {
        let there = self.repository.points_to(tag.as_str()).await?;
        if there != Some(*digest) {
            return Ok(Removed::Gone);
        }
        match self.delete(tag.as_str()).await? {
            status if status.is_success() => return Ok(Removed::Gone),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(self.no_right()),
            _ => {}
        }
        if let Some(reason) = self.needed(digest).await? {
            return Ok(Removed::Stays(reason));
        }
        match self.delete(&digest.to_string()).await? {
            status if status.is_success() || status == StatusCode::NOT_FOUND => {
                self.bring_again(digest).await?;
                Ok(Removed::Gone)
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(self.no_right()),
            status => Ok(Removed::AllStay(format!(
                "it answers {status} to DELETE; allow deletes there (docker-registry: REGISTRY_STORAGE_DELETE_ENABLED=true) and begin a whole sync, or delete them there"
            ))),
        }
    }

    /// Of what is still pulled by its digest only the tag was to go. Its parts are there still.
    async fn bring_again(&self, digest: &Digest) -> Result<(), Failure> {
        let Some(version) = self.version else {
            return Ok(());
        };
        let is_wanted = {
            let mut tx = self.repository.work.services.database.read().await?;
            let repository = self.repository.place.repository;
            versions::has_manifest(&mut tx, repository, version, digest).await?
        };
        if is_wanted {
            self.repository.put_by_digest(digest).await?;
        }
        Ok(())
    }

    fn no_right(&self) -> Removed {
        let who = self.repository.work.registry.who();
        Removed::AllStay(format!(
            "{who} may not delete there; give that right and begin a whole sync, or delete them there"
        ))
    }

    async fn delete(&self, reference: &str) -> Result<StatusCode, Failure> {
        let url = self.repository.url(&format!("manifests/{reference}"));
        let ask = Ask::new(Method::DELETE, url, &self.scope);
        match self.repository.work.registry.send(&ask).await {
            Ok(answer) => Ok(answer.status()),
            // The right to delete may be missing alone.
            Err(Failure::One(_)) => Ok(StatusCode::FORBIDDEN),
            Err(all @ Failure::All(_)) => Err(all),
        }
    }

    /// Why the manifest must stay, where only whole manifests can be deleted; none: nothing else needs it.
    async fn needed(&self, digest: &Digest) -> Result<Option<String>, Failure> {
        let (work, name) = (self.repository.work, &self.repository.name);
        let ours = {
            let mut tx = work.services.database.read().await?;
            if let Some(version) = self.version {
                let repository = self.repository.place.repository;
                if versions::is_named_by_another(&mut tx, repository, version, digest).await? {
                    return Ok(Some(
                        "it deletes only whole manifests, and an index needs the one they point to"
                            .to_owned(),
                    ));
                }
            }
            tags::of_name(&mut tx, work.proxy.id, self.repository.published).await?
        };
        let stays = |tag: &Tag| {
            Ok(Some(format!(
                "it deletes only whole manifests, and tag `{tag}` of `{name}` points to the same one"
            )))
        };
        let mut others = ours
            .iter()
            .filter(|(tag, it)| it == digest && !self.unwanted.contains(tag));
        if let Some((tag, _)) = others.next() {
            return stays(tag);
        }
        let ours: HashSet<&Tag> = ours.iter().map(|(tag, _)| tag).collect();
        for tag in self.tags().await? {
            if !ours.contains(&tag)
                && self.repository.points_to(tag.as_str()).await? == Some(*digest)
            {
                return stays(&tag);
            }
        }
        Ok(None)
    }

    /// All tags that the registry has under this name, whoever has put them there.
    async fn tags(&self) -> Result<Vec<Tag>, Failure> {
        let mut all: Vec<Tag> = Vec::new();
        loop {
            let mut url = self.repository.url("tags/list");
            url.query_pairs_mut().append_pair("n", &PAGE.to_string());
            if let Some(last) = all.last() {
                url.query_pairs_mut().append_pair("last", last.as_str());
            }
            let ask = Ask::new(Method::GET, url, &self.repository.scope);
            let answer = self.repository.work.registry.send(&ask).await?;
            if !answer.status().is_success() {
                let what = format!("GET of the tags of `{}`", self.repository.name);
                return Err(self.repository.refused(&what, answer).await);
            }
            let goes_on = answer.headers().contains_key("link");
            let page = read(answer, LONGEST_PAGE).await?;
            let page: Listed = serde_json::from_slice(&page).map_err(|error| {
                let name = &self.repository.name;
                Failure::One(format!(
                    "its list of the tags of `{name}` cannot be read: {error}"
                ))
            })?;
            let page = page.tags.unwrap_or_default();
            let is_last = !goes_on || page.is_empty() || page.last() == all.last();
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }
}

/// These tags, in words.
fn named(tags: &[Tag]) -> String {
    let first: Vec<String> = tags
        .iter()
        .take(NAMED)
        .map(|tag| format!("`{tag}`"))
        .collect();
    let first = first.join(", ");
    match (tags.len(), tags.len().saturating_sub(NAMED)) {
        (1, _) => format!("tag {first}"),
        (_, 0) => format!("tags {first}"),
        (_, more) => format!("tags {first} and {more} more"),
    }
}
