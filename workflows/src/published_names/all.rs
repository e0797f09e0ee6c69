//! All repositories of an environment at once.

use std::collections::{BTreeMap, BTreeSet};

use super::{PublishedNameError, Rules, held_by, path_of, subject};
use crate::naming_pattern::NameError;
use serde::{Deserialize, Serialize};
use storage::Tx;
use storage::catalog::environments::{self, Environment};
use storage::catalog::publications::{self, Member};
use storage::catalog::{CatalogError, EnvironmentId, RepositoryId, repository_names};

/// What the repositories of an environment would be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// Each repository with its name.
    pub names: Vec<(RepositoryId, String)>,
    /// What cannot be.
    pub collisions: Vec<Clash>,
    /// Repositories that would have no name at all, with the reason.
    pub unnameable: Vec<NameError>,
    /// How many names would come or go.
    pub moved: usize,
}

/// A name that more than one would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The name.
    pub name: String,
    /// Who would have it, in words, or has it.
    pub repositories: Vec<String>,
}

/// What was renamed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Renamed {
    /// How many repositories the environment publishes.
    pub repositories: usize,
    /// How many of them have another name than before.
    pub renamed: u64,
}

impl Preview {
    /// What is in the way, in one sentence; none: nothing.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        if let Some(clash) = self.collisions.first() {
            let more = match self.collisions.len() {
                1 => String::new(),
                n => format!(", and {} more names are taken so", n - 1),
            };
            return Some(format!(
                "`{}` would be the name of {}{more}; make the pattern tell them apart, for example with `<%= product.label %>`",
                clash.name,
                clash.repositories.join(" and of "),
            ));
        }
        self.unnameable.first().map(ToString::to_string)
    }
}

/// What the repositories would be called if the environment were as given.
pub async fn preview(tx: &mut Tx, environment: &Environment) -> Result<Preview, CatalogError> {
    let mut preview = Preview::default();
    let rules = match Rules::of(environment) {
        Ok(rules) => rules,
        Err(error) => return Err(CatalogError::missing("naming pattern", error)),
    };
    let members = publications::members(tx, environment.id).await?;
    let mut wanted: BTreeMap<String, Vec<&Member>> = BTreeMap::new();
    let mut published = BTreeSet::new();
    for member in &members {
        let path = path_of(member);
        match rules.name(&subject(member, environment), &path) {
            Ok(Some(name)) => wanted.entry(name).or_default().push(member),
            Ok(None) => preview.names.push((member.repository, path)),
            Err(error) => preview.unnameable.push(error),
        }
    }
    for (name, members) in wanted {
        let mut holders: Vec<String> = members.iter().copied().map(path_of).collect();
        holders.extend(held_by(tx, environment, &name).await?);
        if holders.len() > 1 {
            let repositories = holders;
            preview.collisions.push(Clash { name, repositories });
            continue;
        }
        published.insert((members[0].repository, name.clone()));
        preview.names.push((members[0].repository, name));
    }
    let now = repository_names::of_environment(tx, environment.id).await?;
    let now: BTreeSet<_> = now.into_iter().collect();
    preview.moved = now.symmetric_difference(&published).count();
    preview.names.sort();
    Ok(preview)
}

/// Renames all of them: one switch, or nothing.
pub(crate) async fn rename_all(
    tx: &mut Tx,
    environment: EnvironmentId,
) -> Result<Renamed, PublishedNameError> {
    let environment = environments::get(tx, environment)
        .await?
        .ok_or_else(|| CatalogError::missing("environment", environment))?;
    let preview = preview(tx, &environment).await?;
    if let Some(refusal) = preview.refusal() {
        return Err(PublishedNameError::Clash(refusal));
    }
    let members = publications::members(tx, environment.id).await?;
    let paths: BTreeMap<RepositoryId, String> = members
        .iter()
        .map(|member| (member.repository, path_of(member)))
        .collect();
    let repositories = preview.names.len();
    let names: Vec<(RepositoryId, String)> = preview
        .names
        .into_iter()
        .filter(|(repository, name)| paths.get(repository) != Some(name))
        .collect();
    let renamed = repository_names::publish_all(tx, environment.id, &names).await?;
    Ok(Renamed {
        repositories,
        renamed,
    })
}
