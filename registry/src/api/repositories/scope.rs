//! Which repositories a list is about: those that the caller may pull.

use storage::Tx;
use storage::catalog::grants::Scope;
use storage::catalog::roles::Permission;
use storage::catalog::{CatalogError, products, settings};

use crate::api::caller::Caller;

/// Where the caller may pull: by their roles, and what everybody may pull.
pub(super) async fn visible(tx: &mut Tx, caller: &Caller) -> Result<Vec<Scope>, CatalogError> {
    let mut scopes = pullable(caller);
    if settings::anonymous_pull(tx).await? {
        for product in products::open(tx).await? {
            let open = Scope {
                organization: Some(product.organization),
                product: Some(product.id),
                repository: None,
            };
            add(&mut scopes, open);
        }
    }
    Ok(scopes)
}

/// Adds it, unless it lies within another; none of them lies within another afterwards.
fn add(scopes: &mut Vec<Scope>, scope: Scope) {
    if !scopes.iter().any(|known| covers(known, &scope)) {
        scopes.retain(|known| !covers(&scope, known));
        scopes.push(scope);
    }
}

/// Where the caller may pull by their roles; none of these lies within another.
fn pullable(caller: &Caller) -> Vec<Scope> {
    let pulling = caller
        .grants
        .iter()
        .filter(|grant| caller.gets(grant).contains(Permission::Pull));
    let mut scopes: Vec<Scope> = Vec::new();
    for scope in pulling.map(|grant| grant.scope) {
        add(&mut scopes, scope);
    }
    scopes
}

/// What of it lies within a product.
///
/// Grants always name the organization of their product and the product of their repository, so that each either covers
/// the product, or lies in it, or has nothing of it.
pub(super) fn within(scopes: &[Scope], product: &Scope) -> Vec<Scope> {
    if scopes.iter().any(|scope| covers(scope, product)) {
        return vec![*product];
    }
    scopes
        .iter()
        .filter(|scope| covers(product, scope))
        .copied()
        .collect()
}

fn covers(outer: &Scope, inner: &Scope) -> bool {
    (outer.organization.is_none() || outer.organization == inner.organization)
        && (outer.product.is_none() || outer.product == inner.product)
        && (outer.repository.is_none() || outer.repository == inner.repository)
}

#[cfg(test)]
mod tests {
    use storage::catalog::roles::Role;
    use storage::catalog::{OrganizationId, ProductId, RepositoryId};

    use super::*;

    const ACME: Option<OrganizationId> = Some(OrganizationId(1));
    const TOOLS: Option<ProductId> = Some(ProductId(3));

    #[test]
    fn a_reader_of_one_product_sees_that_product_only() {
        let scope = Scope {
            organization: ACME,
            product: TOOLS,
            repository: None,
        };
        let other = Scope {
            product: Some(ProductId(4)),
            ..scope
        };
        let ana = Caller::with_roles(&[(Role::Reader, scope)]);

        let everywhere = pullable(&ana);

        assert_eq!(everywhere, [scope]);
        assert_eq!(within(&everywhere, &scope), [scope]);
        assert_eq!(within(&everywhere, &other), []);
    }

    #[test]
    fn a_product_is_listed_as_far_as_it_may_be_pulled() {
        let product = Scope {
            organization: ACME,
            product: TOOLS,
            repository: None,
        };
        let repository = Scope {
            repository: Some(RepositoryId(5)),
            ..product
        };

        assert_eq!(within(&[Scope::default()], &product), [product]);
        assert_eq!(within(&[repository], &product), [repository]);
    }

    #[test]
    fn a_grant_inside_another_adds_nothing() {
        let product = Scope {
            organization: ACME,
            product: TOOLS,
            repository: None,
        };
        let organization = Scope {
            organization: ACME,
            ..Scope::default()
        };
        let ana = Caller::with_roles(&[
            (Role::Reader, product),
            (Role::Pusher, organization),
            (Role::Reader, product),
        ]);

        assert_eq!(pullable(&ana), [organization]);
    }

    #[test]
    fn an_operator_who_may_not_pull_sees_none() {
        let ana = Caller::with_roles(&[(Role::Operator, Scope::default())]);

        assert_eq!(pullable(&ana), []);
    }
}
