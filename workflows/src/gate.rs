//! The gates of what steps work on outside the catalog, and how each is asked whether it is back.

use crate::{Services, proxy};
use engine::step::{BoxFuture, StepError};
use std::convert::Infallible;

/// The gate of the content backend.
pub const CONTENT: &str = "content";

/// The gate of a Pulp that is the content backend.
pub const PULP: &str = "pulp";

/// How the gates of smart proxies begin.
pub const SMART_PROXY: &str = "smart_proxy.";

/// The gate of the smart proxy with this name.
#[must_use]
pub fn smart_proxy(name: &str) -> String {
    format!("{SMART_PROXY}{name}")
}

/// Asks a smart proxy whether it is there.
pub(crate) struct SmartProxyProbe;

impl engine::node::ProbeAll<Services> for SmartProxyProbe {
    fn probe<'a>(
        &'a self,
        services: &'a Services,
        gate: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        Box::pin(async move {
            let name = gate.strip_prefix(SMART_PROXY).unwrap_or(gate);
            proxy::probe(services, name).await
        })
    }
}

/// Asks Pulp whether pushes would work.
pub(crate) struct PulpProbe;

impl engine::node::Probe<Services> for PulpProbe {
    fn probe<'a>(&'a self, services: &'a Services) -> BoxFuture<'a, Result<(), StepError>> {
        Box::pin(async move {
            match services.content.pulp() {
                Some(pulp) => pulp.check().await.map_err(StepError::transient),
                None => Ok(()),
            }
        })
    }
}

/// Asks the content backend. The embedded one keeps its push repositories and versions in the database: it is back when that takes
/// a write again.
pub(crate) struct ContentProbe;

impl engine::node::Probe<Services> for ContentProbe {
    fn probe<'a>(&'a self, services: &'a Services) -> BoxFuture<'a, Result<(), StepError>> {
        Box::pin(async move {
            let nothing = services
                .database
                .transact(|_| Box::pin(async { Ok::<(), Infallible>(()) }));
            let written = nothing.await.map_err(StepError::transient)?;
            written.map_err(|never| match never {})
        })
    }
}
