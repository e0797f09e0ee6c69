//! Who calls REST, and what they may do: everyone here has logged in.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use engine::clock::Timestamp;
use http::request::Parts;
use storage::Tx;
use storage::catalog::audit::{Action, NewEntry, Outcome};
use storage::catalog::grants::{self, Grant, Place};
use storage::catalog::roles::{Permission, PermissionSet};
use storage::catalog::users::{self, User};
use storage::catalog::{OrganizationId, TokenId, tokens};

use super::problem::{Kind, Problem};
use super::refusals::Asker;
use super::rights::Right;
use crate::app::App;
use crate::auth::challenge::Challenge;
use crate::auth::passwords::PasswordError;
use crate::auth::scope::Scope;
use crate::auth::{self, AuthError, Expired, Via};

/// A user, with the roles they have been given.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) user: User,
    pub(super) grants: Vec<Grant>,
    /// How far what they showed reaches.
    pub(super) shown: Shown,
    /// The personal token that they showed, or got what they showed with.
    pub(super) token: Option<TokenId>,
    /// What the route that they call needs.
    pub(super) right: Right,
    /// Where they call from.
    pub(super) from: Option<IpAddr>,
}

/// What a caller showed to say who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Their password.
    Password,
    /// A personal token, which gives no more than this, if it was so made.
    PersonalToken(Option<PermissionSet>),
    /// A token of `/v2/token`, got with such a personal token if with one; it gives neither `manage_access` nor `admin`:
    /// such tokens lie about on disks of clients.
    ClientsToken(Option<PermissionSet>),
}

impl Shown {
    /// What is left of these permissions for who shows this.
    fn narrows(self, set: PermissionSet) -> PermissionSet {
        let (set, scope) = match self {
            Self::Password => (set, None),
            Self::PersonalToken(scope) => (set, scope),
            Self::ClientsToken(scope) => (set.without(not_by_clients_token()), scope),
        };
        scope.map_or(set, |scope| set.intersection(scope))
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let challenge = Challenge::new(&app.config, parts);
        let subject = match auth::authenticate(app, parts, Expired::Refused).await {
            Ok(subject) => subject,
            Err(AuthError::Catalog(error)) => return Err(error.into()),
            Err(AuthError::Password(
                error @ (PasswordError::TooLong | PasswordError::Failed(_)),
            )) => return Err(Problem::internal(&error)),
            Err(
                error @ (AuthError::WrongPassword
                | AuthError::Unreadable
                | AuthError::Password(PasswordError::NotYet(_))),
            ) => {
                let problem = Problem::new(Kind::NotAuthenticated, error.to_string());
                return Err(problem.with_challenge(challenge.header()));
            }
            Err(
                error @ (AuthError::Token(_)
                | AuthError::UserGone
                | AuthError::TokenGone
                | AuthError::PasswordChanged),
            ) => {
                let problem = Problem::new(Kind::NotAuthenticated, error.to_string());
                return Err(problem.with_challenge(challenge.invalid_token().header()));
            }
        };
        let Some(user) = subject.user else {
            let problem = Problem::new(
                Kind::NotAuthenticated,
                "this needs a login and a password, or a token",
            );
            return Err(problem.with_challenge(challenge.header()));
        };
        if let Some(asker) = parts.extensions.get::<Asker>() {
            asker.is(&user.login);
        }
        let token = subject.personal_token.as_ref().map(|token| token.id);
        let scope = subject.personal_token.and_then(|token| token.scope);
        let shown = match subject.via {
            Via::Anonymous | Via::Password => Shown::Password,
            Via::PersonalToken => Shown::PersonalToken(scope),
            Via::Bearer {
                scope: Scope::Login,
                ..
            } => Shown::ClientsToken(scope),
            Via::Bearer {
                scope: Scope::Only(_),
                ..
            } => {
                let text = "this token is good for repositories only; get one without a scope";
                return Err(Problem::new(Kind::NotAllowed, text));
            }
        };
        let grants = {
            let mut tx = app.services.database.look_up().await?;
            grants::of(&mut tx, user.id).await?
        };
        // Whoever adds a route outside the table of rights has opened it to administrators only.
        let right = parts.extensions.get::<Right>().copied();
        let right = right.unwrap_or(Right::Everywhere(Permission::Admin));
        let mut caller = Self {
            user,
            grants,
            shown,
            token,
            right,
            from: auth::address(parts),
        };
        caller.leave_out_what_the_token_does_not_give();
        if let Right::Everywhere(permission) = caller.right {
            caller.must_everywhere(permission)?;
        }
        if let Right::Somewhere(permission) = caller.right {
            caller.must_somewhere(permission)?;
        }
        Ok(caller)
    }
}

