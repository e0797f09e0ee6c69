//! What a token is good for: `repository:<name>:pull,push`.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, EnumString, IntoEnumIterator as _};

/// How far a token reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Asked for without a scope, as `podman login` does: says who asks, and opens no repository.
    Login,
    /// Good for these, and nothing else.
    Only(Vec<Access>),
}

impl Scope {
    /// True if a token of this scope is good for `action` on the repository of this name, as the client writes it.
    pub(crate) fn covers(&self, repository: &str, action: RepositoryAction) -> bool {
        match self {
            Self::Login => false,
            Self::Only(accesses) => accesses.iter().any(|access| {
                access.kind == Kind::Repository
                    && access.name == repository
                    && access.actions.contains(&action)
            }),
        }
    }

    /// True if a token of this scope is good for the list of repositories, which shows what its user may pull.
    pub(crate) fn covers_catalog(&self) -> bool {
        match self {
            Self::Login => true,
            Self::Only(accesses) => accesses.iter().any(Access::is_to_catalog),
        }
    }
}

/// What one repository may be used for, or that all may be listed, in the form tokens carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Access {
    /// Of a repository, or of the registry, which has a catalog and nothing else.
    #[serde(rename = "type")]
    kind: Kind,
    /// The name, in the form it was asked for.
    pub(crate) name: String,
    /// What may be done. The catalog can only be listed, so that nothing stands here.
    pub(crate) actions: Vec<RepositoryAction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Repository,
    Registry,
}

/// The name that clients ask for the list of repositories by: `registry:catalog:*`.
const CATALOG: &str = "catalog";

/// Whatever the user may do with a repository: `repository:<name>:*`.
const ALL: &str = "*";

/// What clients do with a repository.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumIter, EnumString, Display,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum RepositoryAction {
    /// Read.
    Pull,
    /// Upload and put manifests.
    Push,
    /// Delete tags, manifests and blobs.
    Delete,
}

impl Access {
    /// The use of one repository for these actions.
    pub(crate) fn to_repository(name: String, actions: Vec<RepositoryAction>) -> Self {
        Self {
            kind: Kind::Repository,
            name,
            actions,
        }
    }

    /// The list of repositories.
    fn to_catalog() -> Self {
        Self {
            kind: Kind::Registry,
            name: CATALOG.to_owned(),
            actions: Vec::new(),
        }
    }

    /// True for the list of repositories.
    pub(crate) fn is_to_catalog(&self) -> bool {
        self.kind == Kind::Registry && self.name == CATALOG
    }

    /// Reads `repository:<name>:<action>,…` and `registry:catalog:*`; `*` of a repository is every action. Other types, and actions nobody has here, are asked for by some clients
    /// and mean nothing: the answer simply does not hold them.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        if (kind, name, actions) == ("registry", CATALOG, "*") {
            return Some(Self::to_catalog());
        }
        if kind != "repository" || name.is_empty() {
            return None;
        }
        let mut known = Vec::new();
        for asked in actions.split(',') {
            let asked = match asked {
                ALL => RepositoryAction::iter().collect::<Vec<_>>(),
                _ => asked.parse().into_iter().collect(),
            };
            for action in asked {
                if !known.contains(&action) {
                    known.push(action);
                }
            }
        }
        Some(Self::to_repository(name.to_owned(), known))
    }

    /// Every scope of the query parameters `scope`, of which each may hold several, separated by spaces.
    pub(crate) fn parse_all<'a>(parameters: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        parameters
            .into_iter()
            .flat_map(|parameter| parameter.split(' '))
            .filter_map(Self::parse)
            .take(MAX_ACCESSES)
            .collect()
    }
}

/// A push asks for two repositories at most; more in one token than this is nobody's honest need.
const MAX_ACCESSES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use RepositoryAction::{Delete, Pull, Push};

    #[test]
    fn a_scope_names_a_repository_and_actions() {
        assert_eq!(
            Access::parse("repository:acme/tools/busybox:pull,push"),
            Some(Access::to_repository(
                "acme/tools/busybox".to_owned(),
                vec![Pull, Push]
            ))
        );
    }

    #[test]
    fn a_star_is_every_action() {
        for text in [
            "repository:acme/busybox:*",
            "repository:acme/busybox:pull,*",
        ] {
            let access = Access::parse(text).unwrap();
            assert_eq!(access.actions, [Pull, Push, Delete], "{text}");
        }
    }

    #[test]
    fn unknown_actions_and_repeated_ones_are_left_out() {
        let access = Access::parse("repository:acme/busybox:push,delete,fly,push").unwrap();

        assert_eq!(access.actions, [Push, Delete]);
    }

    #[test]
    fn what_is_no_repository_is_no_access() {
        for text in [
            "",
            "registry:catalog:pull",
            "registry:other:*",
            "repository:acme",
            "repository::pull",
            "repository(plugin):a/b:pull",
        ] {
            assert_eq!(Access::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_catalog_is_listed_with_its_own_scope_or_a_login() {
        let catalog = Access::parse("registry:catalog:*").unwrap();
        let repository = Access::parse("repository:catalog:pull").unwrap();

        assert!(Scope::Only(vec![catalog.clone()]).covers_catalog());
        assert!(Scope::Login.covers_catalog());
        assert!(!Scope::Only(vec![repository]).covers_catalog());
        assert!(!Scope::Only(vec![catalog]).covers("catalog", Pull));
    }

    #[test]
    fn several_parameters_and_several_in_one_are_all_read() {
        let asked = Access::parse_all([
            "repository:a/b:pull repository:c/d:push",
            "repository:e/f:pull",
        ]);

        assert_eq!(
            asked
                .iter()
                .map(|access| access.name.as_str())
                .collect::<Vec<_>>(),
            ["a/b", "c/d", "e/f"]
        );
    }

    #[test]
    fn a_scope_covers_its_names_and_actions_only_and_a_login_covers_nothing() {
        let scope = Scope::Only(vec![Access::parse("repository:acme/busybox:pull").unwrap()]);

        assert!(scope.covers("acme/busybox", Pull));
        assert!(!scope.covers("acme/busybox", Push));
        assert!(!scope.covers("acme/busybox2", Pull));
        assert!(!Scope::Login.covers("acme/busybox", Pull));
    }
}
