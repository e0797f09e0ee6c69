//! Who calls REST, and what they may do: everyone here has logged in.

use std::fmt::Display;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use storage::catalog::OrganizationId;
use storage::catalog::grants::{self, Grant, Place};
use storage::catalog::roles::{Permission, PermissionSet};
use storage::catalog::users::User;

use super::problem::{Kind, Problem};
use crate::app::App;
use crate::auth::challenge::Challenge;
use crate::auth::scope::Scope;
use crate::auth::{self, AuthError, Via};

/// A user, with the roles they have been given.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) user: User,
    pub(super) grants: Vec<Grant>,
    /// They showed a token, which gives neither `manage_access` nor `admin`: tokens lie about on disks of clients.
    pub(super) by_token: bool,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let challenge = Challenge::new(&app.config, &parts.headers);
        let subject = match auth::authenticate(app, &parts.headers).await {
            Ok(subject) => subject,
            Err(AuthError::Catalog(error)) => return Err(error.into()),
            Err(AuthError::Password(error)) => return Err(Problem::internal(&error)),
            Err(error) => {
                let problem = Problem::new(Kind::NotAuthenticated, error.to_string());
                return Err(problem.with_challenge(challenge.invalid_token().header()));
            }
        };
        let by_token = match subject.via {
            Via::Anonymous | Via::Basic => false,
            Via::Bearer(Scope::Login) => true,
            Via::Bearer(Scope::Only(_)) => {
                let text = "this token is good for repositories only; get one without a scope";
                return Err(Problem::new(Kind::NotAllowed, text));
            }
        };
        let Some(user) = subject.user else {
            let problem = Problem::new(
                Kind::NotAuthenticated,
                "this needs a login and a password, or a token",
            );
            return Err(problem.with_challenge(challenge.header()));
        };
        let mut tx = app.services.database.read().await?;
        let grants = grants::of(&mut tx, user.id).await?;
        Ok(Self {
            user,
            grants,
            by_token,
        })
    }
}

impl Caller {
    /// What they may do at that place.
    pub(super) fn permissions(&self, place: &Place) -> PermissionSet {
        self.narrowed(grants::permissions(&self.grants, place))
    }

    /// True if they may do it at that place.
    pub(super) fn may(&self, permission: Permission, place: &Place) -> bool {
        self.permissions(place).contains(permission)
    }

    /// True if they may do it everywhere.
    pub(super) fn may_everywhere(&self, permission: Permission) -> bool {
        self.narrowed(grants::permissions_everywhere(&self.grants))
            .contains(permission)
    }

    /// Refused unless they may do it at that place, which they can see. `named` continues "you lack … ".
    pub(super) fn must(
        &self,
        permission: Permission,
        place: &Place,
        named: impl Display,
    ) -> Result<(), Problem> {
        if self.may(permission, place) {
            Ok(())
        } else {
            Err(self.lacks(permission, named))
        }
    }

    /// Refused unless they may do it everywhere.
    pub(super) fn must_everywhere(&self, permission: Permission) -> Result<(), Problem> {
        if self.may_everywhere(permission) {
            Ok(())
        } else {
            Err(self.lacks(permission, "everywhere"))
        }
    }

    /// True if they were given any role in this organization, or everywhere.
    pub(super) fn sees_organization(&self, organization: OrganizationId) -> bool {
        self.grants.iter().any(|grant| {
            grant
                .scope
                .organization
                .is_none_or(|granted| granted == organization)
        })
    }

    /// True if they were given any role everywhere.
    pub(super) fn sees_every_organization(&self) -> bool {
        self.grants.iter().any(|grant| grant.scope.is_everywhere())
    }

    fn narrowed(&self, set: PermissionSet) -> PermissionSet {
        if self.by_token {
            set.without(not_by_token())
        } else {
            set
        }
    }

    fn lacks(&self, permission: Permission, named: impl Display) -> Problem {
        if self.by_token && not_by_token().contains(permission) {
            let text = format!("`{permission}` is not given by a token; log in with your password");
            return Problem::new(Kind::NotAllowed, text);
        }
        Problem::not_allowed(permission, named)
    }
}

fn not_by_token() -> PermissionSet {
    [Permission::ManageAccess, Permission::Admin]
        .into_iter()
        .collect()
}

/// An organization as a place, without a product.
pub(super) fn in_organization(organization: OrganizationId) -> Place {
    Place {
        organization,
        product: None,
        repository: None,
    }
}

#[cfg(test)]
mod tests {
    use engine::clock::Timestamp;
    use storage::catalog::roles::Role;
    use storage::catalog::{GrantId, UserId};

    use super::*;

    const ACME: OrganizationId = OrganizationId(1);
    const OTHER: OrganizationId = OrganizationId(2);

    fn caller(role: Role, organization: Option<OrganizationId>, by_token: bool) -> Caller {
        let user = User {
            id: UserId(1),
            login: "ana".to_owned(),
            name: "Ana".to_owned(),
            email: None,
            enabled: true,
            created_at: Timestamp(0),
        };
        let grant = Grant {
            id: GrantId(1),
            user: user.id,
            role,
            scope: grants::Scope {
                organization,
                ..grants::Scope::default()
            },
            created_at: Timestamp(0),
        };
        Caller {
            user,
            grants: vec![grant],
            by_token,
        }
    }

    #[test]
    fn a_role_in_one_organization_gives_nothing_in_another() {
        let ana = caller(Role::Admin, Some(ACME), false);

        assert!(ana.may(Permission::ManageProducts, &in_organization(ACME)));
        assert!(!ana.may(Permission::ManageProducts, &in_organization(OTHER)));
        assert!(!ana.may_everywhere(Permission::ManageProducts));
        assert!(ana.sees_organization(ACME));
        assert!(!ana.sees_organization(OTHER));
        assert!(!ana.sees_every_organization());
    }

    #[test]
    fn a_token_gives_neither_manage_access_nor_admin() {
        let ana = caller(Role::Admin, None, true);

        assert!(!ana.may_everywhere(Permission::Admin));
        assert!(!ana.may_everywhere(Permission::ManageAccess));
        assert!(ana.may_everywhere(Permission::ManageProducts));
    }
}
