//! Deleted products whose time to be brought back is over. They go once the last of their repositories was collected.

use super::{BATCH, Rules};
use crate::Tx;
use crate::catalog::{CatalogError, DestinationId, ProductId, size, stored_json};

/// Product `p` was deleted long enough ago.
macro_rules! ripe {
    () => {
        "p.deleted_at IS NOT NULL AND p.deleted_at <= $5"
    };
}

const FIND: &str = concat!(
    "SELECT p.id FROM products p INDEXED BY products_deleted WHERE ",
    ripe!(),
    " AND NOT EXISTS (SELECT 1 FROM repositories r WHERE r.product_id = p.id) ORDER BY p.id LIMIT $7"
);

const WOULD: &str = concat!(
    "SELECT count(*) AS n FROM products p INDEXED BY products_deleted WHERE ",
    ripe!(),
    " AND NOT EXISTS (SELECT 1 FROM repositories r JOIN destinations d ON d.id = r.id
        WHERE r.product_id = p.id AND (",
    known_in_use!("d.id"),
    " OR NOT ",
    collected!(),
    "))"
);

/// Roles in organizations that were deleted long enough ago and have nothing left that could be brought back: nobody sees them, and they
/// would keep the roles from being deleted.
const ROLES: &str = "
    DELETE FROM grants WHERE organization_id IN (
        SELECT o.id FROM organizations o WHERE o.deleted_at IS NOT NULL AND o.deleted_at <= $1
          AND NOT EXISTS (SELECT 1 FROM products p JOIN repositories r ON r.product_id = p.id
              WHERE p.organization_id = o.id))";

/// Deletes some of them for good, with the roles that were given there; answers how many.
pub async fn collect(tx: &mut Tx, rules: &Rules) -> Result<u64, CatalogError> {
    const GRANTS: &str = "DELETE FROM grants WHERE product_id = $1";
    const USES: &str = "DELETE FROM product_uses WHERE product_id = $1";
    const PRODUCT: &str = "DELETE FROM products WHERE id = $1";
    let found: Vec<ProductId> = ruled!(rules, sqlx::query_scalar(FIND))
        .bind(None::<&str>)
        .bind(BATCH)
        .fetch_all(&mut *tx)
        .await?;
    let forgotten = sqlx::query(ROLES).bind(rules.deleted_before.0);
    forgotten.execute(&mut *tx).await?;
    for id in &found {
        for sql in [GRANTS, USES, PRODUCT] {
            sqlx::query(sql).bind(id).execute(&mut *tx).await?;
        }
    }
    Ok(found.len() as u64)
}

/// How many [`collect`] would delete once the repositories are collected that can be, given the destinations in use.
pub async fn would_collect(
    tx: &mut Tx,
    rules: &Rules,
    in_use: &[DestinationId],
) -> Result<u64, CatalogError> {
    let row = ruled!(rules, sqlx::query(WOULD))
        .bind(stored_json(&in_use)?)
        .fetch_one(&mut *tx)
        .await?;
    Ok(size(&row, "n")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::explain;

    #[tokio::test]
    async fn deleted_products_are_found_along_an_index() {
        for sql in [FIND, WOULD] {
            let told = explain(sql).await;
            let scanned: Vec<&str> = told
                .lines()
                .filter(|line| line.contains("SCAN"))
                .filter(|line| !line.contains("VIRTUAL TABLE") && !line.contains("CONSTANT ROW"))
                .collect();

            assert!(scanned.is_empty(), "{told}");
        }
    }
}
