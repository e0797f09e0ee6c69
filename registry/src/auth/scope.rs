//! What a token is good for: `repository:<name>:pull,push`.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString};

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
            Self::Only(accesses) => accesses
                .iter()
                .any(|access| access.name == repository && access.actions.contains(&action)),
        }
    }
}

/// What one repository may be used for, in the form tokens carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Access {
    /// Always `repository`: nothing else has a scope.
    #[serde(rename = "type")]
    kind: Kind,
    /// The name, in the form it was asked for.
    pub(crate) name: String,
    /// What may be done.
    pub(crate) actions: Vec<RepositoryAction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Repository,
}

/// What clients do with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumString, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum RepositoryAction {
    /// Read.
    Pull,
    /// Upload and put manifests.
    Push,
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

    /// Reads `repository:<name>:<action>,…`. Other types, and actions nobody has here, are asked for by some clients
    /// and mean nothing: the answer simply does not hold them.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        if kind != "repository" || name.is_empty() {
            return None;
        }
        let mut known = Vec::new();
        for action in actions.split(',').filter_map(|action| action.parse().ok()) {
            if !known.contains(&action) {
                known.push(action);
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
    use RepositoryAction::{Pull, Push};

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
    fn unknown_actions_and_repeated_ones_are_left_out() {
        let access = Access::parse("repository:acme/busybox:push,*,fly,push").unwrap();

        assert_eq!(access.actions, [Push]);
    }

    #[test]
    fn what_is_no_repository_is_no_access() {
        for text in [
            "",
            "registry:catalog:*",
            "repository:acme",
            "repository::pull",
            "repository(plugin):a/b:pull",
        ] {
            assert_eq!(Access::parse(text), None, "{text}");
        }
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
