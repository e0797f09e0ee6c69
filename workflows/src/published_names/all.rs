//! All repositories of an environment at once.

use std::collections::{BTreeMap, BTreeSet};

use super::{PublishedNameError, Rules, not_ours, pushed_to};
use crate::destination::label_form;
use crate::naming_pattern::{NameError, Named, Subject};
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

fn path_of(member: &Member) -> String {
    label_form(
        &member.organization_label,
        &member.product_label,
        &member.name,
    )
}

fn subject<'a>(member: &'a Member, environment: &'a Environment) -> Subject<'a> {
    Subject {
        organization: Named {
            label: &member.organization_label,
            name: &member.organization_name,
        },
        product: Named {
            label: &member.product_label,
            name: &member.product_name,
        },
        repository: Named {
            label: &member.label,
            name: &member.name,
        },
        environment: Named {
            label: &environment.label,
            name: &environment.name,
        },
        version: member.version,
    }
}

/// Who has the name outside of this environment, whose names all move together.
async fn held_by(
    tx: &mut Tx,
    environment: &Environment,
    name: &str,
) -> Result<Option<String>, CatalogError> {
    if let Some(why) = not_ours(tx, environment.organization, name).await? {
        return Ok(Some(format!("nobody, because it is {why}")));
    }
    if let Some(pushed) = pushed_to(tx, name).await? {
        return Ok(Some(format!("{pushed}, which is pushed by it")));
    }
    let Some(owner) = repository_names::find(tx, name).await? else {
        return Ok(None);
    };
    if owner.environment == Some(environment.id) {
        return Ok(None);
    }
    let by = match owner.environment {
        Some(by) => environments::get(tx, by).await?,
        None => None,
    };
    // What others have is nobody's business here.
    let Some(by) = by.filter(|by| by.organization == environment.organization) else {
        return Ok(Some("somebody else, who has it".to_owned()));
    };
    let (repository, by) = (owner.repository, by.label);
    Ok(Some(format!("repository {repository} in environment {by}")))
}
