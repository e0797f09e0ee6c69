//! Which repositories a list is about: what was asked for, as far as the caller may pull.

use storage::catalog::grants;
use storage::catalog::repositories::Filter;
use storage::catalog::roles::Permission;
use storage::catalog::{OrganizationId, ProductId, RepositoryId};

use crate::api::caller::Caller;

/// Repositories that fit every part given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) organization: Option<OrganizationId>,
    pub(super) product: Option<ProductId>,
    pub(super) repository: Option<RepositoryId>,
    pub(super) name: Option<String>,
}

impl Asked {
    pub(super) fn filter(&self) -> Filter<'_> {
        Filter {
            organization: self.organization,
            product: self.product,
            repository: self.repository,
            name: self.name.as_deref(),
        }
    }

    /// What fits both; none if nothing can.
    fn within(&self, scope: &grants::Scope) -> Option<Self> {
        let contradicts = contradict(self.organization, scope.organization)
            || contradict(self.product, scope.product)
            || contradict(self.repository, scope.repository);
        (!contradicts).then(|| Self {
            organization: self.organization.or(scope.organization),
            product: self.product.or(scope.product),
            repository: self.repository.or(scope.repository),
            name: self.name.clone(),
        })
    }
}

fn contradict<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

/// What of it the caller may pull; no repository fits two of these, so that counts can be added up.
///
/// Grants always name the organization of their product and the product of their repository; of two of them either one
/// covers the other, or nothing is in both.
pub(super) fn pullable(caller: &Caller, asked: &[Asked]) -> Vec<Asked> {
    let pulling = caller
        .grants
        .iter()
        .filter(|grant| grant.role.permissions().contains(Permission::Pull));
    let mut scopes: Vec<grants::Scope> = Vec::new();
    for scope in pulling.map(|grant| grant.scope) {
        if !scopes.iter().any(|known| covers(known, &scope)) {
            scopes.retain(|known| !covers(&scope, known));
            scopes.push(scope);
        }
    }
    asked
        .iter()
        .flat_map(|asked| scopes.iter().filter_map(|scope| asked.within(scope)))
        .collect()
}

fn covers(outer: &grants::Scope, inner: &grants::Scope) -> bool {
    (outer.organization.is_none() || outer.organization == inner.organization)
        && (outer.product.is_none() || outer.product == inner.product)
        && (outer.repository.is_none() || outer.repository == inner.repository)
}

#[cfg(test)]
mod tests {
    use engine::clock::Timestamp;
    use storage::catalog::grants::{Grant, Scope};
    use storage::catalog::roles::Role;
    use storage::catalog::users::User;
    use storage::catalog::{GrantId, UserId};

    use super::*;

    const ACME: Option<OrganizationId> = Some(OrganizationId(1));
    const TOOLS: Option<ProductId> = Some(ProductId(3));

    fn caller(roles: &[(Role, Scope)]) -> Caller {
        let user = User {
            id: UserId(1),
            login: "ana".to_owned(),
            name: "Ana".to_owned(),
            email: None,
            enabled: true,
            created_at: Timestamp(0),
        };
        let grant = |&(role, scope): &(Role, Scope)| Grant {
            id: GrantId(1),
            user: user.id,
            role,
            scope,
            created_at: Timestamp(0),
        };
        Caller {
            grants: roles.iter().map(grant).collect(),
            user,
            by_token: false,
        }
    }

    #[test]
    fn a_reader_of_one_product_sees_that_product_only() {
        let scope = Scope {
            organization: ACME,
            product: TOOLS,
            repository: None,
        };
        let ana = caller(&[(Role::Reader, scope)]);

        let everything = pullable(&ana, &[Asked::default()]);
        let elsewhere = pullable(
            &ana,
            &[Asked {
                organization: Some(OrganizationId(2)),
                ..Asked::default()
            }],
        );

        assert_eq!(
            everything,
            [Asked {
                organization: ACME,
                product: TOOLS,
                ..Asked::default()
            }]
        );
        assert_eq!(elsewhere, []);
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
        let ana = caller(&[
            (Role::Reader, product),
            (Role::Pusher, organization),
            (Role::Reader, product),
        ]);

        let seen = pullable(&ana, &[Asked::default()]);

        assert_eq!(
            seen,
            [Asked {
                organization: ACME,
                ..Asked::default()
            }]
        );
    }

    #[test]
    fn an_operator_who_may_not_pull_sees_none() {
        let ana = caller(&[(Role::Operator, Scope::default())]);

        assert_eq!(pullable(&ana, &[Asked::default()]), []);
    }
}
