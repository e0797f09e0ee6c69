//! Products: what repositories are grouped by inside an organization.

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use engine::journal::PlanId;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::{
    CatalogError, Ensured, OrganizationId, ProductId, json, json_option, stored_json, time,
};
use crate::retention::Retention;
use crate::{Label, TagGlob, Tx};

/// The label of the product that pushes go to which name none; in lower case.
pub(super) const CONTAINER_PUSH: &str = "container_push";

/// A product of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its number, used in names by number.
    pub id: ProductId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its label: unique in the organization without case, among environments too; never changed.
    pub label: String,
    /// What people call it.
    pub name: String,
    /// The plan that made it on a push; none: a person made it.
    pub created_by_plan: Option<PlanId>,
    /// True: its repositories are pulled from without a login.
    pub anonymous_pull: bool,
    /// Which tags of its repositories cannot be moved once they are pushed.
    pub immutable_tags: Vec<TagGlob>,
    /// What of its repositories stays; none: everything.
    pub retention: Option<Retention>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A product to be made.
#[derive(Clone, Debug)]
pub struct NewProduct {
    /// Its label.
    pub label: Label,
    /// What people call it.
    pub name: String,
}

impl FromRow<'_, SqliteRow> for Product {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let created_by_plan: Option<Uuid> = row.try_get("created_by_plan")?;
        Ok(Self {
            id: row.try_get("id")?,
            organization: row.try_get("organization_id")?,
            label: row.try_get("label")?,
            name: row.try_get("name")?,
            created_by_plan: created_by_plan.map(PlanId),
            anonymous_pull: row.try_get::<i64, _>("anonymous_pull")? == 1,
            immutable_tags: json(row, "immutable_tags")?,
            retention: json_option(row, "retention")?,
            created_at: time(row, "created_at")?,
        })
    }
}

/// Makes a product.
///
/// [`CatalogError::Duplicate`] if another product has the label, [`CatalogError::Taken`] if an environment has it.
pub async fn create(
    tx: &mut Tx,
    organization: OrganizationId,
    new: &NewProduct,
    at: Timestamp,
) -> Result<Product, CatalogError> {
    if let Some(created) = insert(tx, organization, new, None, at).await? {
        return Ok(created);
    }
    let label = new.label.to_string();
    Err(match find(tx, organization, &label).await? {
        Some(_) => CatalogError::Duplicate {
            what: "a product",
            label,
        },
        None => taken(label),
    })
}

/// Finds the product with this label, or makes it in the name of `plan`.
///
/// Two plans that ask at once both get it, and one of them made it.
pub async fn ensure(
    tx: &mut Tx,
    organization: OrganizationId,
    label: &Label,
    name: &str,
    plan: PlanId,
    at: Timestamp,
) -> Result<Ensured<Product>, CatalogError> {
    let new = NewProduct {
        label: label.clone(),
        name: name.to_owned(),
    };
    let found = match insert(tx, organization, &new, Some(plan), at).await? {
        Some(created) => created,
        None => find(tx, organization, label.as_str())
            .await?
            .ok_or_else(|| taken(label.to_string()))?,
    };
    Ok(Ensured {
        created_here: found.created_by_plan == Some(plan),
        found,
    })
}

async fn insert(
    tx: &mut Tx,
    organization: OrganizationId,
    new: &NewProduct,
    plan: Option<PlanId>,
    at: Timestamp,
) -> Result<Option<Product>, CatalogError> {
    const SQL: &str = "
        INSERT INTO products (organization_id, label, label_key, name, created_by_plan, created_at)
        SELECT $1, $2, $3, $4, $5, $6
        WHERE NOT EXISTS (SELECT 1 FROM environments WHERE organization_id = $1 AND label_key = $3)
        ON CONFLICT (organization_id, label_key) DO NOTHING
        RETURNING id, organization_id, label, name, created_by_plan, anonymous_pull, immutable_tags, retention, created_at";
    let inserted = sqlx::query_as(SQL)
        .bind(organization)
        .bind(new.label.as_str())
        .bind(new.label.key())
        .bind(&new.name)
        .bind(plan.map(|plan| plan.0))
        .bind(at.0);
    Ok(inserted.fetch_optional(&mut *tx).await?)
}