impl Caller {
    /// A role counts for a token only as far as its scope has something of it.
    fn leave_out_what_the_token_does_not_give(&mut self) {
        if self.scope().is_some() {
            let shown = self.shown;
            self.grants
                .retain(|grant| !shown.narrows(grant.role.permissions()).is_empty());
        }
    }

    /// The same caller as they are now: none if they could not call any more with what they have shown.
    pub(super) async fn again(&self, tx: &mut Tx, now: Timestamp) -> Result<Option<Self>, Problem> {
        let found = users::get(tx, self.user.id).await?;
        let Some(user) = found.filter(|user| user.enabled) else {
            return Ok(None);
        };
        let shown_counts = match self.token {
            Some(id) => tokens::get(tx, id)
                .await?
                .is_some_and(|token| token.counts_at(now)),
            None => user.password_changes == self.user.password_changes,
        };
        if !shown_counts {
            return Ok(None);
        }
        let mut caller = Self {
            grants: grants::of(tx, user.id).await?,
            user,
            ..self.clone()
        };
        caller.leave_out_what_the_token_does_not_give();
        Ok(Some(caller))
    }

    /// What the personal token gives at most that was shown, if it was so made.
    fn scope(&self) -> Option<PermissionSet> {
        match self.shown {
            Shown::Password => None,
            Shown::PersonalToken(scope) | Shown::ClientsToken(scope) => scope,
        }
    }

    /// False for a token that gives nothing at all: it does not show what is its user's own.
    pub(super) fn sees_own(&self) -> bool {
        self.scope().is_none_or(|scope| !scope.is_empty())
    }

    /// What they may do at that place.
    pub(super) fn permissions(&self, place: &Place) -> PermissionSet {
        self.narrowed(grants::permissions(&self.grants, place))
    }

    /// What they may do everywhere.
    pub(super) fn permissions_everywhere(&self) -> PermissionSet {
        self.narrowed(grants::permissions_everywhere(&self.grants))
    }

    /// What this grant gives them, with what they have shown.
    pub(super) fn gets(&self, grant: &Grant) -> PermissionSet {
        self.narrowed(grant.role.permissions())
    }

    /// True if they may do it at that place.
    pub(super) fn may(&self, permission: Permission, place: &Place) -> bool {
        self.permissions(place).contains(permission)
    }

    /// True if they may do it everywhere.
    pub(super) fn may_everywhere(&self, permission: Permission) -> bool {
        self.permissions_everywhere().contains(permission)
    }

    /// True if they have the permission of this route at that place; none: everywhere.
    pub(super) fn may_here(&self, place: Option<&Place>) -> bool {
        match (self.right.permission(), place) {
            (None, _) => true,
            (Some(permission), Some(place)) => self.may(permission, place),
            (Some(permission), None) => self.may_everywhere(permission),
        }
    }

    /// Refused unless they have the permission of this route at that place, which they can see; none: everywhere.
    /// `named` continues "you lack … ".
    pub(super) fn must_here(
        &self,
        place: Option<&Place>,
        named: impl Display,
    ) -> Result<(), Problem> {
        match self.right.permission() {
            Some(permission) if !self.may_here(place) => Err(self.lacks(permission, named)),
            Some(_) | None => Ok(()),
        }
    }

    /// Refused unless they may do it at that place. `named` continues "you lack … ".
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
    fn must_everywhere(&self, permission: Permission) -> Result<(), Problem> {
        if self.may_everywhere(permission) {
            Ok(())
        } else {
            Err(self.lacks(permission, "everywhere"))
        }
    }

    /// Refused unless they may do it anywhere.
    fn must_somewhere(&self, permission: Permission) -> Result<(), Problem> {
        let mut grants = self.grants.iter();
        if grants.any(|grant| self.gets(grant).contains(permission)) {
            Ok(())
        } else {
            Err(self.lacks(permission, "anywhere"))
        }
    }

    /// Refused unless they have shown their password: what a token can do ends with the token.
    pub(super) fn must_have_shown_a_password(&self, to: &str) -> Result<(), Problem> {
        match self.shown {
            Shown::Password => Ok(()),
            Shown::PersonalToken(_) | Shown::ClientsToken(_) => {
                let text = format!("{to} takes your password, not a token; log in with it");
                Err(Problem::new(Kind::NotAllowed, text))
            }
        }
    }

    /// Refused to a token that stands for less than its user: who finds one does not change what the user is called, or
    /// where mail for them goes.
    pub(super) fn must_stand_for_the_whole_user(&self, to: &str) -> Result<(), Problem> {
        match self.shown {
            Shown::Password | Shown::PersonalToken(None) => Ok(()),
            Shown::PersonalToken(Some(_)) | Shown::ClientsToken(_) => {
                let text = format!(
                    "{to} takes your password, or a personal token without a scope; log in with one of them"
                );
                Err(Problem::new(Kind::NotAllowed, text))
            }
        }
    }

