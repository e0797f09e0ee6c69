//! Who may do what where, with a missing right in words.

mod puller;

use std::fmt;

use storage::catalog::environments;
use storage::catalog::grants::{self, Place};
use storage::catalog::roles::Permission;
use storage::catalog::settings;
use storage::catalog::users::User;
use storage::catalog::{CatalogError, UserId, users};
use storage::database::Tx;

pub use puller::Puller;

use crate::destination::{PushName, Resolved};
use crate::error::Failed;

/// Whether somebody may do something.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They may.
    Allowed,
    /// They may not, for want of this.
    Denied(Denied),
}

/// The right that is missing: whose, which, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The login of who asked.
    pub login: String,
    /// The missing right.
    pub permission: Permission,
    /// The name they asked for. Its words are all that is told of the place: a refusal must not show what exists.
    pub name: PushName,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            login,
            permission,
            name,
        } = self;
        let (organization, product) = (name.organization(), name.product());
        let repository = name.in_product();
        write!(f, "user `{login}` lacks the permission `{permission}` ")?;
        match permission {
            Permission::CreateProducts => write!(
                f,
                "in organization `{organization}`, which has no product `{product}` for this push yet"
            )?,
            Permission::CreateRepositories => write!(
                f,
                "in product `{product}` of organization `{organization}`, which has no repository `{repository}` yet"
            )?,
            Permission::Pull
            | Permission::Push
            | Permission::Delete
            | Permission::Promote
            | Permission::ViewTasks
            | Permission::OperateTasks
            | Permission::ManageProducts
            | Permission::ManageProxies
            | Permission::ManageSchedules
            | Permission::ManageAccess
            | Permission::Admin => write!(
                f,
                "on repository `{repository}` in product `{product}` of organization `{organization}`"
            )?,
        }
        f.write_str("; someone who may manage access can grant a role that has it")
    }
}

/// Whether this user holds the permission at this place. Anonymous holds none.
pub async fn holds(
    tx: &mut Tx,
    user: Option<&User>,
    permission: Permission,
    place: &Place,
) -> Result<bool, CatalogError> {
    match user {
        Some(user) => Ok(grants::permissions_at(tx, user.id, place)
            .await?
            .contains(permission)),
        None => Ok(false),
    }
}

/// Whether this user holds the permission everywhere, also in organizations that do not exist yet.
pub async fn holds_everywhere(
    tx: &mut Tx,
    user: Option<&User>,
    permission: Permission,
) -> Result<bool, CatalogError> {
    match user {
        Some(user) => {
            let grants = grants::of(tx, user.id).await?;
            Ok(grants::permissions_everywhere(&grants).contains(permission))
        }
        None => Ok(false),
    }
}

/// Refused unless this user is there still and holds the permission at this place.
pub(crate) async fn must_hold(
    tx: &mut Tx,
    (user, login): (UserId, &str),
    permission: Permission,
    place: &Place,
) -> Result<(), Failed> {
    let user = users::get(tx, user).await?.filter(|user| user.enabled);
    let Some(user) = user else {
        return Err(Failed::for_good(format!(
            "user `{login}` does not exist any more or is disabled"
        )));
    };
    if holds(tx, Some(&user), permission, place).await? {
        return Ok(());
    }
    Err(Failed::for_good(format!(
        "user `{login}` lacks the permission `{permission}` there; someone who may manage access can grant a role that has it"
    )))
}

/// The permissions that a push there needs, in the order of their use.
pub fn needed_for_push(to: &Resolved) -> impl Iterator<Item = Permission> {
    [
        (Permission::Push, true),
        (Permission::CreateProducts, to.product.is_none()),
        (Permission::CreateRepositories, to.repository.is_none()),
    ]
    .into_iter()
    .filter_map(|(permission, needed)| needed.then_some(permission))
}

/// Whether this user may push there: all rights that the push will need are judged, in the order of their use.
///
/// A product or repository that does not exist yet is made by the push, and needs the right to.
pub async fn judge_push(tx: &mut Tx, user: &User, to: &Resolved) -> Result<Verdict, CatalogError> {
    let held = grants::permissions_at(tx, user.id, &to.place()).await?;
    let missing = needed_for_push(to).find(|permission| !held.contains(*permission));
    Ok(match missing {
        None => Verdict::Allowed,
        Some(permission) => Verdict::Denied(Denied {
            login: user.login.clone(),
            permission,
            name: to.asked.clone(),
        }),
    })
}

/// Whether this user may pull from there. From a product or an environment with anonymous pull everybody may, known or not, unless
/// the setting of that name closes all of them.
pub async fn may_pull(
    tx: &mut Tx,
    user: Option<&User>,
    from: &Resolved,
) -> Result<bool, CatalogError> {
    let open = from
        .product
        .as_ref()
        .is_some_and(|product| product.anonymous_pull);
    if open && settings::anonymous_pull(tx).await? {
        return Ok(true);
    }
    if holds(tx, user, Permission::Pull, &from.place()).await? {
        return Ok(true);
    }
    // Asked last: most who pull have a right, and most environments are not open.
    let open = match &from.environment {
        Some(environment) => environment.anonymous_pull,
        None if from.repository.is_none() => false,
        None => {
            let library = environments::library(tx, from.organization.id).await?;
            library.anonymous_pull
        }
    };
    Ok(open && settings::anonymous_pull(tx).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(permission: Permission) -> String {
        Denied {
            login: "bob".to_owned(),
            permission,
            name: "acme/tools/busybox".parse().unwrap(),
        }
        .to_string()
    }

    #[test]
    fn a_missing_right_is_told_with_its_place_and_what_to_do() {
        assert_eq!(
            denied(Permission::Push),
            "user `bob` lacks the permission `push` on repository `busybox` in product `tools` of organization \
             `acme`; someone who may manage access can grant a role that has it"
        );
        assert_eq!(
            denied(Permission::CreateProducts),
            "user `bob` lacks the permission `create_products` in organization `acme`, which has no product `tools` \
             for this push yet; someone who may manage access can grant a role that has it"
        );
        assert_eq!(
            denied(Permission::CreateRepositories),
            "user `bob` lacks the permission `create_repositories` in product `tools` of organization `acme`, which \
             has no repository `busybox` yet; someone who may manage access can grant a role that has it"
        );
    }
}
