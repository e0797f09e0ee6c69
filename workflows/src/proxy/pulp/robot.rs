//! The robot by which a Pulp pulls from an organization here.

use engine::clock::Timestamp;
use secrecy::ExposeSecret as _;
use storage::Tx;
use storage::catalog::audit::{self, Action, NewEntry, Outcome};
use storage::catalog::grants::{self, Scope};
use storage::catalog::robots::{self, Robot as Known};
use storage::catalog::roles::Role;
use storage::catalog::smart_proxies::SmartProxy;
use storage::catalog::smart_proxies::contents::Known as Named;
use storage::catalog::smart_proxies::pullers::{self, Puller};
use storage::catalog::{CatalogError, OrganizationId, organizations, tokens};

use crate::error::Failed;
use crate::proxy::Failure;
use crate::secret::{Secret, sha256};
use crate::services::Services;

/// So many were deleted one after the other before somebody is asked what he wants.
const NAMES: u32 = 20;
/// So much of the token's hash tells it from another, and tells nothing of it.
const KEY_BYTES: usize = 8;

/// Who Pulp pulls as.
#[derive(Clone)]
pub(super) struct Robot {
    pub(super) login: String,
    pub(super) token: String,
    /// Tells one token from another.
    pub(super) key: String,
}

/// The robot of the proxy in this organization. It is made at first, with the role reader there, and again when it was deleted; its token
/// is renewed where it does not count any more.
pub(super) async fn of(
    services: &Services,
    proxy: &SmartProxy,
    organization: &Named<OrganizationId>,
) -> Result<Robot, Failure> {
    let fresh = Secret::generate().map_err(|_| Failed::later("the system has no random bytes"))?;
    let (proxy, organization, at) = (proxy.clone(), organization.id, services.clock.now());
    let made = services.database.transact(move |tx| {
        Box::pin(async move { find_or_make(tx, &proxy, organization, &fresh, at).await })
    });
    let (robot, token) = made.await.map_err(CatalogError::from)??;
    if !robot.enabled {
        return Err(Failure::One(format!(
            "robot `{}`, by which Pulp pulls from here, is disabled; enable it, or delete it and another one is made",
            robot.login
        )));
    }
    let key = sha256(&token)
        .iter()
        .take(KEY_BYTES)
        .fold(String::new(), |key, byte| format!("{key}{byte:02x}"));
    Ok(Robot {
        login: robot.login,
        token,
        key,
    })
}

async fn find_or_make(
    tx: &mut Tx,
    proxy: &SmartProxy,
    organization: OrganizationId,
    fresh: &Secret,
    at: Timestamp,
) -> Result<(Known, String), CatalogError> {
    let kept = pullers::find(tx, proxy.id, organization).await?;
    let known = match &kept {
        Some(kept) => robots::get(tx, kept.robot).await?,
        None => None,
    };
    if let (Some(kept), Some(known)) = (kept, &known) {
        let token = tokens::by_secret(tx, &sha256(&kept.token)).await?;
        if token.is_some_and(|token| token.user == kept.robot && token.counts_at(at)) {
            return Ok((known.clone(), kept.token));
        }
    }
    let robot = match known {
        Some(known) => {
            robots::renew_token(tx, known.id, fresh.sha256, at).await?;
            known
        }
        None => make(tx, proxy, organization, fresh, at).await?,
    };
    let puller = Puller {
        robot: robot.id,
        token: fresh.shown.expose_secret().to_owned(),
    };
    pullers::put(tx, proxy.id, organization, &puller).await?;
    Ok((robot, puller.token))
}

async fn make(
    tx: &mut Tx,
    proxy: &SmartProxy,
    organization: OrganizationId,
    fresh: &Secret,
    at: Timestamp,
) -> Result<Known, CatalogError> {
    let of = organizations::get(tx, organization).await?;
    let of = of.ok_or_else(|| CatalogError::missing("organization", organization))?;
    let name = format!("smart-proxy-{}", proxy.name.to_ascii_lowercase());
    let mut taken = None;
    for n in 1..=NAMES {
        // A name is never given to another robot, also after a delete.
        let name = match n {
            1 => name.clone(),
            n => format!("{name}-{n}"),
        };
        match robots::create(tx, &of, &name, fresh.sha256, at).await {
            Ok(robot) => {
                let scope = Scope {
                    organization: Some(organization),
                    ..Scope::default()
                };
                grants::create(tx, robot.id, Role::Reader, scope, at).await?;
                let entry = NewEntry {
                    actor: String::new(),
                    action: Action::Create,
                    subject: format!("robot {}", robot.login),
                    from: None,
                    result: Outcome::Done,
                    task: None,
                    reason: Some(format!("smart proxy {} pulls by it", proxy.name)),
                };
                audit::record(tx, &entry, at).await?;
                return Ok(robot);
            }
            Err(error @ CatalogError::Duplicate { .. }) => taken = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(taken.unwrap_or_else(|| CatalogError::missing("robot", name)))
}