fn taken(label: String) -> CatalogError {
    CatalogError::Taken {
        what: "an environment",
        label,
    }
}

/// Writes down that `plan` relies on the product, so that nobody's undo removes it meanwhile.
pub async fn note_use(tx: &mut Tx, product: ProductId, plan: PlanId) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO product_uses (product_id, plan_id) VALUES ($1, $2)
        ON CONFLICT (product_id, plan_id) DO NOTHING";
    sqlx::query(SQL)
        .bind(product)
        .bind(plan.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Takes back what `plan` did to the product: its use, and the product itself if it made that and nobody else uses it. True:
/// the product is gone.
///
/// Another plan uses it that has noted so, and so does whoever has made a repository in it, has rights to it or has changed it.
/// Where another plan uses it, that stands for its maker from now on: the last one to be undone removes it.
pub async fn forget(tx: &mut Tx, product: ProductId, plan: PlanId) -> Result<bool, CatalogError> {
    const USE: &str = "DELETE FROM product_uses WHERE product_id = $1 AND plan_id = $2";
    const SQL: &str = "
        DELETE FROM products WHERE id = $1 AND created_by_plan = $2
            AND NOT EXISTS (SELECT 1 FROM product_uses WHERE product_id = $1)
            AND NOT EXISTS (SELECT 1 FROM repositories WHERE product_id = $1)
            AND NOT EXISTS (SELECT 1 FROM grants WHERE product_id = $1)";
    const HEIR: &str = "
        UPDATE products
        SET created_by_plan = (SELECT min(plan_id) FROM product_uses WHERE product_id = $1)
        WHERE id = $1 AND created_by_plan = $2";
    let forgotten = sqlx::query(USE).bind(product).bind(plan.0);
    forgotten.execute(&mut *tx).await?;
    let removed = sqlx::query(SQL).bind(product).bind(plan.0);
    if removed.execute(&mut *tx).await?.rows_affected() > 0 {
        return Ok(true);
    }
    let inherited = sqlx::query(HEIR).bind(product).bind(plan.0);
    inherited.execute(&mut *tx).await?;
    Ok(false)
}

/// The product of the organization with this label, in whatever case.
pub async fn find(
    tx: &mut Tx,
    organization: OrganizationId,
    label: &str,
) -> Result<Option<Product>, CatalogError> {
    const SQL: &str = "
        SELECT id, organization_id, label, name, created_by_plan, anonymous_pull, immutable_tags, retention, created_at
        FROM products WHERE organization_id = $1 AND label_key = $2 AND deleted_at IS NULL";
    let found = sqlx::query_as(SQL)
        .bind(organization)
        .bind(label.to_ascii_lowercase());
    Ok(found.fetch_optional(&mut *tx).await?)
}

/// The product with this number.
pub async fn get(tx: &mut Tx, id: ProductId) -> Result<Option<Product>, CatalogError> {
    const SQL: &str = "
        SELECT id, organization_id, label, name, created_by_plan, anonymous_pull, immutable_tags, retention, created_at
        FROM products WHERE id = $1 AND deleted_at IS NULL";
    Ok(sqlx::query_as(SQL)
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?)
}

/// Up to `limit` products of the organization by number, from the one that follows `after`.
pub async fn list(
    tx: &mut Tx,
    organization: OrganizationId,
    after: Option<ProductId>,
    limit: u32,
) -> Result<Vec<Product>, CatalogError> {
    const SQL: &str = "
        SELECT id, organization_id, label, name, created_by_plan, anonymous_pull, immutable_tags, retention, created_at
        FROM products WHERE organization_id = $1 AND id > $2 AND deleted_at IS NULL ORDER BY id LIMIT $3";
    let page = sqlx::query_as(SQL)
        .bind(organization)
        .bind(after.map_or(0, |after| after.0))
        .bind(i64::from(limit));
    Ok(page.fetch_all(&mut *tx).await?)
}

const OPEN: &str = "
    SELECT id, organization_id, label, name, created_by_plan, anonymous_pull, immutable_tags, retention, created_at
    FROM products WHERE anonymous_pull = 1 AND deleted_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM organizations o WHERE o.id = organization_id AND o.deleted_at IS NOT NULL)
    ORDER BY id";

