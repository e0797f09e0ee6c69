//! The names under which an environment publishes repositories, besides their pushed paths.

mod all;
mod publish;

pub use all::{Clash, Preview, preview};
pub(crate) use all::{Renamed, rename_all};
pub(crate) use publish::publish;

use crate::destination::{self, Destination, PushName, ResolveError, label_form};
use crate::error::Failed;
use crate::naming_pattern::{NameError, Named, NamingPattern, PatternError, Subject, default_name};
use storage::Tx;
use storage::catalog::environments::{self, Environment};
use storage::catalog::publications::{self, Member};
use storage::catalog::{
    CatalogError, OrganizationId, RepositoryId, organizations, repository_names,
};

/// Why an environment cannot publish a repository by the name it would have there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishedNameError {
    /// It is no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// What is stored is no pattern any more.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Another repository has it.
    #[error(
        "environment {environment} would publish {of} as `{name}`, which is the name of {taken_by}; give the environment a pattern that tells them apart, for example with `<%= product.label %>`"
    )]
    Taken {
        /// The environment's label.
        environment: String,
        /// The pushed path of the repository.
        of: String,
        /// The name.
        name: String,
        /// What has it, in words.
        taken_by: String,
    },
    /// Some of all repositories of an environment would have one name, or none.
    #[error("{0}")]
    Clash(String),
    /// The catalog did not do its part.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl From<PublishedNameError> for Failed {
    fn from(error: PublishedNameError) -> Self {
        match error {
            PublishedNameError::Catalog(error) => error.into(),
            error @ (PublishedNameError::Name(_)
            | PublishedNameError::Pattern(_)
            | PublishedNameError::Taken { .. }
            | PublishedNameError::Clash(_)) => Self::for_good(error),
        }
    }
}

/// What is wrong with the name for this organization, whoever has it; none: nothing. Nobody publishes where others push, or by a form
/// of a pushed path that is looked for under another one.
async fn not_ours(
    tx: &mut Tx,
    organization: OrganizationId,
    name: &str,
) -> Result<Option<String>, CatalogError> {
    let first = name.split('/').next().unwrap_or_default();
    let others = organizations::id_of(tx, first).await?; // also a deleted one: it may come back
    if others.is_some_and(|other| other != organization) {
        return Ok(Some("a name of another organization".to_owned()));
    }
    let form = match name.parse::<PushName>() {
        Ok(form) => label_form(&form.organization(), &form.product(), form.in_product()),
        Err(_) => return Ok(None),
    };
    if first == "id" || form != name {
        return Ok(Some("another form of what is pushed".to_owned()));
    }
    Ok(None)
}

/// How an environment names what it publishes.
struct Rules {
    pattern: Option<NamingPattern>,
    is_library: bool,
}

impl Rules {
    fn of(environment: &Environment) -> Result<Self, PatternError> {
        let pattern = environment.registry_name_pattern.as_deref();
        Ok(Self {
            pattern: pattern.map(NamingPattern::parse).transpose()?,
            is_library: environment.prior.is_none(),
        })
    }

    /// The name; none: it is pulled by its pushed path alone.
    fn name(&self, subject: &Subject<'_>, pushed_path: &str) -> Result<Option<String>, NameError> {
        let name = match &self.pattern {
            Some(pattern) => pattern.render(subject)?,
            None if self.is_library => return Ok(None),
            None => default_name(subject)?,
        };
        Ok((!self.is_library || name != pushed_path).then_some(name))
    }
}

/// The pushed path of a repository.
fn path_of(member: &Member) -> String {
    label_form(
        &member.organization_label,
        &member.product_label,
        &member.name,
    )
}

/// What its name is made of.
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

/// Who has the name so that the environment cannot publish anything by it, in words; none: nobody. Of who has it in this very
/// environment nothing is said.
async fn held_by(
    tx: &mut Tx,
    environment: &Environment,
    name: &str,
) -> Result<Option<String>, CatalogError> {
    if let Some(why) = not_ours(tx, environment.organization, name).await? {
        return Ok(Some(format!("nobody, because it is {why}")));
    }
    // Pushed paths come first: by such a name nobody would find what is published.
    if let Some(pushed) = pushed_to(tx, name).await? {
        return Ok(Some(format!("{pushed}, which is pushed by it")));
    }
    let owner = repository_names::find(tx, name).await?;
    let Some(owner) = owner.filter(|owner| owner.environment != Some(environment.id)) else {
        return Ok(None);
    };
    let by = match owner.environment {
        Some(by) => environments::get(tx, by).await?,
        None => None,
    };
    // What others have is nobody's business here.
    let Some(by) = by.filter(|by| by.organization == environment.organization) else {
        return Ok(Some("somebody else, who has it".to_owned()));
    };
    Ok(Some(in_environment(tx, &by, owner.repository).await?))
}

/// The repository as the environment publishes it, in words.
async fn in_environment(
    tx: &mut Tx,
    environment: &Environment,
    repository: RepositoryId,
) -> Result<String, CatalogError> {
    let member = publications::member(tx, environment.id, repository).await?;
    let path = member.map_or_else(|| format!("repository {repository}"), |it| path_of(&it));
    Ok(format!("{path} in environment {}", environment.label))
}

/// The destination that pushes go to by this name, if there is one.
async fn pushed_to(tx: &mut Tx, name: &str) -> Result<Option<Destination>, CatalogError> {
    let Ok(name) = name.parse::<PushName>() else {
        return Ok(None);
    };
    match destination::resolve(tx, &name).await {
        Ok(found) => Ok(found.destination),
        Err(ResolveError::Catalog(error)) => Err(error),
        Err(
            ResolveError::UnknownOrganization { .. }
            | ResolveError::UnknownProduct { .. }
            | ResolveError::LabelOfEnvironment { .. }
            | ResolveError::PublishedName { .. }
            | ResolveError::Name(_),
        ) => Ok(None),
    }
}
