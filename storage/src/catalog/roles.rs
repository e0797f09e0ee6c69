//! Roles and the permissions they give. The built-in roles are code: they cannot be changed.

use std::fmt;

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row as _};
use strum::IntoEnumIterator as _;

use super::{CatalogError, json, stored_json};
use crate::Tx;

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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

/// A role that is built in.
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

/// A role by its name: a built-in one, or one that was made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRole {
    name: String,
    permissions: PermissionSet,
}

impl NamedRole {
    /// The role of this name, as a grant names it; of a role made here, `own` is what it gives.
    pub(super) fn granted(name: String, own: Option<PermissionSet>) -> Self {
        match name.parse::<Role>() {
            Ok(role) => role.into(),
            Err(_) => Self {
                name,
                permissions: own.unwrap_or_default(),
            },
        }
    }

    /// What grants call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it gives.
    #[must_use]
    pub fn permissions(&self) -> PermissionSet {
        self.permissions
    }

    /// The built-in role that it is; none: it was made here.
    #[must_use]
    pub fn built_in(&self) -> Option<Role> {
        self.name.parse().ok()
    }
}

impl From<Role> for NamedRole {
    fn from(role: Role) -> Self {
        Self {
            name: role.to_string(),
            permissions: role.permissions(),
        }
    }
}

impl fmt::Display for NamedRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromRow<'_, SqliteRow> for NamedRole {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.try_get("name")?,
            permissions: json(row, "permissions")?,
        })
    }
}

/// The role of this name, built in or made here.
pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<NamedRole>, CatalogError> {
    const SQL: &str = "SELECT name, permissions FROM roles WHERE name = $1";
    if let Ok(role) = name.parse::<Role>() {
        return Ok(Some(role.into()));
    }
    Ok(sqlx::query_as(SQL)
        .bind(name)
        .fetch_optional(&mut *tx)
        .await?)
}

/// All roles: the built-in ones, and those made here by name.
pub async fn list(tx: &mut Tx) -> Result<Vec<NamedRole>, CatalogError> {
    const SQL: &str = "SELECT name, permissions FROM roles ORDER BY name";
    let own: Vec<NamedRole> = sqlx::query_as(SQL).fetch_all(&mut *tx).await?;
    Ok(Role::iter().map(NamedRole::from).chain(own).collect())
}

/// Makes a role; [`CatalogError::Duplicate`] if there is one of that name.
pub async fn create(
    tx: &mut Tx,
    name: &str,
    permissions: PermissionSet,
    at: Timestamp,
) -> Result<NamedRole, CatalogError> {
    const SQL: &str = "
        INSERT INTO roles (name, permissions, created_at) VALUES ($1, $2, $3)
        ON CONFLICT (name) DO NOTHING
        RETURNING name, permissions";
    let created = match name.parse::<Role>() {
        Ok(_) => None,
        Err(_) => {
            sqlx::query_as(SQL)
                .bind(name)
                .bind(stored_json(&permissions)?)
                .bind(at.0)
                .fetch_optional(&mut *tx)
                .await?
        }
    };
    created.ok_or_else(|| CatalogError::Duplicate {
        what: "a role",
        label: name.to_owned(),
    })
}

/// Lets a role that was made here give other permissions; `None` if there is none of that name.
pub async fn change(
    tx: &mut Tx,
    name: &str,
    permissions: PermissionSet,
) -> Result<Option<NamedRole>, CatalogError> {
    const SQL: &str = "
        UPDATE roles SET permissions = $2 WHERE name = $1 RETURNING name, permissions";
    let changed = sqlx::query_as(SQL)
        .bind(name)
        .bind(stored_json(&permissions)?);
    Ok(changed.fetch_optional(&mut *tx).await?)
}

/// How many grants give the role.
pub async fn uses(tx: &mut Tx, name: &str) -> Result<u64, CatalogError> {
    const SQL: &str = "SELECT count(*) AS n FROM grants WHERE role = $1";
    let row = sqlx::query(SQL).bind(name).fetch_one(&mut *tx).await?;
    Ok(super::size(&row, "n")?)
}

/// Removes a role that was made here and that no grant gives; false if there is none.
pub async fn delete(tx: &mut Tx, name: &str) -> Result<bool, CatalogError> {
    const SQL: &str = "
        DELETE FROM roles WHERE name = $1 AND NOT EXISTS (SELECT 1 FROM grants WHERE role = $1)";
    let deleted = sqlx::query(SQL).bind(name).execute(&mut *tx).await?;
    Ok(deleted.rows_affected() == 1)
}

/// A set of permissions; written as a list of their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Permission>", into = "Vec<Permission>")]
pub struct PermissionSet(u32);

impl From<Vec<Permission>> for PermissionSet {
    fn from(permissions: Vec<Permission>) -> Self {
        permissions.into_iter().collect()
    }
}

impl From<PermissionSet> for Vec<Permission> {
    fn from(set: PermissionSet) -> Self {
        set.iter().collect()
    }
}

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

    /// What is in both.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
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