/// The products that are pulled from without a login, unless the setting closes them.
pub async fn open(tx: &mut Tx) -> Result<Vec<Product>, CatalogError> {
    Ok(sqlx::query_as(OPEN).fetch_all(&mut *tx).await?)
}

const RETAINING: &str = "
    SELECT id, organization_id, label, name, created_by_plan, anonymous_pull, immutable_tags, retention, created_at
    FROM products WHERE retention IS NOT NULL AND deleted_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM organizations o WHERE o.id = organization_id AND o.deleted_at IS NOT NULL)
    ORDER BY id";

/// The products that say what of their repositories stays.
pub async fn retaining(tx: &mut Tx) -> Result<Vec<Product>, CatalogError> {
    Ok(sqlx::query_as(RETAINING).fetch_all(&mut *tx).await?)
}

/// How many products the organization has.
pub async fn count(tx: &mut Tx, organization: OrganizationId) -> Result<u64, CatalogError> {
    const SQL: &str = "
        SELECT count(*) AS n FROM products WHERE organization_id = $1 AND deleted_at IS NULL";
    let row = sqlx::query(SQL)
        .bind(organization)
        .fetch_one(&mut *tx)
        .await?;
    Ok(super::size(&row, "n")?)
}

/// Deletes the product, which nobody finds any more, and whose label another one can have. False: it was deleted already.
pub async fn bury(tx: &mut Tx, id: ProductId, at: Timestamp) -> Result<bool, CatalogError> {
    const SQL: &str = "
        UPDATE products SET deleted_at = $2, label_key = label_key || '@' || id
        WHERE id = $1 AND deleted_at IS NULL";
    let buried = sqlx::query(SQL).bind(id).bind(at.0).execute(&mut *tx);
    Ok(buried.await?.rows_affected() > 0)
}

/// Takes back [`bury`], where nobody has the label meanwhile, as the caller has seen. False: it is gone for good.
pub async fn unbury(tx: &mut Tx, id: ProductId) -> Result<bool, CatalogError> {
    const SQL: &str = "
        UPDATE products SET deleted_at = NULL, label_key = lower(label)
        WHERE id = $1 AND deleted_at IS NOT NULL";
    let back = sqlx::query(SQL).bind(id).execute(&mut *tx).await?;
    Ok(back.rows_affected() > 0)
}

/// What to change of a product; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct ProductChanges {
    /// What people call it.
    pub name: Option<String>,
    /// Whether its repositories are pulled from without a login.
    pub anonymous_pull: Option<bool>,
    /// Which tags of its repositories cannot be moved once they are pushed.
    pub immutable_tags: Option<Vec<TagGlob>>,
    /// What of its repositories stays; none inside: everything.
    pub retention: Option<Option<Retention>>,
}

/// Changes what is asked for; `None` if there is no such product. It is a person's from now on, whoever had made it: no revert
/// removes it.
pub async fn update(
    tx: &mut Tx,
    id: ProductId,
    changes: &ProductChanges,
) -> Result<Option<Product>, CatalogError> {
    const SQL: &str = "
        UPDATE products SET name = coalesce($2, name), anonymous_pull = coalesce($3, anonymous_pull),
            immutable_tags = coalesce($4, immutable_tags),
            retention = CASE $5 WHEN 1 THEN $6 ELSE retention END, created_by_plan = NULL
        WHERE id = $1 AND deleted_at IS NULL
        RETURNING id, organization_id, label, name, created_by_plan, anonymous_pull, immutable_tags, retention, created_at";
    let immutable_tags = changes.immutable_tags.as_ref().map(stored_json);
    let retention = changes.retention.as_ref().and_then(Option::as_ref);
    let retention = retention.map(stored_json).transpose()?;
    let updated = sqlx::query_as(SQL)
        .bind(id)
        .bind(&changes.name)
        .bind(changes.anonymous_pull.map(i64::from))
        .bind(immutable_tags.transpose()?)
        .bind(i64::from(changes.retention.is_some()))
        .bind(retention);
    Ok(updated.fetch_optional(&mut *tx).await?)
}
