//! A Pulp 3: it is told to sync from here.

use super::{Begun, Brought, Trouble};
use crate::sync_proxy::{Looked, SyncProxy};
use engine::step::Context;
use serde::{Deserialize, Serialize};
use storage::catalog::smart_proxies::SmartProxy;

/// What Pulp is asked with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ticket {}

pub(crate) async fn begin(
    _: &Context<SyncProxy>,
    _: &SmartProxy,
    _: Looked,
) -> Result<Begun<Ticket>, Trouble> {
    Err(Trouble::Refused("TODO".into()))
}
pub(crate) async fn ask(
    _: &Context<SyncProxy>,
    _: &SmartProxy,
    _: &Ticket,
) -> Result<Option<Brought>, Trouble> {
    Err(Trouble::Refused("TODO".into()))
}
pub(crate) async fn probe(_: &crate::outbound::Outbound, _: &SmartProxy) -> Result<(), Trouble> {
    Ok(())
}
