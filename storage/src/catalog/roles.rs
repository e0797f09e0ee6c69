//! Roles and the permissions they give. The built-in roles are code: they cannot be changed.

use serde::{Deserialize, Serialize};
use strum::IntoEnumIterator as _;

/// What someone may do.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Permission {
    /// Pull images.
    Pull,
    /// Push into repositories that exist.
    Push,
    /// Make a repository by pushing to it.
    CreateRepositories,
    /// Make a product by pushing into it.
    CreateProducts,
    /// Delete tags, manifests and repositories.
    Delete,
    /// Promote versions and roll them back.
    Promote,
    /// See everyone's tasks; one's own are always visible.
    ViewTasks,
    /// Resume, cancel and otherwise steer tasks and gates.
    OperateTasks,
    /// Make and change products.
    ManageProducts,
    /// Make and change smart proxies.
    ManageProxies,
    /// Make and change schedules.
    ManageSchedules,
    /// Make users and give roles.
    ManageAccess,
    /// Everything else that concerns the whole registry.
    Admin,
}

/// A named set of permissions.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Watches and steers tasks, proxies, schedules and gates.
    Operator,
    /// Pushes wherever he likes, deletes and promotes.
    Publisher,
    /// Pushes into repositories that exist.
    Pusher,
    /// Pulls.
    Reader,
}

impl Role {
    /// What the role gives.
    #[must_use]
    pub fn permissions(self) -> PermissionSet {
        use Permission as P;
        match self {
            Self::Admin => P::iter().collect(),
            Self::Operator => [
                P::ViewTasks,
                P::OperateTasks,
                P::ManageProxies,
                P::ManageSchedules,
            ]
            .into_iter()
            .collect(),
            Self::Publisher => [
                P::Pull,
                P::Push,
                P::CreateRepositories,
                P::CreateProducts,
                P::Delete,
                P::Promote,
                P::ViewTasks,
            ]
            .into_iter()
            .collect(),
            Self::Pusher => [P::Pull, P::Push].into_iter().collect(),
            Self::Reader => [P::Pull].into_iter().collect(),
        }
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PermissionSet(u32);

impl PermissionSet {
    /// True if the permission is in it.
    #[must_use]
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & bit(permission) != 0
    }

    /// What is in either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this one and not in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// True if nothing is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The permissions in it, in the order of their declaration.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::iter().filter(move |permission| self.contains(*permission))
    }
}

fn bit(permission: Permission) -> u32 {
    1 << (permission as u32)
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(
            permissions
                .into_iter()
                .fold(0, |set, permission| set | bit(permission)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roles_give_what_the_contract_says() {
        let given = |role: Role| {
            let names: Vec<String> = role.permissions().iter().map(|p| p.to_string()).collect();
            names.join(" ")
        };

        assert_eq!(given(Role::Reader), "pull");
        assert_eq!(given(Role::Pusher), "pull push");
        assert_eq!(
            given(Role::Publisher),
            "pull push create_repositories create_products delete promote view_tasks"
        );
        assert_eq!(
            given(Role::Operator),
            "view_tasks operate_tasks manage_proxies manage_schedules"
        );
        assert_eq!(Role::Admin.permissions().iter().count(), 13);
    }
}
