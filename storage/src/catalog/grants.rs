//! Grants: who has which role where.

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use sqlx::{FromRow, Row as _};

use super::roles::{NamedRole, PermissionSet};
use super::{
    CatalogError, GrantId, OrganizationId, ProductId, RepositoryId, UserId, json_option, time,
};
use crate::Tx;

/// A role given to a user or a robot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its number.
    pub id: GrantId,
    /// Who has it.
    pub user: UserId,
    /// What he has.
    pub role: NamedRole,
    /// Where he has it.
    pub scope: Scope,
    /// Since when.
    pub created_at: Timestamp,
}

/// Where a grant counts: in all that fits every part given. Nothing given: everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// In this organization, its products and repositories.
    pub organization: Option<OrganizationId>,
    /// In this product and its repositories.
    pub product: Option<ProductId>,
    /// In this repository.
    pub repository: Option<RepositoryId>,
}

/// Where a permission is asked for: an organization, maybe a product of it, maybe a repository of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The organization.
    pub organization: OrganizationId,
    /// The product, if it exists.
    pub product: Option<ProductId>,
    /// The repository, if it exists.
    pub repository: Option<RepositoryId>,
}

/// Which grants to list: all that fit every condition given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Only of this user.
    pub user: Option<UserId>,
    /// Only those that name this organization.
    pub organization: Option<OrganizationId>,
}

impl Scope {
    /// True if what is granted here counts at that place.
    #[must_use]
    pub fn covers(&self, place: &Place) -> bool {
        self.organization
            .is_none_or(|organization| organization == place.organization)
            && self
                .product
                .is_none_or(|product| Some(product) == place.product)
            && self
                .repository
                .is_none_or(|repository| Some(repository) == place.repository)
    }

    /// True if what is granted here counts everywhere.
    #[must_use]
    pub fn is_everywhere(&self) -> bool {
        *self == Self::default()
    }
}

/// What these grants give at that place.
#[must_use]
pub fn permissions(grants: &[Grant], place: &Place) -> PermissionSet {
    grants
        .iter()
        .filter(|grant| grant.scope.covers(place))
        .fold(PermissionSet::default(), |set, grant| {
            set.union(grant.role.permissions())
        })
}

/// What these grants give everywhere.
#[must_use]
pub fn permissions_everywhere(grants: &[Grant]) -> PermissionSet {
    grants
        .iter()
        .filter(|grant| grant.scope.is_everywhere())
        .fold(PermissionSet::default(), |set, grant| {
            set.union(grant.role.permissions())
        })
}

impl FromRow<'_, SqliteRow> for Grant {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            user: row.try_get("user_id")?,
            role: NamedRole::granted(row.try_get("role")?, json_option(row, "permissions")?),
            scope: Scope {
                organization: row.try_get("organization_id")?,
                product: row.try_get("product_id")?,
                repository: row.try_get("repository_id")?,
            },
            created_at: time(row, "created_at")?,
        })
    }
}

/// Gives a role.
pub async fn create(
    tx: &mut Tx,
    user: UserId,
    role: impl Into<NamedRole>,
    scope: Scope,
    at: Timestamp,
) -> Result<Grant, CatalogError> {
    const SQL: &str = "
        INSERT INTO grants (user_id, role, organization_id, product_id, repository_id, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        RETURNING id";
    let role = role.into();
    let id = sqlx::query_scalar(SQL)
        .bind(user)
        .bind(role.name())
        .bind(scope.organization)
        .bind(scope.product)
        .bind(scope.repository)
        .bind(at.0)
        .fetch_one(&mut *tx)
        .await?;
    Ok(Grant {
        id,
        user,
        role,
        scope,
        created_at: at,
    })
}

/// Grant `g` counts somewhere: what it names was not deleted. It counts again once that is brought back.
macro_rules! counts {
    () => {
        "NOT EXISTS (SELECT 1 FROM organizations o WHERE o.id = g.organization_id AND o.deleted_at IS NOT NULL)
         AND NOT EXISTS (SELECT 1 FROM products p WHERE p.id = g.product_id AND p.deleted_at IS NOT NULL)"
    };
}

/// The grant with this number, unless what it names was deleted.
pub async fn get(tx: &mut Tx, id: GrantId) -> Result<Option<Grant>, CatalogError> {
    const SQL: &str = concat!(
        "SELECT g.id, user_id, role, organization_id, product_id, repository_id, g.created_at, permissions
         FROM grants g LEFT JOIN roles r ON r.name = g.role WHERE g.id = $1 AND ",
        counts!()
    );
    Ok(sqlx::query_as(SQL)
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?)
}

/// Up to `limit` grants by number, from the one that follows `after`, but for those of what was deleted.
pub async fn list(
    tx: &mut Tx,
    filter: Filter,
    after: Option<GrantId>,
    limit: u32,
) -> Result<Vec<Grant>, CatalogError> {
    const SQL: &str = concat!(
        "SELECT g.id, user_id, role, organization_id, product_id, repository_id, g.created_at, permissions
         FROM grants g LEFT JOIN roles r ON r.name = g.role
         WHERE ($1 IS NULL OR user_id = $1) AND ($2 IS NULL OR organization_id = $2) AND g.id > $3 AND ",
        counts!(),
        " ORDER BY g.id LIMIT $4"
    );
    let page = sqlx::query_as(SQL)
        .bind(filter.user)
        .bind(filter.organization)
        .bind(after.map_or(0, |after| after.0))
        .bind(i64::from(limit));
    Ok(page.fetch_all(&mut *tx).await?)
}

/// How many grants fit the filter.
pub async fn count(tx: &mut Tx, filter: Filter) -> Result<u64, CatalogError> {
    const SQL: &str = concat!(
        "SELECT count(*) AS n FROM grants g
         WHERE ($1 IS NULL OR user_id = $1) AND ($2 IS NULL OR organization_id = $2) AND ",
        counts!()
    );
    let row = sqlx::query(SQL)
        .bind(filter.user)
        .bind(filter.organization)
        .fetch_one(&mut *tx)
        .await?;
    Ok(super::size(&row, "n")?)
}

/// Takes a role back; false if there was no such grant.
pub async fn delete(tx: &mut Tx, id: GrantId) -> Result<bool, CatalogError> {
    const SQL: &str = "DELETE FROM grants WHERE id = $1";
    let deleted = sqlx::query(SQL).bind(id).execute(&mut *tx).await?;
    Ok(deleted.rows_affected() == 1)
}

/// Takes all roles of a user back.
pub async fn delete_all(tx: &mut Tx, user: UserId) -> Result<(), CatalogError> {
    const SQL: &str = "DELETE FROM grants WHERE user_id = $1";
    sqlx::query(SQL).bind(user).execute(&mut *tx).await?;
    Ok(())
}

/// All grants of a user.
pub async fn of(tx: &mut Tx, user: UserId) -> Result<Vec<Grant>, CatalogError> {
    const SQL: &str = "
        SELECT g.id, user_id, role, organization_id, product_id, repository_id, g.created_at, permissions
        FROM grants g LEFT JOIN roles r ON r.name = g.role WHERE user_id = $1 ORDER BY g.id";
    Ok(sqlx::query_as(SQL).bind(user).fetch_all(&mut *tx).await?)
}

/// What a user may do at that place.
pub async fn permissions_at(
    tx: &mut Tx,
    user: UserId,
    place: &Place,
) -> Result<PermissionSet, CatalogError> {
    Ok(permissions(&of(tx, user).await?, place))
}
