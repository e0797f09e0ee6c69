//! What is named, and what a pattern may say of it.

/// The only content view there is, as Katello calls it.
const CONTENT_VIEW: Named<'static> = Named {
    label: "Default_Organization_View",
    name: "Default Organization View",
};

/// The label and the name of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// What it is called in paths, for ever.
    pub label: &'a str,
    /// What people call it.
    pub name: &'a str,
}

/// What is named: a version of a repository in an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// Whose it is.
    pub organization: Named<'a>,
    /// Where in the organization it is.
    pub product: Named<'a>,
    /// The repository; its label and its name may hold slashes.
    pub repository: Named<'a>,
    /// Where it is published.
    pub environment: Named<'a>,
    /// The number of the version that is published there.
    pub version: i64,
}

impl Subject<'_> {
    /// What a variable stands for.
    pub(super) fn value(&self, variable: Variable) -> String {
        match variable {
            Variable::OrganizationName => self.organization.name.to_owned(),
            Variable::OrganizationLabel => self.organization.label.to_owned(),
            // Pushed repositories have no upstream: their own name stands for it.
            Variable::RepositoryName | Variable::RepositoryDockerUpstreamName => {
                self.repository.name.to_owned()
            }
            Variable::RepositoryLabel => self.repository.label.to_owned(),
            Variable::ContentViewName => CONTENT_VIEW.name.to_owned(),
            Variable::ContentViewLabel => CONTENT_VIEW.label.to_owned(),
            Variable::ContentViewVersion => format!("{}.0", self.version),
            Variable::ProductName => self.product.name.to_owned(),
            Variable::ProductLabel => self.product.label.to_owned(),
            Variable::EnvironmentName => self.environment.name.to_owned(),
            Variable::EnvironmentLabel => self.environment.label.to_owned(),
        }
    }
}

/// What may stand in a tag of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// What people call the organization.
    OrganizationName,
    /// The organization's label.
    OrganizationLabel,
    /// The repository's name in its product.
    RepositoryName,
    /// The repository's label.
    RepositoryLabel,
    /// Where the repository comes from; a pushed one comes from nowhere but itself.
    RepositoryDockerUpstreamName,
    /// Always `Default Organization View`.
    ContentViewName,
    /// Always `Default_Organization_View`.
    ContentViewLabel,
    /// The number of the published version, as `7.0`.
    ContentViewVersion,
    /// What people call the product.
    ProductName,
    /// The product's label.
    ProductLabel,
    /// What people call the environment.
    EnvironmentName,
    /// The environment's label.
    EnvironmentLabel,
}

impl Variable {
    /// All there are, in the order Katello lists them.
    pub const ALL: [Self; 12] = [
        Self::OrganizationName,
        Self::OrganizationLabel,
        Self::RepositoryName,
        Self::RepositoryLabel,
        Self::RepositoryDockerUpstreamName,
        Self::ContentViewName,
        Self::ContentViewLabel,
        Self::ContentViewVersion,
        Self::ProductName,
        Self::ProductLabel,
        Self::EnvironmentName,
        Self::EnvironmentLabel,
    ];

    /// How it is written in a tag.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrganizationName => "organization.name",
            Self::OrganizationLabel => "organization.label",
            Self::RepositoryName => "repository.name",
            Self::RepositoryLabel => "repository.label",
            Self::RepositoryDockerUpstreamName => "repository.docker_upstream_name",
            Self::ContentViewName => "content_view.name",
            Self::ContentViewLabel => "content_view.label",
            Self::ContentViewVersion => "content_view_version.version",
            Self::ProductName => "product.name",
            Self::ProductLabel => "product.label",
            Self::EnvironmentName => "lifecycle_environment.name",
            Self::EnvironmentLabel => "lifecycle_environment.label",
        }
    }

    /// All there are, as a message lists them.
    pub(super) fn list() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}
