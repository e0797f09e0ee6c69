//! What one user may pull, judged name by name without asking the database each time: for long lists.

use storage::catalog::CatalogError;
use storage::catalog::grants::{self, Grant};
use storage::catalog::repository_names::RepositoryName;
use storage::catalog::roles::Permission;
use storage::catalog::settings;
use storage::catalog::users::User;
use storage::database::Tx;

/// Somebody who lists what there is to pull; judged as [`may_pull`](super::may_pull) would.
#[derive(Clone, Debug)]
pub struct Puller {
    grants: Vec<Grant>,
    anonymous_pull: bool,
}

impl Puller {
    /// The user with the grants of now; without one, somebody anonymous.
    pub async fn of(tx: &mut Tx, user: Option<&User>) -> Result<Self, CatalogError> {
        let grants = match user {
            Some(user) => grants::of(tx, user.id).await?,
            None => Vec::new(),
        };
        Ok(Self {
            grants,
            anonymous_pull: settings::anonymous_pull(tx).await?,
        })
    }

    /// Whether what has this name may be pulled.
    #[must_use]
    pub fn may_pull(&self, name: &RepositoryName) -> bool {
        (name.anonymous_pull && self.anonymous_pull)
            || grants::permissions(&self.grants, &name.place).contains(Permission::Pull)
    }
}