    /// The entry of the audit about what they do to `subject`.
    pub(super) fn does(&self, action: Action, subject: impl Into<String>) -> NewEntry {
        NewEntry {
            actor: self.user.login.clone(),
            action,
            subject: subject.into(),
            from: self.from.map(|address| address.to_string()),
            result: Outcome::Done,
            task: None,
            reason: None,
        }
    }

    /// True if they may do anything at this place, or were given a role inside it.
    pub(super) fn sees(&self, place: &Place) -> bool {
        let inside = |scope: &grants::Scope| {
            scope.organization == Some(place.organization)
                && place.product.is_none_or(|it| scope.product == Some(it))
                && place
                    .repository
                    .is_none_or(|it| scope.repository == Some(it))
        };
        !self.permissions(place).is_empty() || self.grants.iter().any(|it| inside(&it.scope))
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
        self.shown.narrows(set)
    }

    fn lacks(&self, permission: Permission, named: impl Display) -> Problem {
        match self.shown {
            Shown::ClientsToken(_) if not_by_clients_token().contains(permission) => {
                let text =
                    format!("`{permission}` is not given by a token; log in with your password");
                Problem::new(Kind::NotAllowed, text)
            }
            Shown::PersonalToken(Some(scope)) | Shown::ClientsToken(Some(scope))
                if !scope.contains(permission) =>
            {
                let text = format!("the personal token does not give `{permission}`");
                Problem::new(Kind::NotAllowed, text)
            }
            Shown::Password | Shown::PersonalToken(_) | Shown::ClientsToken(_) => {
                Problem::not_allowed(permission, named)
            }
        }
    }
}

fn not_by_clients_token() -> PermissionSet {
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
impl Caller {
    /// Ana, who has shown her password.
    pub(super) fn with_roles(roles: &[(storage::catalog::roles::Role, grants::Scope)]) -> Self {
        use storage::catalog::{GrantId, UserId};

        let user = User {
            id: UserId(1),
            login: "ana".to_owned(),
            name: "Ana".to_owned(),
            email: None,
            enabled: true,
            robot_of: None,
            created_at: Timestamp(0),
            password_changes: 0,
        };
        let grant = |&(role, scope): &(storage::catalog::roles::Role, grants::Scope)| Grant {
            id: GrantId(1),
            user: user.id,
            role: role.into(),
            scope,
            created_at: Timestamp(0),
        };
        Self {
            grants: roles.iter().map(grant).collect(),
            user,
            shown: Shown::Password,
            token: None,
            right: Right::Known,
            from: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use storage::catalog::roles::Role;

    use super::*;

    const ACME: OrganizationId = OrganizationId(1);
    const OTHER: OrganizationId = OrganizationId(2);

    fn caller(role: Role, organization: Option<OrganizationId>, shown: Shown) -> Caller {
        let scope = grants::Scope {
            organization,
            ..grants::Scope::default()
        };
        Caller {
            shown,
            ..Caller::with_roles(&[(role, scope)])
        }
    }

    #[test]
    fn a_role_in_one_organization_gives_nothing_in_another() {
        let ana = caller(Role::Admin, Some(ACME), Shown::Password);

        assert!(ana.may(Permission::ManageProducts, &in_organization(ACME)));
        assert!(!ana.may(Permission::ManageProducts, &in_organization(OTHER)));
        assert!(!ana.may_everywhere(Permission::ManageProducts));
        assert!(ana.sees_organization(ACME));
        assert!(!ana.sees_organization(OTHER));
        assert!(!ana.sees_every_organization());
    }

    #[test]
    fn a_token_gives_neither_manage_access_nor_admin() {
        let ana = caller(Role::Admin, None, Shown::ClientsToken(None));

        assert!(!ana.may_everywhere(Permission::Admin));
        assert!(!ana.may_everywhere(Permission::ManageAccess));
        assert!(ana.may_everywhere(Permission::ManageProducts));
    }

    #[test]
    fn a_personal_token_gives_what_is_in_its_scope_and_in_its_users_roles() {
        let scope = [Permission::Admin, Permission::Delete]
            .into_iter()
            .collect();
        let ana = caller(Role::Publisher, None, Shown::PersonalToken(Some(scope)));
        let all = caller(Role::Admin, None, Shown::PersonalToken(None));

        assert_eq!(
            ana.permissions_everywhere(),
            [Permission::Delete].into_iter().collect()
        );
        assert!(all.may_everywhere(Permission::Admin));
    }
}
