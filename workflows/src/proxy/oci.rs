//! Any registry: images are pushed to it.

use super::{Brought, Trouble};
use crate::sync_proxy::{Looked, SyncProxy};
use engine::step::Context;
use storage::catalog::smart_proxies::SmartProxy;

pub(crate) async fn bring(
    _: &Context<SyncProxy>,
    _: &SmartProxy,
    _: Looked,
) -> Result<Brought, Trouble> {
    Err(Trouble::Refused("TODO".into()))
}
pub(crate) async fn probe(_: &crate::outbound::Outbound, _: &SmartProxy) -> Result<(), Trouble> {
    Ok(())
}
