//! Manifests of a repository: which are missing there, and each after all that it consists of.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::{StreamExt as _, stream};
use storage::catalog::manifests::{self, PartKind};
use storage::{Digest, Tag};

use super::Failure;
use super::repository::{Repository, TOGETHER, Undone};

/// Manifests that are missing there.
#[derive(Default)]
struct Missing {
    /// In the order in which they were found.
    found: Vec<Digest>,
    /// What they name that must be there before, of those that name manifests.
    children: HashMap<Digest, Vec<Digest>>,
}

impl Repository<'_, '_> {
    /// Brings these manifests with all they consist of, but for what is there. Those that are only to be tagged are not put: the tag
    /// brings them.
    pub(super) async fn bring_manifests(
        &self,
        added: &[Digest],
        tags: &[(Tag, Digest)],
        there: HashSet<Digest>,
        undone: &mut Undone,
    ) -> Result<(), Failure> {
        let missing = self.look(added, tags, there, undone).await?;
        let tagged: HashSet<&Digest> = tags.iter().map(|(_, digest)| digest).collect();
        let children: HashSet<&Digest> = missing.children.values().flatten().collect();
        let comes_with_its_tag =
            |digest: &Digest| tagged.contains(digest) && !children.contains(digest);
        let (indexes, images): (Vec<Digest>, Vec<Digest>) = missing
            .found
            .iter()
            .partition(|digest| missing.children.contains_key(digest));
        for lot in images.chunks(TOGETHER) {
            self.bring_blobs_of(lot, undone).await?;
            let put = lot.iter().filter(|digest| !comes_with_its_tag(digest));
            self.put_all(put, undone).await?;
        }
        for index in children_first(indexes, &missing.children) {
            let parts = missing.children.get(&index).into_iter().flatten();
            if let Some(part) = parts.into_iter().find(|it| undone.digests.contains(it)) {
                let why = format!("manifest {index} needs {part}, which could not be brought");
                undone.note(index, Failure::One(why))?;
                continue;
            }
            self.bring_blobs_of(&[index], undone).await?;
            let put = [index].into_iter().filter(|it| !comes_with_its_tag(it));
            self.put_all(put.collect::<Vec<_>>().iter(), undone).await?;
        }
        Ok(())
    }

    /// Which of them are missing there, with what they name. What the registry has it has with all its parts.
    async fn look(
        &self,
        added: &[Digest],
        tags: &[(Tag, Digest)],
        there: HashSet<Digest>,
        undone: &mut Undone,
    ) -> Result<Missing, Failure> {
        let new: HashSet<&Digest> = added.iter().collect();
        // A new manifest whose tag is missing is most probably missing itself: it is not asked for once more.
        let surely: HashSet<&Digest> = tags
            .iter()
            .map(|(_, digest)| digest)
            .filter(|digest| new.contains(digest))
            .collect();
        let mut seen = self.with_all_below(there).await?;
        let mut level: Vec<Digest> = Vec::new();
        for digest in tags.iter().map(|(_, digest)| digest).chain(added) {
            if seen.insert(*digest) {
                level.push(*digest);
            }
        }
        let mut missing = Missing::default();
        while !level.is_empty() {
            let mut below = Vec::new();
            let mut asked = stream::iter(level)
                .map(|digest| {
                    let surely = surely.contains(&digest);
                    self.look_at(digest, surely)
                })
                .buffered(self.work.at_once);
            while let Some((digest, is_missing)) = asked.next().await {
                match is_missing {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(failure) => {
                        undone.note(digest, failure)?;
                        continue;
                    }
                }
                missing.found.push(digest);
                let children = self.children(&digest).await?;
                below.extend(children.iter().filter(|child| seen.insert(**child)));
                if !children.is_empty() {
                    missing.children.insert(digest, children);
                }
            }
            drop(asked);
            level = below;
        }
        Ok(missing)
    }

    /// The manifest, and whether it is missing there; `surely`: that is known.
    async fn look_at(&self, digest: Digest, surely: bool) -> (Digest, Result<bool, Failure>) {
        if surely {
            return (digest, Ok(true));
        }
        let found = self.points_to(&digest.to_string()).await;
        (digest, found.map(|found| found.is_none()))
    }

    /// These manifests with all that they name, and what that names.
    async fn with_all_below(&self, top: HashSet<Digest>) -> Result<HashSet<Digest>, Failure> {
        let mut all = top.clone();
        let mut level: Vec<Digest> = top.into_iter().collect();
        while !level.is_empty() {
            let mut tx = self.work.services.database.read().await?;
            let below = manifests::children(&mut tx, self.destination(), &level).await?;
            level = below.into_iter().filter(|it| all.insert(*it)).collect();
        }
        Ok(all)
    }

    async fn children(&self, digest: &Digest) -> Result<Vec<Digest>, Failure> {
        let mut tx = self.work.services.database.look_up().await?;
        Ok(manifests::children(&mut tx, self.destination(), &[*digest]).await?)
    }

    /// Brings the blobs of these manifests, each once. A manifest of which one could not be brought is undone, too.
    async fn bring_blobs_of(&self, lot: &[Digest], undone: &mut Undone) -> Result<(), Failure> {
        let mut sizes = BTreeMap::new();
        let mut parts = Vec::new();
        for digest in lot {
            match self.read(digest).await {
                Ok(manifest) => {
                    for part in manifest.required() {
                        if part.kind != PartKind::Manifest {
                            sizes.insert(part.digest, part.size_bytes);
                            parts.push((*digest, part.digest));
                        }
                    }
                }
                Err(failure) => undone.note(*digest, failure)?,
            }
        }
        self.bring_blobs(sizes, undone).await?;
        for (manifest, part) in parts {
            if undone.digests.contains(&part) {
                undone.digests.insert(manifest);
            }
        }
        Ok(())
    }

    async fn put_all(
        &self,
        all: impl Iterator<Item = &Digest>,
        undone: &mut Undone,
    ) -> Result<(), Failure> {
        let all: Vec<Digest> = all
            .filter(|digest| !undone.digests.contains(digest))
            .copied()
            .collect();
        let mut put = stream::iter(all)
            .map(|digest| async move { (digest, self.put_by_digest(&digest).await) })
            .buffer_unordered(self.work.at_once);
        while let Some((digest, put)) = put.next().await {
            if let Err(failure) = put {
                undone.note(digest, failure)?;
            }
        }
        Ok(())
    }
}

/// The same, each after those that it names.
fn children_first(left: Vec<Digest>, children: &HashMap<Digest, Vec<Digest>>) -> Vec<Digest> {
    let mut ordered = Vec::with_capacity(left.len());
    let mut left = left;
    while !left.is_empty() {
        let names: HashSet<Digest> = left.iter().copied().collect();
        let (above, below): (Vec<Digest>, Vec<Digest>) = left.into_iter().partition(|digest| {
            let mut children = children.get(digest).into_iter().flatten();
            children.any(|child| names.contains(child))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_of_indexes_comes_after_those() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let (top, middle, low) = (digest("top"), digest("middle"), digest("low"));
        let children = HashMap::from([
            (top, vec![low, middle]),
            (middle, vec![low]),
            (low, vec![digest("image")]),
        ]);

        let ordered = children_first(vec![top, low, middle], &children);

        assert_eq!(ordered, [low, middle, top]);
    }
}
